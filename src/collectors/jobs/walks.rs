//! Walks over the finished jobs, whose rows are applied to the ledger. Nothing that was read is read
//! again: a walk that stops leaves a bookmark, and one whose bookmark is refused continues from the
//! time that it had reached.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::backup_sizes::BackupSizes;
use crate::jobs::{ChangeField, Ledger};
use crate::netbackup::wire::Record;
use crate::netbackup::wire::jobs::{JOBS, JobRow};
use crate::netbackup::{Cursor, CursorPager, Error, ErrorKind, Query, Session};

/// Time by which a walk that restarts goes back, ms: the precision of filters is not documented.
pub(super) const AGAIN: i64 = 1_000;

/// Pages that a walk may read, in however many cycles.
const MAX_PAGES: u32 = 20_000;

/// Failures of the server at one bookmark after which the walk restarts.
const MAX_FAILURES: u32 = 3;

/// A ledger shared by concurrent walks. It is never locked across a request.
pub(super) struct SharedLedger<'l> {
    ledger: Mutex<&'l mut Ledger>,
    /// Takes the sizes of backups, if somebody wants them.
    sizes: Option<&'l BackupSizes>,
}

impl<'l> SharedLedger<'l> {
    pub(super) fn new(ledger: &'l mut Ledger, sizes: Option<&'l BackupSizes>) -> Self {
        Self { ledger: Mutex::new(ledger), sizes }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, &'l mut Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the sizes of the backups among finished jobs to those who want them.
    pub(super) fn note_sizes(&self, rows: &[Record<'_, JobRow<'_>>]) {
        if let Some(sizes) = self.sizes {
            for row in rows {
                sizes.note(row);
            }
        }
    }
}

/// The time after which walks stop, once the page under way is read.
#[derive(Debug)]
pub(super) struct TimeBudget<'c> {
    pub(super) until: Instant,
    /// The limit if another part of the cycle failed: the next cycle comes late then.
    pub(super) at_most: Instant,
    pub(super) failing: &'c AtomicBool,
}

impl TimeBudget<'_> {
    pub(super) fn is_spent(&self) -> bool {
        let failing = self.failing.load(Ordering::Relaxed);
        Instant::now() >= if failing { self.at_most } else { self.until.min(self.at_most) }
    }
}

/// A place in a list from which a later cycle continues. A list that is longer than one cycle can read
/// makes progress even if all of its rows have one time.
#[derive(Debug, Clone)]
pub(super) struct Bookmark {
    field: ChangeField,
    /// The cursor holds for this filter only.
    filter: String,
    after: Cursor,
    /// The newest time of a row.
    reached: i64,
    pages: u32,
    failures: u32,
}

#[derive(Debug, Default)]
pub(super) struct WalkSummary {
    /// The end of the list was reached.
    pub(super) complete: bool,
    pub(super) error: Option<Error>,
    pub(super) rows: usize,
    pub(super) pages: u32,
    /// The newest time of a row.
    pub(super) reached: Option<i64>,
    /// Its bookmark was refused, so that it restarted: another run at once might not end.
    pub(super) restarted: bool,
}

impl WalkSummary {
    /// Returns whether the server does not take the filter.
    pub(super) fn is_refused(&self) -> bool {
        let status = self.error.as_ref().and_then(Error::status);
        self.pages == 0 && status == Some(400)
    }

    /// Returns whether it stopped on the way, and may continue at once.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.complete && self.error.is_none() && self.pages > 0 && !self.restarted
    }
}

pub(super) struct FinishedWalk<'p> {
    pub(super) field: ChangeField,
    /// The filter of a walk without a bookmark.
    pub(super) filter: String,
    /// Pages that it may read in this cycle.
    pub(super) pages: u32,
    pub(super) budget: Option<&'p TimeBudget<'p>>,
}

impl FinishedWalk<'_> {
    fn stops(&self, pages: u32) -> bool {
        pages >= self.pages || self.budget.is_some_and(TimeBudget::is_spent)
    }

    /// Continues from `place`, or begins, and calls `take` for each page with the newest time so far.
    /// `place` is up to date at any moment, so that the walk may be dropped.
    pub(super) async fn walk(
        &self,
        session: &Session,
        place: &mut Option<Bookmark>,
        mut take: impl FnMut(&[Record<'_, JobRow<'_>>], i64),
    ) -> WalkSummary {
        let mut walked = WalkSummary::default();
        if place.as_ref().is_some_and(|place| place.field != self.field) {
            *place = None;
        }
        if place.as_ref().is_some_and(|place| place.pages >= MAX_PAGES) {
            // The list does not end.
            (*place, walked.restarted) = (None, true);
        }
        if place.is_some() {
            self.read(session, place, &mut walked, &mut take).await;
            // Such an error may mean that the cursor is not taken any more.
            let kind = walked.error.as_ref().map(Error::kind);
            let refused = matches!(kind, Some(ErrorKind::BadRequest | ErrorKind::NotFound));
            if walked.pages > 0 || !refused {
                return walked;
            }
            *place = None;
            walked = WalkSummary { restarted: true, ..WalkSummary::default() };
        }
        self.read(session, place, &mut walked, &mut take).await;
        walked
    }

    async fn read(
        &self,
        session: &Session,
        place: &mut Option<Bookmark>,
        walked: &mut WalkSummary,
        take: &mut impl FnMut(&[Record<'_, JobRow<'_>>], i64),
    ) {
        let filter = place.as_ref().map_or(&self.filter, |place| &place.filter).clone();
        let query = Query::filtered(filter.clone()).sorted(self.field.property());
        let mut walk = CursorPager::new(session, &JOBS, &query);
        let (mut reached, before) = (i64::MIN / 2, place.as_ref().map_or(0, |place| place.pages));
        if let Some(place) = place {
            walk = walk.resume(place.after.clone());
            reached = place.reached;
        }
        loop {
            match walk.next_page::<JobRow<'_>>().await {
                Ok(Some(page)) => {
                    walked.rows += page.rows.len();
                    let last = page.rows.iter().filter_map(|row| self.field.of(row)).max();
                    reached = reached.max(last.unwrap_or(reached));
                    walked.reached = walked.reached.max(last);
                    take(&page.rows, reached);
                }
                Ok(None) => {
                    walked.complete = true;
                    *place = None;
                    return;
                }
                Err(error) => {
                    note_failure(place, &error);
                    walked.error = Some(error);
                    return;
                }
            }
            walked.pages += 1;
            let (field, pages) = (self.field, before + walked.pages);
            *place = walk.position().map(|after| Bookmark {
                field,
                filter: filter.clone(),
                after: after.clone(),
                reached,
                pages,
                failures: 0,
            });
            if self.stops(walked.pages) && !walk.is_done() {
                return;
            }
        }
    }
}

/// Removes a bookmark from which the server cannot continue.
fn note_failure(place: &mut Option<Bookmark>, error: &Error) {
    let Some(mark) = place else { return };
    match error.kind() {
        ErrorKind::Paging => *place = None,
        ErrorKind::ServerError | ErrorKind::Body => {
            mark.failures += 1;
            if mark.failures >= MAX_FAILURES {
                *place = None;
            }
        }
        _ => {}
    }
}
