//! The window of the gauges: its length, its place, and the sums over the jobs that ended in it.

use std::time::{Duration, Instant};

use super::finished::{FinishedJob, FinishedJobs};
use super::progress::{Progress, SLACK};
use super::time::{Span, ms};
use super::window_sums::WindowSums;

#[derive(Debug)]
pub(super) struct Window {
    /// The length that is put in force when it is complete, or at the next cycle if it is shorter.
    pub(super) configured: Duration,
    /// The length in force, ms; `None` before the first window was complete.
    pub(super) in_force: Option<i64>,
    pub(super) span: Span,
    pub(super) sums: WindowSums,
    /// The moment since which the configured window is not complete.
    incomplete_since: Option<Instant>,
}

impl Window {
    /// Begins with an empty window that ends at `now`.
    pub(super) fn new(now: i64, configured: Duration) -> Self {
        Self {
            configured,
            in_force: None,
            span: Span { from: now, to: now },
            sums: WindowSums::new(false),
            incomplete_since: Some(Instant::now()),
        }
    }

    pub(super) fn begin_cycle(
        &mut self,
        progress: &Progress,
        finished: &FinishedJobs,
        began: Instant,
    ) {
        let configured = ms(self.configured);
        self.in_force = self.in_force.map(|length| length.min(configured));
        self.shift(progress, finished);
        let since = self.incomplete_since.or(Some(began));
        self.incomplete_since = since.filter(|_| !self.is_complete(progress));
    }

    /// Moves the span of the sums to its place now; its ends may move either way.
    fn shift(&mut self, progress: &Progress, finished: &FinishedJobs) {
        let (old, new) = (self.span, self.place(progress));
        self.span = new;
        let first = Span { from: old.from.min(new.from), to: old.from.max(new.from) };
        let second = Span { from: old.to.min(new.to), to: old.to.max(new.to) };
        // If the window jumped, the two overlap.
        let rest = finished.ended(second.from, second.to).filter(|job| !first.contains(job.end));
        let jobs = finished.ended(first.from, first.to).chain(rest);
        for job in jobs.filter(|job| !job.resumed) {
            match (old.contains(job.end), new.contains(job.end)) {
                (false, true) => self.sums.change(job, 1),
                (true, false) => self.sums.change(job, -1),
                _ => {}
            }
        }
    }

    pub(super) fn rebuild(
        &mut self,
        progress: &Progress,
        finished: &FinishedJobs,
        by_client: bool,
    ) {
        self.sums = WindowSums::new(by_client);
        self.span = self.place(progress);
        let jobs = finished.ended(self.span.from, self.span.to);
        jobs.filter(|job| !job.resumed).for_each(|job| self.sums.change(job, 1));
    }

    /// Puts the configured length in force if it is complete.
    pub(super) fn settle(&mut self, progress: &Progress, finished: &FinishedJobs) {
        let configured = ms(self.configured);
        let complete = progress.is_current() && progress.covers(configured);
        if complete && self.in_force != Some(configured) {
            self.in_force = Some(configured);
            self.shift(progress, finished);
        }
    }

    /// Adds (1) or subtracts (-1) a finished job, if it is in the window.
    pub(super) fn change(&mut self, job: &FinishedJob, sign: i64) {
        if !job.resumed && self.span.contains(job.end) {
            self.sums.change(job, sign);
        }
    }

    /// Returns whether the sums are those of the present cycle, with every job of the length in force.
    pub(super) fn is_whole(&self, progress: &Progress) -> bool {
        progress.is_current() && self.in_force.is_some_and(|length| progress.covers(length))
    }

    /// Returns whether the configured length is in force and covered.
    fn is_complete(&self, progress: &Progress) -> bool {
        let configured = ms(self.configured);
        self.in_force == Some(configured) && progress.covers(configured)
    }

    /// Returns the covered part of the configured window, 0 to 1; `ahead` ms are read beyond the horizon.
    pub(super) fn fill_ratio(&self, progress: &Progress, ahead: i64) -> f64 {
        if self.is_complete(progress) {
            return 1.0;
        }
        // Late changes are not read before the walk has caught up.
        let covered = progress.watermark.saturating_sub(progress.horizon);
        let configured = ms(self.configured).max(1);
        (covered.saturating_add(ahead) as f64 / configured as f64).clamp(0.0, 0.999)
    }

    /// Returns the time for which the configured window has not been complete.
    pub(super) fn incomplete_for(&self, progress: &Progress) -> Duration {
        let since = self.incomplete_since.filter(|_| !self.is_complete(progress));
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Returns the end up to which no finished job is needed for any window.
    pub(super) fn oldest_needed(&self, progress: &Progress) -> i64 {
        let length = self.length().max(ms(self.configured));
        progress.start_of(length).saturating_sub(SLACK)
    }

    pub(super) fn start(&self, progress: &Progress) -> i64 {
        progress.start_of(ms(self.configured))
    }

    /// Returns the length of the sums' span, ms.
    fn length(&self) -> i64 {
        self.in_force.unwrap_or(ms(self.configured))
    }

    fn place(&self, progress: &Progress) -> Span {
        Span { from: progress.start_of(self.length()), to: progress.now }
    }
}
