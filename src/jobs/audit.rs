//! The audit of a ledger: pages of the server's list of finished jobs, compared with the jobs that the
//! ledger remembers. It finds what any rule of the ledger lost. Pure: it says what to ask, and takes the
//! answers; `collectors/jobs/audit.rs` asks. Times are the server's, Unix ms.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, SystemTime};

use super::Ledger;
use super::ledger::Span;
use crate::metric::{Definition, Metric, Samples};

/// Time between two audits, and after one that failed.
const INTERVAL: i64 = 3_600_000;
const RETRY_INTERVAL: i64 = 300_000;

/// Jobs that changed less than this before the audit are left out: their rows may show late.
const SETTLED: i64 = 600_000;

/// Slices of the window of which an audit reads one page each.
const SLICES: i64 = 6;

/// Rows of one page.
pub const PAGE: usize = 100;

/// The share of a slice by which the page moves from one audit to the next: multiples of the golden
/// ratio never come back to the same place, and cover the slice evenly.
const STEP: f64 = 0.618_033_988_749_895;

/// Counts that an audit may ask for to find the part of a window that lacks a job.
const MAX_COUNTS: u32 = 20;

/// A part of the window with at most this many jobs is read instead of being halved again.
const SMALL: usize = PAGE / 2;

/// What filters of the server may be imprecise by.
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

/// A question of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The first page of the finished jobs that ended in this span, by the time of their end.
    Page(PageQuestion),
    /// How many finished jobs ended in a span: a hint where to look.
    Count(CountQuestion),
}

/// A count of the finished jobs that ended in `(from, to]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountQuestion {
    /// `(from, to]`.
    pub span: Span,
    /// The span after it, and the server's count of both together.
    rest: Option<(Span, usize)>,
}

/// A page to be read, and the span to be read again where it lacks jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageQuestion {
    /// `(from, to]`.
    pub span: Span,
    backfill: Span,
}

/// A finished job as the server lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub id: i64,
    /// Its end.
    pub end: i64,
    /// Its last change.
    pub changed: i64,
}

/// What an audit that ended came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Jobs that are listed and not known.
    pub difference: usize,
    /// The number of one of them.
    pub example: Option<i64>,
    /// Spans that lacked jobs in the audit before, too.
    pub standing: Vec<Span>,
}

/// One pass over the window.
#[derive(Debug)]
struct Pass {
    now: i64,
    questions: VecDeque<Question>,
    counts: u32,
    postponed: Option<Question>,
    missing: BTreeMap<i64, PageQuestion>,
    listed: BTreeSet<i64>,
    purged: BTreeSet<i64>,
}

impl Pass {
    /// Looks closer at a span of which the server has `count` jobs.
    fn narrow(&mut self, ledger: &Ledger, span: Span, count: usize) {
        let known = ledger.ended_count(span);
        if count <= known {
            return;
        }
        let middle =
            ledger.median_end(span).filter(|middle| span.from < *middle && *middle < span.to);
        let question = match middle.filter(|_| known > SMALL && self.counts < MAX_COUNTS) {
            None => Question::Page(PageQuestion { span, backfill: span }),
            Some(middle) => {
                let (first, rest) = (Span { to: middle, ..span }, Span { from: middle, ..span });
                Question::Count(CountQuestion { span: first, rest: Some((rest, count)) })
            }
        };
        self.questions.push_front(question);
    }
}

/// Returns a page of each slice of a window, at a place that moves from pass to pass, but never so far
/// that less than half a page of known jobs would follow.
fn sample(ledger: &Ledger, window: Span, pass: u32) -> impl Iterator<Item = Question> {
    let length = (window.to - window.from) / SLICES;
    // In whole thousandths of the slice.
    let place = Duration::from_secs_f64((f64::from(pass) * STEP).fract()).subsec_millis();
    let shift = length / 1000 * i64::from(place);
    (0..SLICES).map(move |slice| {
        let from = window.from + length * slice;
        let to = if slice + 1 == SLICES { window.to } else { from + length };
        let slice = Span { from, to };
        let span = Span { from: (from + shift).min(ledger.last_page(slice)), to };
        Question::Page(PageQuestion { span, backfill: slice })
    })
}

/// The audits of one ledger.
#[derive(Debug, Default)]
pub struct Audit {
    /// When the next one is due; `None` at once.
    due: Option<i64>,
    /// When the last one began or failed: a clock that is set back makes one due.
    since: i64,
    passes: u32,
    running: Option<Pass>,
    /// The server's count once was the ledger's: where it differs from then on, jobs are missing. A role
    /// with rights on single objects may count more than it lists, for ever.
    counts_agree: bool,
    /// Jobs that the last audit missed.
    missing: BTreeMap<i64, PageQuestion>,
    result: Option<(usize, usize, SystemTime)>,
}

impl Audit {
    /// Makes an audit due at once: a backfill ended.
    pub fn request(&mut self) {
        self.due = None;
    }

    /// Returns the next question, if an audit is under way or due.
    pub fn next(&mut self, ledger: &Ledger) -> Option<Question> {
        let now = ledger.position.now;
        if self.running.is_none() {
            let due = self.due.is_none_or(|due| due <= now || now < self.since);
            let window = ledger.audited(now - SETTLED).filter(|_| due)?;
            self.running = Some(self.begin(ledger, window, now));
            self.since = now;
        }
        self.running.as_ref()?.questions.front().copied()
    }

    fn begin(&mut self, ledger: &Ledger, window: Span, now: i64) -> Pass {
        self.passes = self.passes.wrapping_add(1);
        let mut questions: VecDeque<Question> = sample(ledger, window, self.passes).collect();
        let mut again: Vec<PageQuestion> = Vec::new();
        for question in self.missing.values() {
            if !again.contains(question) {
                again.push(*question);
            }
        }
        questions.extend(again.into_iter().map(Question::Page));
        questions.push_back(Question::Count(CountQuestion { span: window, rest: None }));
        Pass {
            now,
            questions,
            counts: 0,
            postponed: None,
            missing: BTreeMap::new(),
            listed: BTreeSet::new(),
            purged: BTreeSet::new(),
        }
    }

    /// Gives the audit up until later: a question failed.
    pub fn failed(&mut self) {
        if let Some(pass) = self.running.take() {
            self.due = Some(pass.now + RETRY_INTERVAL);
        }
    }

    /// Leaves the question to the next cycle, or gives the audit up where it was left before.
    pub fn postpone(&mut self) {
        let Some(pass) = &mut self.running else { return };
        let question = pass.questions.front().copied();
        if pass.postponed == question {
            self.failed();
        } else {
            pass.postponed = question;
        }
    }

    /// Compares a page with the ledger. `whole` where the span has no further rows.
    pub fn page(&mut self, ledger: &Ledger, rows: &[Listed], whole: bool) {
        let Some(pass) = &mut self.running else { return };
        let Some(Question::Page(question)) = pass.questions.pop_front() else { return };
        let settled = |row: &&Listed| row.end.max(row.changed) <= pass.now - SETTLED;
        let missing = rows.iter().filter(settled).filter(|row| !ledger.knows(row.id));
        pass.missing.extend(missing.map(|row| (row.id, question)));
        pass.listed.extend(rows.iter().map(|row| row.id));
        let last = rows.iter().map(|row| row.end).max();
        let to =
            if whole { question.span.to } else { last.map_or(question.span.from, |end| end - 1) };
        let compared = Span { from: question.span.from + PRECISION, to: to - PRECISION };
        pass.purged.extend(ledger.ended_in(compared));
    }

    /// Takes a count of finished jobs, or that none can be had. Where the server has more than the
    /// ledger, the span is halved until a page of it can be read.
    pub fn count(&mut self, ledger: &Ledger, count: Option<usize>) {
        let Some(pass) = &mut self.running else { return };
        let Some(Question::Count(question)) = pass.questions.pop_front() else { return };
        let Some(count) = count else { return };
        let known = ledger.ended_count(question.span);
        if question.rest.is_none() && count == known && pass.missing.is_empty() {
            self.counts_agree = true;
        }
        if !self.counts_agree {
            return;
        }
        pass.counts += 1;
        match question.rest {
            _ if count > known => pass.narrow(ledger, question.span, count),
            Some((rest, both)) => pass.narrow(ledger, rest, both.saturating_sub(count)),
            None => {}
        }
    }

    /// Ends the audit where every question was answered; `at` is the time by the agent's clock.
    pub fn finish(&mut self, ledger: &Ledger, at: SystemTime) -> Option<Verdict> {
        let pass = self.running.take_if(|pass| pass.questions.is_empty())?;
        // What the ledger learnt while the audit went on is no difference.
        let mut missing = pass.missing;
        missing.retain(|id, _| !ledger.knows(*id));
        let mut standing: Vec<Span> = Vec::new();
        for (id, question) in &missing {
            if self.missing.contains_key(id) && !standing.contains(&question.backfill) {
                standing.push(question.backfill);
            }
        }
        let purged = pass.purged.difference(&pass.listed).count();
        let verdict = Verdict {
            difference: missing.len(),
            example: missing.keys().next().copied(),
            standing,
        };
        self.missing = missing;
        self.result = Some((verdict.difference, purged, at));
        self.due = Some(pass.now + INTERVAL);
        Some(verdict)
    }

    /// Records the result of the last audit; nothing before the first.
    pub fn record(&self, samples: &mut Samples) {
        let Some((difference, purged, at)) = self.result else { return };
        samples.record(&DIFFERENCE, [], difference as f64);
        samples.record(&PURGED, [], purged as f64);
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        samples.record(&LAST, [], since.as_secs_f64());
    }
}

impl Ledger {
    /// Returns the span that an audit covers: what of the window ended by `until`, where the window is
    /// complete.
    fn audited(&self, until: i64) -> Option<Span> {
        let span = Span { from: self.window.from, to: until.min(self.window.to) };
        (self.is_whole() && self.fill_from.is_none() && span.from < span.to).then_some(span)
    }

    /// Returns the jobs that ended in `(from, to]` and are not live again.
    fn ended_in(&self, span: Span) -> impl Iterator<Item = i64> {
        self.finished.ended(span.from, span.to).filter(|job| !job.resumed).map(|job| job.id)
    }

    fn ended_count(&self, span: Span) -> usize {
        self.ended_in(span).count()
    }

    /// Returns the end that has half of the span's jobs up to it.
    fn median_end(&self, span: Span) -> Option<i64> {
        self.nth_end(span, |count| count.checked_sub(1).map(|last| last / 2))
    }

    /// Returns the time in the span after which half a page of its jobs ended; its beginning, where it has
    /// no more than a page.
    fn last_page(&self, span: Span) -> i64 {
        let rank = |count: usize| (count > PAGE).then(|| count - PAGE / 2 - 1);
        self.nth_end(span, rank).unwrap_or(span.from)
    }

    /// Returns the end at a rank among those in the span, which is chosen by how many there are.
    fn nth_end(&self, span: Span, rank: impl Fn(usize) -> Option<usize>) -> Option<i64> {
        let mut ends: Vec<i64> =
            self.finished.ended(span.from, span.to).map(|job| job.end).collect();
        let rank = rank(ends.len())?;
        Some(*ends.select_nth_unstable(rank).1)
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
