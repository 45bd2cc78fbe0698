//! What is asked of the list of jobs, and how its rows reach the ledger. Nothing that was read is
//! ever discarded: a walk that fails says how far it came.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;

use super::LIVE;
use crate::jobs::{Ledger, Live, Span};
use crate::netbackup::wire::Record;
use crate::netbackup::wire::jobs::{JOBS, JobRow};
use crate::netbackup::{Error, ErrorKind, Query, Session};

/// How far before what was reached a walk goes on: how precise a filter is, is not documented.
const AGAIN: i64 = 1_000;

/// Pages that a look for late rows may take in one cycle.
const LATE_PAGES: u32 = 50;

/// What tells that a finished job changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// The time of its last change.
    LastUpdate,
    /// The time of its end, where the server does not take the other.
    End,
}

impl Key {
    const fn property(self) -> &'static str {
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
pub(super) struct Shared<'l>(Mutex<&'l mut Ledger>);

impl<'l> Shared<'l> {
    pub(super) fn new(ledger: &'l mut Ledger) -> Self {
        Self(Mutex::new(ledger))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, &'l mut Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a walk came to.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// The end of the list was reached.
    pub(super) complete: bool,
    /// Why it was not, unless it was told to stop.
    pub(super) error: Option<Error>,
    pub(super) rows: usize,
    pub(super) pages: u32,
    pub(super) unreadable: usize,
}

impl Walked {
    /// The server does not take the filter.
    pub(super) fn is_rejected(&self) -> bool {
        self.pages == 0
            && self.error.as_ref().is_some_and(|error| error.kind() == ErrorKind::BadRequest)
    }
}

/// All jobs that have not ended.
pub(super) async fn live(session: &Session) -> Result<(Live, usize), Error> {
    let query = Query::filtered(LIVE).sorted("jobId");
    let (mut live, mut unreadable) = (Live::default(), 0);
    let mut walk = session.cursor_walk(&JOBS, &query);
    while let Some(page) = walk.next_page::<JobRow<'_>>().await? {
        unreadable += page.unreadable;
        page.rows.iter().for_each(|row| live.add(row));
    }
    Ok((live, unreadable))
}

/// The finished jobs that changed at or after `from`.
pub(super) async fn changed(session: &Session, ledger: &Shared<'_>, key: Key, from: i64) -> Walked {
    let filter = format!("state eq 'DONE' and {} ge {}", key.property(), time(from));
    let bound = Bound { pages: u32::MAX, until: None };
    walk(session, filter, key, bound, |rows, reached| {
        let mut ledger = ledger.lock();
        for row in rows {
            ledger.changed(row);
        }
        ledger.walked(reached - AGAIN);
    })
    .await
}

/// The finished jobs that changed in a span that was read before, but may show only now.
pub(super) async fn late(session: &Session, ledger: &Shared<'_>, key: Key, span: Span) -> Walked {
    let (property, from, to) = (key.property(), time(span.from), time(span.to));
    let filter = format!("state eq 'DONE' and {property} ge {from} and {property} lt {to}");
    let bound = Bound { pages: LATE_PAGES, until: None };
    let walked = walk(session, filter, key, bound, |rows, reached| {
        let mut ledger = ledger.lock();
        for row in rows {
            ledger.changed(row);
        }
        ledger.looked(reached - AGAIN);
    })
    .await;
    if walked.complete {
        ledger.lock().looked(span.to);
    }
    walked
}

/// The finished jobs that ended in `(from, to]`, until it is time to stop. The span shrinks as they
/// are read.
pub(super) async fn filled(
    session: &Session,
    ledger: &Shared<'_>,
    span: &mut Span,
    until: Instant,
) -> Walked {
    let (from, to) = (time(span.from), time(span.to));
    let filter = format!("state eq 'DONE' and endTime gt {from} and endTime le {to}");
    let bound = Bound { pages: u32::MAX, until: Some(until) };
    let walked = walk(session, filter, Key::End, bound, |rows, reached| {
        let mut ledger = ledger.lock();
        for row in rows {
            ledger.filled(row);
        }
        span.from = span.from.max(reached - AGAIN);
    })
    .await;
    if walked.complete {
        span.from = span.to;
    }
    walked
}

/// When a finished job that succeeded ended first, of those that the server still has.
pub(super) async fn oldest_success(session: &Session) -> Result<Option<i64>, Error> {
    let query = Query::filtered("state eq 'DONE' and status eq 0").sorted("endTime").limited(1);
    let mut walk = session.cursor_walk(&JOBS, &query);
    let page = walk.next_page::<JobRow<'_>>().await?;
    Ok(page.and_then(|page| page.rows.first().and_then(|row| row.end_time)))
}

/// When a walk stops before its end.
struct Bound {
    pages: u32,
    until: Option<Instant>,
}

/// Hands each page to `take`, with the key of the last row so far.
async fn walk(
    session: &Session,
    filter: String,
    key: Key,
    bound: Bound,
    mut take: impl FnMut(&[Record<'_, JobRow<'_>>], i64),
) -> Walked {
    let query = Query::filtered(filter).sorted(key.property());
    let (mut walked, mut reached) = (Walked::default(), i64::MIN / 2);
    let mut walk = session.cursor_walk(&JOBS, &query);
    loop {
        match walk.next_page::<JobRow<'_>>().await {
            Ok(Some(page)) => {
                walked.unreadable += page.unreadable;
                walked.rows += page.rows.len();
                let last = page.rows.iter().filter_map(|row| key.of(row)).max();
                reached = reached.max(last.unwrap_or(reached));
                take(&page.rows, reached);
            }
            Ok(None) => {
                walked.complete = true;
                break;
            }
            Err(error) => {
                walked.error = Some(error);
                break;
            }
        }
        walked.pages += 1;
        let stop =
            walked.pages >= bound.pages || bound.until.is_some_and(|until| Instant::now() >= until);
        if stop && !walk.is_done() {
            break;
        }
    }
    walked
}

/// Times are unquoted (contract, section 1.4).
pub(super) fn time(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MIN);
    format!("{time:.3}")
}
