//! The backfill: reads spans of endTime in slices, newest first and concurrently, in steps, so that live
//! jobs are exported meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::queries::finished;
use super::walks::{AGAIN, Bookmark, FinishedWalk, SharedLedger, TimeBudget, WalkSummary};
use crate::jobs::{ChangeField, Span};
use crate::netbackup::{Error, Session};

/// Slices that are read at once; the server's budget of requests holds all the same.
const AT_ONCE: usize = 4;

/// The least length of a slice, ms, and the most slices that a span is read in.
const SLICE: i64 = 900_000;
const MOST_SLICES: i64 = 4;

#[derive(Debug)]
struct Slice {
    span: Span,
    /// Everything before it is read.
    read: i64,
    place: Option<Bookmark>,
}

#[derive(Debug)]
pub(super) struct Backfill {
    /// Slices before the horizon, newest first.
    slices: Vec<Slice>,
    /// Slices to be read again.
    again: Vec<Slice>,
    /// The length of the span before the horizon when the backfill began, ms.
    length: i64,
    started: Instant,
    rows: usize,
    pages: u32,
}

#[derive(Debug, Default)]
pub(super) struct BackfillStep {
    pub(super) error: Option<Error>,
    pub(super) rows: usize,
    pub(super) pages: u32,
    /// There is more to read, and another step at once makes progress.
    pub(super) unfinished: bool,
}

impl Slice {
    fn new(span: Span) -> Self {
        Self { span, read: span.from, place: None }
    }

    fn is_read(&self) -> bool {
        self.read >= self.span.to
    }

    /// Reads the finished jobs that ended in `(from, to]`.
    async fn read(
        &mut self,
        session: &Session,
        ledger: &SharedLedger<'_>,
        budget: &TimeBudget<'_>,
        failed: &AtomicBool,
    ) -> WalkSummary {
        if failed.load(Ordering::Relaxed) || budget.is_spent() {
            return WalkSummary::default();
        }
        let field = ChangeField::End;
        let from = self.span.from.max(self.read - AGAIN);
        let filter = finished(field, ("gt", from), Some(("le", self.span.to)));
        let walk = FinishedWalk { field, filter, pages: u32::MAX, budget: Some(budget) };
        let (read, to) = (&mut self.read, self.span.to);
        let walked = walk
            .walk(session, &mut self.place, |rows, reached| {
                ledger.note_sizes(rows);
                let mut ledger = ledger.lock();
                for row in rows {
                    ledger.apply_backfilled(row);
                }
                // All of it is read where the list ends, and only there.
                *read = (*read).max(reached.min(to - 1));
            })
            .await;
        if walked.complete {
            self.read = self.span.to;
        }
        if walked.error.is_some() {
            failed.store(true, Ordering::Relaxed);
        }
        walked
    }
}

impl Backfill {
    pub(super) fn new() -> Self {
        let (slices, again) = (Vec::new(), Vec::new());
        Self { slices, again, length: 0, started: Instant::now(), rows: 0, pages: 0 }
    }

    /// Sets the span to be read by now; what was read of it stays read.
    pub(super) fn aim(&mut self, span: Option<Span>) {
        let Some(span) = span else {
            self.slices.clear();
            return;
        };
        let top = self.slices.first().map(|slice| slice.span.to);
        if top != Some(span.to) {
            *self = Self { again: std::mem::take(&mut self.again), ..Self::new() };
        }
        let bottom = self.slices.last().map_or(span.to, |slice| slice.span.from);
        self.slices.retain(|slice| slice.span.to > span.from);
        self.slices.extend(slices(Span { from: span.from, to: bottom }));
        self.length = self.length.max(span.to - span.from);
    }

    /// Adds a span to be read again.
    pub(super) fn add(&mut self, span: Span) {
        self.again.extend(slices(span));
    }

    /// Discards all that was read and not covered: jobs may have been hidden.
    pub(super) fn discard(&mut self) {
        self.slices.clear();
        for slice in &mut self.again {
            *slice = Slice::new(slice.span);
        }
    }

    /// Returns the length of what was read and is not covered yet, ms.
    pub(super) fn ahead(&self) -> i64 {
        self.slices.iter().map(|slice| slice.read - slice.span.from).sum()
    }

    /// Removes the newest slices that are read. Returns the new horizon, if it moved.
    pub(super) fn take_covered(&mut self) -> Option<i64> {
        self.again.retain(|slice| !slice.is_read());
        let read = self.slices.iter().take_while(|slice| slice.is_read()).count();
        self.slices.drain(..read).next_back().map(|slice| slice.span.from)
    }

    /// Reads on until the budget is spent.
    pub(super) async fn step(
        &mut self,
        session: &Session,
        ledger: &SharedLedger<'_>,
        budget: &TimeBudget<'_>,
    ) -> BackfillStep {
        if self.slices.is_empty() && self.again.is_empty() {
            return BackfillStep::default();
        }
        let failed = AtomicBool::new(false);
        let lacking = self.slices.iter_mut().map(|slice| (true, slice));
        let all = lacking.chain(self.again.iter_mut().map(|slice| (false, slice)));
        let failed = &failed;
        let walks = all.filter(|(_, slice)| !slice.is_read()).map(|(lacking, slice)| async move {
            (lacking, slice.read(session, ledger, budget, failed).await)
        });
        let walks: Vec<_> = walks.collect();
        let walked: Vec<_> = stream::iter(walks).buffer_unordered(AT_ONCE).collect().await;
        let mut step = BackfillStep::default();
        let (mut restarted, mut any_failed) = (false, false);
        for (lacking, walk) in walked {
            step.rows += walk.rows;
            step.pages += walk.pages;
            restarted |= walk.restarted;
            any_failed |= walk.error.is_some();
            // A slice that failed is taken up in the next cycle, where it stood. What is read for a
            // second time is no failure of the window.
            step.error = step.error.or(walk.error.filter(|_| lacking));
        }
        self.rows += step.rows;
        self.pages += step.pages;
        let left = self.slices.iter().chain(&self.again).any(|slice| !slice.is_read());
        step.unfinished = left && !any_failed && !restarted;
        self.log_progress(session.client().site());
        step
    }

    fn log_progress(&self, site: &str) {
        if self.slices.is_empty() {
            return;
        }
        let (jobs, pages) = (self.rows, self.pages);
        let seconds = self.started.elapsed().as_secs_f64();
        let seconds = (seconds * 10.0).round() / 10.0;
        let left: i64 = self.slices.iter().map(|slice| slice.span.to - slice.read).sum();
        if left == 0 {
            tracing::info!(site, jobs, pages, seconds, "job window backfilled");
        } else {
            let percent = (100.0 - 100.0 * left as f64 / self.length.max(1) as f64).floor();
            tracing::info!(site, percent, jobs, pages, seconds, "backfilling the job window");
        }
    }
}

/// Cuts a span into slices, newest first.
fn slices(span: Span) -> impl Iterator<Item = Slice> {
    let length = span.to - span.from;
    let count = if length > 0 { (length / SLICE).clamp(1, MOST_SLICES) } else { 0 };
    // A span may be of decades: no product of two lengths.
    let edge =
        move |slice: i64| if slice == count { span.to } else { span.from + length / count * slice };
    (0..count).rev().map(move |slice| Slice::new(Span { from: edge(slice), to: edge(slice + 1) }))
}
