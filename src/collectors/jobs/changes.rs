//! The incremental and late walks over the finished jobs that changed: by lastUpdateTime, or by endTime
//! if the server refuses that filter.

use super::queries::finished;
use super::walks::{AGAIN, Bookmark, FinishedWalk, SharedLedger, TimeBudget, WalkSummary};
use crate::jobs::{ChangeField, Span};
use crate::netbackup::{ApiVersion, Session};

/// Pages that a late walk may read in one cycle.
const LATE_PAGES: u32 = 50;

/// The server's time after which a refused filter is tried again, ms.
const REFUSED_FOR: i64 = 3_600_000;

/// Time by which changes made during a cycle may be later than its beginning, ms.
const AHEAD: i64 = 60_000;

/// State of the walks, from one cycle to the next.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The time at which the server refused the filter on lastUpdateTime, and its version.
    refused: Option<(i64, Option<ApiVersion>)>,
    changed: Option<Bookmark>,
    late: Option<(i64, Bookmark)>,
    /// The newest time in the future up to which changes were read: the clock was set back.
    read_ahead: Option<i64>,
}

impl Changes {
    /// Records that the server's clock was set back: changes may bear any time in its future.
    pub(super) fn expect_future_times(&mut self) {
        self.read_ahead = None;
        self.changed = None;
    }

    /// Reads the changes up to `now`. Returns the field by which they were read.
    pub(super) async fn read(
        &mut self,
        session: &Session,
        ledger: &SharedLedger<'_>,
        budget: &TimeBudget<'_>,
        now: i64,
    ) -> (ChangeField, WalkSummary) {
        let version = session.client().version();
        let rests =
            |(at, by): (i64, Option<ApiVersion>)| by == version && (now - at).abs() < REFUSED_FOR;
        let mut refusal = None;
        if !self.refused.is_some_and(rests) {
            let field = ChangeField::LastUpdate;
            let mut walked = self.walk(session, ledger, budget, field, now).await;
            // One refusal alone may be an accident on the way.
            if walked.is_refused() && self.refused.is_none() {
                walked = self.walk(session, ledger, budget, field, now).await;
            }
            if walked.pages > 0 {
                self.refused = None;
                return (field, walked);
            }
            if !walked.is_refused() && self.refused.is_none() {
                return (field, walked);
            }
            refusal = Some(walked).filter(WalkSummary::is_refused);
        }
        let by_end = self.walk(session, ledger, budget, ChangeField::End, now).await;
        let Some(refusal) = refusal else { return (ChangeField::End, by_end) };
        if by_end.pages == 0 {
            // It does not take this one either: it was not about the filter.
            return (ChangeField::LastUpdate, refusal);
        }
        if self.refused.replace((now, version)).is_none() {
            tracing::warn!(
                site = session.client().site(),
                "the server does not accept a filter on lastUpdateTime; filtering by endTime \
                 instead, so a job whose end time is more than ten minutes in the past is found \
                 late; retrying the filter every hour"
            );
        }
        (ChangeField::End, by_end)
    }

    async fn walk(
        &mut self,
        session: &Session,
        ledger: &SharedLedger<'_>,
        budget: &TimeBudget<'_>,
        field: ChangeField,
        now: i64,
    ) -> WalkSummary {
        let from = ledger.lock().walk_from(field);
        let ahead = self.read_ahead.filter(|read| *read > now + AHEAD);
        let upper = ahead.map(|_| ("le", now + AHEAD));
        let filter = finished(field, ("ge", from), upper);
        let walk = FinishedWalk { field, filter, pages: u32::MAX, budget: Some(budget) };
        let walked = walk
            .walk(session, &mut self.changed, |rows, reached| {
                ledger.note_sizes(rows);
                let mut ledger = ledger.lock();
                for row in rows {
                    ledger.apply_changed(row);
                }
                ledger.progress.advance_watermark(field, reached - AGAIN);
            })
            .await;
        if walked.complete && ahead.is_none() {
            self.read_ahead = walked.reached;
        }
        walked
    }

    /// Reads a span again, for rows that became visible late.
    pub(super) async fn read_late(
        &mut self,
        session: &Session,
        ledger: &SharedLedger<'_>,
        field: ChangeField,
        span: Span,
    ) -> WalkSummary {
        let filter = finished(field, ("ge", span.from), Some(("lt", span.to)));
        let walk = FinishedWalk { field, filter, pages: LATE_PAGES, budget: None };
        let mut place = self.late.take().filter(|(to, _)| *to == span.to).map(|(_, place)| place);
        let walked = walk
            .walk(session, &mut place, |rows, reached| {
                ledger.note_sizes(rows);
                let mut ledger = ledger.lock();
                for row in rows {
                    ledger.apply_changed(row);
                }
                ledger.progress.late_walk.advance(reached - AGAIN);
            })
            .await;
        self.late = place.map(|place| (span.to, place));
        walked
    }
}
