//! The audit of a ledger (docs/adr/0016-audit.md): compares pages of the server's list of finished jobs
//! with the jobs that the ledger remembers, and so finds what any rule of the ledger lost. Pure: it
//! returns queries and takes their answers; `collectors/jobs/audit.rs` runs them. Times are the server's,
//! Unix ms.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, SystemTime};

use super::ledger::Ledger;
use super::time::{Span, ms};
use crate::metric::{Definition, Metric, Samples, unix_seconds};

/// Slices of the window of which an audit reads one page each.
const SLICES: i64 = 6;

const PAGE: usize = 100;

/// The share of a slice by which the page moves from one audit to the next: multiples of the golden
/// ratio never come back to the same place, and cover the slice evenly.
const STEP: f64 = 0.618_033_988_749_895;

/// Time after which an audit that failed is repeated.
const RETRY_INTERVAL: Duration = Duration::from_secs(300);

/// Jobs that changed less than this before the audit are left out: their rows may show late.
const SETTLED: i64 = 600_000;

/// Counts that an audit may ask for to find the part of a window that lacks a job.
const MAX_COUNTS: u32 = 20;

/// A part of the window with at most this many jobs is read instead of being halved again.
const SMALL: usize = PAGE / 2;

/// Imprecision of the server's filters, ms.
const PRECISION: i64 = 1_000;

static DIFFERENCE: Metric<0> = Metric::gauge(
    "nbu.jobs.audit.difference",
    "{job}",
    &[],
    "Finished jobs that the server listed in the last audit but the agent did not count; 0 if none is missing.",
);
static PURGED: Metric<0> = Metric::gauge(
    "nbu.jobs.audit.purged",
    "{job}",
    &[],
    "Jobs that the agent counted and the server no longer listed in the last audit. Normal: the server purges old jobs.",
);
static LAST: Metric<0> = Metric::gauge(
    "nbu.jobs.audit.last.timestamp",
    "s",
    &[],
    "Time at which the last job audit ended, Unix seconds by the agent's clock.",
);

pub(super) fn definitions() -> [&'static Definition; 3] {
    [DIFFERENCE.definition(), PURGED.definition(), LAST.definition()]
}

/// A query of an audit; its spans are `(from, to]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuditQuery {
    /// The first page of the finished jobs that ended in a span, by the time of their end.
    Page(PageQuery),
    /// The number of those that ended in `span`; `rest` is the span after it, and the count of both.
    Count { span: Span, rest: Option<(Span, usize)> },
}

/// A page to be read, and the span to be read again if it lacks jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageQuery {
    pub(crate) span: Span,
    backfill: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: i64,
    pub(crate) end: i64,
    pub(crate) changed: i64,
}

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditResult {
    /// Jobs that are listed and not known, and the number of one of them.
    pub(crate) difference: usize,
    pub(crate) example: Option<i64>,
    /// Spans that lacked jobs in the audit before, too.
    pub(crate) standing: Vec<Span>,
}

#[derive(Debug, Default)]
struct Pass {
    now: i64,
    queries: VecDeque<AuditQuery>,
    counts: u32,
    postponed: Option<AuditQuery>,
    missing: BTreeMap<i64, PageQuery>,
    listed: BTreeSet<i64>,
    purged: BTreeSet<i64>,
}

impl Pass {
    /// Looks closer at a span of which the server has `count` jobs.
    fn narrow(&mut self, ledger: &Ledger, span: Span, count: usize) {
        let known = known_in(ledger, span);
        if count <= known {
            return;
        }
        let middle =
            median_end(ledger, span).filter(|middle| span.from < *middle && *middle < span.to);
        let query = match middle.filter(|_| known > SMALL && self.counts < MAX_COUNTS) {
            None => AuditQuery::Page(PageQuery { span, backfill: span }),
            Some(middle) => {
                let (first, rest) = (Span { to: middle, ..span }, Span { from: middle, ..span });
                AuditQuery::Count { span: first, rest: Some((rest, count)) }
            }
        };
        self.queries.push_front(query);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// The time at which the last one began; `None` if one is due at once. A clock that is set back makes one due.
    since: Option<i64>,
    failed: bool,
    passes: u32,
    running: Option<Pass>,
    /// The server's count once was the ledger's: where it differs from then on, jobs are missing. A role
    /// with rights on single objects may count more than it lists, for ever.
    counts_agree: bool,
    /// Jobs that the last audit missed.
    missing: BTreeMap<i64, PageQuery>,
    result: Option<(usize, usize, SystemTime)>,
}

impl Audit {
    /// Makes an audit due at once: a backfill ended.
    pub(crate) fn request(&mut self) {
        self.since = None;
    }

    /// Returns the next query, if an audit is under way or due: `interval` after the last one.
    pub(crate) fn next(&mut self, ledger: &Ledger, interval: Duration) -> Option<AuditQuery> {
        let now = ledger.progress.now;
        if self.running.is_none() {
            let wait = if self.failed { interval.min(RETRY_INTERVAL) } else { interval };
            let due = self.since.is_none_or(|since| now < since || now - since >= ms(wait));
            let window = ledger.audited(now - SETTLED).filter(|_| due)?;
            self.running = Some(self.begin(ledger, window, now));
            (self.since, self.failed) = (Some(now), false);
        }
        self.running.as_ref()?.queries.front().copied()
    }

    fn begin(&mut self, ledger: &Ledger, window: Span, now: i64) -> Pass {
        self.passes = self.passes.wrapping_add(1);
        let mut queries: VecDeque<AuditQuery> = sample(ledger, window, self.passes).collect();
        let mut again: Vec<PageQuery> = Vec::new();
        for query in self.missing.values() {
            if !again.contains(query) {
                again.push(*query);
            }
        }
        queries.extend(again.into_iter().map(AuditQuery::Page));
        queries.push_back(AuditQuery::Count { span: window, rest: None });
        Pass { now, queries, ..Pass::default() }
    }

    /// Gives the audit up until later: a query failed.
    pub(crate) fn failed(&mut self) {
        self.failed |= self.running.take().is_some();
    }

    /// Leaves the query to the next cycle, or gives the audit up where it was left before.
    pub(crate) fn postpone(&mut self) {
        let Some(pass) = &mut self.running else { return };
        let query = pass.queries.front().copied();
        if pass.postponed == query {
            self.failed();
        } else {
            pass.postponed = query;
        }
    }

    /// Compares a page with the ledger. `whole` where the span has no further rows.
    pub(crate) fn page(&mut self, ledger: &Ledger, rows: &[Listed], whole: bool) {
        let Some(pass) = &mut self.running else { return };
        let Some(AuditQuery::Page(query)) = pass.queries.pop_front() else { return };
        let settled = |row: &&Listed| row.end.max(row.changed) <= pass.now - SETTLED;
        let missing =
            rows.iter().filter(settled).filter(|row| ledger.finished.get(row.id).is_none());
        pass.missing.extend(missing.map(|row| (row.id, query)));
        pass.listed.extend(rows.iter().map(|row| row.id));
        let last = rows.iter().map(|row| row.end).max();
        let to = if whole { query.span.to } else { last.map_or(query.span.from, |end| end - 1) };
        let compared = Span { from: query.span.from + PRECISION, to: to - PRECISION };
        pass.purged.extend(ledger.finished.ids_in(compared));
    }

    /// Takes a count of finished jobs, or that none can be had. Where the server has more than the
    /// ledger, the span is halved until a page of it can be read.
    pub(crate) fn count(&mut self, ledger: &Ledger, count: Option<usize>) {
        let Some(pass) = &mut self.running else { return };
        let Some(AuditQuery::Count { span, rest }) = pass.queries.pop_front() else { return };
        let Some(count) = count else { return };
        let known = known_in(ledger, span);
        if rest.is_none() && count == known && pass.missing.is_empty() {
            self.counts_agree = true;
        }
        if !self.counts_agree {
            return;
        }
        pass.counts += 1;
        match rest {
            _ if count > known => pass.narrow(ledger, span, count),
            Some((rest, both)) => pass.narrow(ledger, rest, both.saturating_sub(count)),
            None => {}
        }
    }

    /// Ends the audit where every query was answered; `at` is the time by the agent's clock.
    pub(crate) fn finish(&mut self, ledger: &Ledger, at: SystemTime) -> Option<AuditResult> {
        let pass = self.running.take_if(|pass| pass.queries.is_empty())?;
        // What the ledger learnt while the audit went on is no difference.
        let mut missing = pass.missing;
        missing.retain(|id, _| ledger.finished.get(*id).is_none());
        let mut standing: Vec<Span> = Vec::new();
        for (id, query) in &missing {
            if self.missing.contains_key(id) && !standing.contains(&query.backfill) {
                standing.push(query.backfill);
            }
        }
        let purged = pass.purged.difference(&pass.listed).count();
        let result = AuditResult {
            difference: missing.len(),
            example: missing.keys().next().copied(),
            standing,
        };
        self.missing = missing;
        self.result = Some((result.difference, purged, at));
        Some(result)
    }

    /// Records the result of the last audit; nothing before the first.
    pub(crate) fn record(&self, samples: &mut Samples) {
        let Some((difference, purged, at)) = self.result else { return };
        samples.record(&DIFFERENCE, [], difference as f64);
        samples.record(&PURGED, [], purged as f64);
        samples.record(&LAST, [], unix_seconds(at));
    }
}

/// Returns the number of jobs that ended in a span and are not live again.
fn known_in(ledger: &Ledger, span: Span) -> usize {
    ledger.finished.ids_in(span).count()
}

/// Returns the end that has half of the span's jobs up to it.
fn median_end(ledger: &Ledger, span: Span) -> Option<i64> {
    ledger.finished.nth_end(span, |count| count.checked_sub(1).map(|last| last / 2))
}

/// Returns a page of each slice of a window, at a place that moves from pass to pass, but never so far
/// that less than half a page of known jobs would follow.
fn sample(ledger: &Ledger, window: Span, pass: u32) -> impl Iterator<Item = AuditQuery> {
    let length = (window.to - window.from) / SLICES;
    // In whole thousandths of the slice.
    let place = Duration::from_secs_f64((f64::from(pass) * STEP).fract()).subsec_millis();
    let shift = length / 1000 * i64::from(place);
    (0..SLICES).map(move |slice| {
        let from = window.from + length * slice;
        let to = if slice + 1 == SLICES { window.to } else { from + length };
        let slice = Span { from, to };
        let span = Span { from: (from + shift).min(last_page(ledger, slice)), to };
        AuditQuery::Page(PageQuery { span, backfill: slice })
    })
}

/// Returns the time after which half a page of the span's jobs ended; its beginning if a page has all.
fn last_page(ledger: &Ledger, span: Span) -> i64 {
    let rank = |count: usize| (count > PAGE).then(|| count - PAGE / 2 - 1);
    ledger.finished.nth_end(span, rank).unwrap_or(span.from)
}
