//! What is asked of the list of jobs, and how its rows reach the ledger. Nothing that was read is
//! ever discarded: a walk that stops remembers its place, and one whose place is refused how far it
//! came.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;

use super::LIVE;
use crate::jobs::{ChangeField, Ledger, Live};
use crate::netbackup::wire::Record;
use crate::netbackup::wire::jobs::{JOBS, JobRow};
use crate::netbackup::{Cursor, CursorPager, Error, ErrorKind, Query, Session};

/// How far before what was reached a walk begins anew: how precise a filter is, is not documented.
pub(super) const AGAIN: i64 = 1_000;

/// Pages that a walk may take, however many cycles it takes them in.
const MOST_PAGES: u32 = 20_000;

/// Failures of the server at one place after which the walk begins anew.
const MOST_FAILURES: u32 = 3;

impl ChangeField {
    pub(super) const fn property(self) -> &'static str {
        match self {
            Self::LastUpdate => "lastUpdateTime",
            Self::End => "endTime",
        }
    }

    fn of(self, row: &JobRow<'_>) -> Option<i64> {
        match self {
            Self::LastUpdate => row.last_update_time,
            Self::End => row.end_time,
        }
    }
}

/// The ledger, as walks that run beside each other share it. It is never held across a request.
pub(super) struct SharedLedger<'l>(Mutex<&'l mut Ledger>);

impl<'l> SharedLedger<'l> {
    pub(super) fn new(ledger: &'l mut Ledger) -> Self {
        Self(Mutex::new(ledger))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, &'l mut Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time after which walks stop, the page under way not counted.
#[derive(Debug)]
pub(super) struct TimeBudget<'c> {
    pub(super) until: Instant,
    /// What holds instead where another part of the cycle has failed: the next one comes late then.
    pub(super) at_most: Instant,
    pub(super) failing: &'c AtomicBool,
}

impl TimeBudget<'_> {
    pub(super) fn is_spent(&self) -> bool {
        let failing = self.failing.load(Ordering::Relaxed);
        Instant::now() >= if failing { self.at_most } else { self.until.min(self.at_most) }
    }
}

/// A place in a list that a later cycle goes on from. A list that is longer than one cycle can read
/// makes progress by it even where all of its rows bear one time.
#[derive(Debug, Clone)]
pub(super) struct Bookmark {
    field: ChangeField,
    /// The cursor holds for this filter only.
    filter: String,
    after: Cursor,
    /// The newest time that was met.
    reached: i64,
    pages: u32,
    failures: u32,
}

/// What a walk came to.
#[derive(Debug, Default)]
pub(super) struct WalkSummary {
    /// The end of the list was reached.
    pub(super) complete: bool,
    /// Why it was not, unless it was told to stop.
    pub(super) error: Option<Error>,
    pub(super) rows: usize,
    pub(super) pages: u32,
    /// The newest time that was met.
    pub(super) reached: Option<i64>,
    /// Its place was refused, so that it began anew: going on at once might not end.
    pub(super) restarted: bool,
}

impl WalkSummary {
    /// Returns whether the server does not take the filter.
    pub(super) fn is_refused(&self) -> bool {
        let status = self.error.as_ref().and_then(Error::status);
        self.pages == 0 && status == Some(400)
    }

    /// Returns whether it stopped on the way, and may go on at once.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.complete && self.error.is_none() && self.pages > 0 && !self.restarted
    }
}

/// Reads all jobs that have not ended.
pub(super) async fn live(session: &Session) -> Result<Live, Error> {
    let query = Query::filtered(LIVE).sorted("jobId");
    let mut live = Live::default();
    let mut walk = CursorPager::new(session, &JOBS, &query);
    while let Some(page) = walk.next_page::<JobRow<'_>>().await? {
        page.rows.iter().for_each(|row| live.add(row));
    }
    Ok(live)
}

/// Returns the end of the oldest finished job that succeeded, of those that the server still has.
pub(super) async fn oldest_success(session: &Session) -> Result<Option<i64>, Error> {
    let query = Query::filtered("state eq 'DONE' and status eq 0").sorted("endTime").limited(1);
    Ok(first_row(session, &query).await?.and_then(|(_, end)| end))
}

/// Returns the highest number of a job that the server lists, if it lists any.
pub(super) async fn highest_id(session: &Session) -> Result<Option<i64>, Error> {
    Ok(first_row(session, &Query::all().sorted("-jobId").limited(1)).await?.map(|(id, _)| id))
}

async fn first_row(session: &Session, query: &Query) -> Result<Option<(i64, Option<i64>)>, Error> {
    let mut walk = CursorPager::new(session, &JOBS, query);
    let page = walk.next_page::<JobRow<'_>>().await?;
    Ok(page.and_then(|page| page.rows.first().map(|row| (row.job_id, row.end_time))))
}

/// Selects the finished jobs whose `field` is in `span`: `lower` and `upper` are how its ends compare.
pub(super) fn finished(
    field: ChangeField,
    lower: (&str, i64),
    upper: Option<(&str, i64)>,
) -> String {
    let property = field.property();
    let mut filter = format!("state eq 'DONE' and {property} {} {}", lower.0, time(lower.1));
    if let Some((compare, ms)) = upper {
        // Writing to a string cannot fail.
        let _ = write!(filter, " and {property} {compare} {}", time(ms));
    }
    filter
}

/// Times are unquoted (docs/netbackup-api.md#filters).
pub(super) fn time(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MIN);
    format!("{time:.3}")
}

/// A walk over finished jobs, oldest first.
pub(super) struct FinishedWalk<'p> {
    pub(super) field: ChangeField,
    /// Where no place is remembered.
    pub(super) filter: String,
    /// Pages that it may take in this cycle.
    pub(super) pages: u32,
    pub(super) budget: Option<&'p TimeBudget<'p>>,
}

impl FinishedWalk<'_> {
    fn stops(&self, pages: u32) -> bool {
        pages >= self.pages || self.budget.is_some_and(TimeBudget::is_spent)
    }

    /// Walks on from `place`, or from the beginning, and hands each page to `take` with the newest time
    /// so far. `place` is where the walk stands, at any moment.
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
        if place.as_ref().is_some_and(|place| place.pages >= MOST_PAGES) {
            // The list does not end.
            (*place, walked.restarted) = (None, true);
        }
        if place.is_some() {
            self.read(session, place, &mut walked, &mut take).await;
            let refused = walked.error.as_ref().is_some_and(is_about_cursor);
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
            *place = position(&walk).map(|after| Bookmark {
                field,
                filter: filter.clone(),
                after,
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

fn position(walk: &CursorPager) -> Option<Cursor> {
    walk.position().cloned()
}

/// Returns whether an error may mean that a cursor is not taken any more.
fn is_about_cursor(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::BadRequest | ErrorKind::NotFound)
}

/// Forgets a place that the server cannot go on from.
fn note_failure(place: &mut Option<Bookmark>, error: &Error) {
    let Some(mark) = place else { return };
    match error.kind() {
        ErrorKind::Paging => *place = None,
        ErrorKind::ServerError | ErrorKind::Body => {
            mark.failures += 1;
            if mark.failures >= MOST_FAILURES {
                *place = None;
            }
        }
        _ => {}
    }
}
