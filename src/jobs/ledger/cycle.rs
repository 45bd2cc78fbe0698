//! The steps of a cycle: which spans are to be read, and what follows when they were.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::{Cycle, Ledger};
use crate::jobs::finished::FinishedJob;
use crate::jobs::last_results::AHEAD;
use crate::jobs::progress::ChangeField;
use crate::jobs::time::Span;

impl Ledger {
    /// Begins a cycle at `now`, `passed` by our clock after the last one. Returns whether the server's
    /// clock was set back.
    pub fn begin(&mut self, now: i64, passed: Duration) -> bool {
        let last = self.progress.now;
        let set_back = self.progress.begin_cycle(now, passed);
        self.note_outage();
        self.advance_last_results(last, set_back);
        // A new set, not a cleared one: one cycle may meet a million jobs, and all others a few.
        self.cycle = Cycle { began: Instant::now(), finished: HashSet::new() };
        self.window.begin_cycle(&self.progress, &self.finished, self.cycle.began);
        self.prune();
        self.details.begin(&mut self.dictionary, self.progress.now);
        if self.dictionary.names.has_grown() {
            self.dictionary.forget_unused(self.finished.iter(), self.details.names());
        }
        set_back
    }

    /// Records an outage, unless the ends of jobs tell nothing of it.
    fn note_outage(&mut self) {
        let Some(outage) = self.progress.find_outage() else { return };
        if self.progress.gap.outage.is_some() || !self.ends_tell_no_purge(outage.from) {
            self.progress.gap.outage = Some(outage);
        }
    }

    /// Returns whether the end of the oldest job would tell nothing of an outage that began at `from`:
    /// the clock was set back, so that jobs from before it end in the future, and no success is known that
    /// ended earlier and could have been purged.
    fn ends_tell_no_purge(&self, from: i64) -> bool {
        let label_sets = &self.dictionary.label_sets;
        let succeeded = |job: &FinishedJob| {
            label_sets.get(job.label_set).is_some_and(|labels| labels.status == Some(0))
        };
        let future = self.progress.now + AHEAD;
        self.finished.ended(future, i64::MAX).next().is_some()
            && !self.finished.ended(i64::MIN, from).any(succeeded)
    }

    /// Moves the last results from the time `last` to the present.
    pub(super) fn advance_last_results(&mut self, last: i64, set_back: bool) {
        let jobs = |after, until| {
            let jobs = self.finished.ended(after, until);
            self.dictionary.completions(jobs)
        };
        self.last_results.advance(last, self.progress.now, set_back, jobs);
    }

    /// Drops the finished jobs that no window needs any more.
    fn prune(&mut self) {
        let needed = self.window.oldest_needed(&self.progress);
        let Some(horizon) = self.progress.raise_horizon(needed) else { return };
        let now = self.progress.now;
        for job in self.finished.drop_until(horizon) {
            self.unsaved.mark_finished(job.id);
            if job.tries > 1 && self.unfinished.remember_tries(job.id, job.tries, now) {
                self.unsaved.mark_unfinished(job.id);
            }
        }
    }

    /// Sets the configured length of the window. A longer one is in force once it is complete.
    pub(crate) fn set_window(&mut self, length: Duration) {
        self.window.configured = length;
        self.backfill.goal = None;
    }

    pub fn walk_from(&self, field: ChangeField) -> i64 {
        self.progress.walk_from(field)
    }

    pub fn finish_walk(&mut self, field: ChangeField) {
        self.progress.finish_walk(field);
        self.window.settle(&self.progress, &self.finished);
    }

    /// Returns the span of the late walk, if one is due or under way.
    pub fn next_late_walk(&mut self) -> Option<Span> {
        self.progress.next_late_walk()
    }

    /// Returns the span `(from, to]` of endTime that is to be read backwards, if any.
    pub fn next_backfill(&mut self) -> Option<Span> {
        self.backfill.next(self.window.start(&self.progress), self.progress.horizon)
    }

    /// Records that everything that ended after `horizon` was read.
    pub fn finish_backfill(&mut self, horizon: i64) {
        self.progress.horizon = self.progress.horizon.min(horizon);
        self.backfill.reached(self.progress.horizon);
        self.window.settle(&self.progress, &self.finished);
    }

    /// Gives up reading beyond the window; returns whether the window itself is covered.
    pub(crate) fn cancel_backfill_beyond_window(&mut self) -> bool {
        let covered = self.window.start(&self.progress) >= self.progress.horizon;
        if covered {
            self.backfill.goal = None;
        }
        covered
    }

    /// Returns whether the numbers of the window in force are those of the present cycle.
    pub(crate) fn is_whole(&self) -> bool {
        self.window.is_whole(&self.progress)
    }

    /// Returns the part of the window that an audit covers, if it is complete: what ended by `until`.
    pub(in crate::jobs) fn audited(&self, until: i64) -> Option<Span> {
        let Span { from, to } = self.window.span;
        let span = Span { from, to: until.min(to) };
        let is_read = self.is_whole() && self.backfill.goal.is_none();
        (is_read && span.from < span.to).then_some(span)
    }
}
