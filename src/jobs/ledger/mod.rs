//! The ledger of one site: applies rows of the job list, and counts each completion once
//! (docs/adr/0010-job-ledger.md). Its parts own their state; this module decides what a row changes in
//! which of them, `cycle` moves them on in time, `samples` exports them, `records` and `state` save and
//! restore them.

mod cycle;
mod records;
mod samples;
mod state;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

pub(crate) use self::samples::Summary;
pub(super) use self::samples::definitions;
use super::backfill_plan::BackfillPlan;
use super::cycle::Cycle;
use super::dictionary::Dictionary;
use super::effect::{Effect, RowSource};
use super::finished::{FinishedJob, FinishedJobs};
use super::last_results::{AHEAD, LastResultTables, LookupAnswer, LookupQuery, Subject};
use super::live::Live;
use super::name_filter::NameFilterConfig;
use super::progress::Progress;
use super::row::{self, DONE};
use super::save_state::SaveState;
use super::time::Span;
use super::totals::Totals;
use super::unfinished::UnfinishedJobs;
use super::window::Window;
use crate::netbackup::wire::jobs::JobRow;

/// The job ledger of one site. Times are the server's, Unix ms, unless they are a [`SystemTime`].
#[derive(Debug)]
pub struct Ledger {
    progress: Progress,
    dictionary: Dictionary,
    finished: FinishedJobs,
    unfinished: UnfinishedJobs,
    /// Of the last cycle in which the live jobs were read.
    live: Option<Live>,
    window: Window,
    totals: Totals,
    last_results: LastResultTables,
    backfill: BackfillPlan,
    cycle: Cycle,
    save: SaveState,
    /// The time of the save from which it was restored.
    saved_at: Option<SystemTime>,
}

impl Ledger {
    /// Creates an empty ledger that begins at `now`; its totals begin at `origin`.
    pub fn new(now: i64, window: Duration, origin: SystemTime) -> Self {
        Self {
            progress: Progress::new(now),
            dictionary: Dictionary::default(),
            finished: FinishedJobs::default(),
            unfinished: UnfinishedJobs::default(),
            live: None,
            window: Window::new(now, window),
            totals: Totals::new(origin),
            last_results: LastResultTables::default(),
            backfill: BackfillPlan::default(),
            cycle: Cycle::begin(),
            save: SaveState::default(),
            saved_at: None,
        }
    }

    /// Selects the clients and policies that have last results. What is known of those that had them
    /// before stays; the others are filled from the finished jobs.
    pub(crate) fn select(&mut self, clients: &NameFilterConfig, policies: &NameFilterConfig) {
        self.last_results.select(clients, policies, self.progress.now());
        self.fill_last_results();
        self.rebuild_window();
    }

    fn fill_last_results(&mut self) {
        let jobs = || self.dictionary.completions(self.finished.iter());
        self.last_results.fill(jobs);
    }

    fn rebuild_window(&mut self) {
        let by_client = self.last_results.of(Subject::Client).is_some();
        self.window.rebuild(&self.progress, &self.finished, by_client);
    }

    /// Applies a row of the incremental or late walk. Rows that are not `DONE` are skipped.
    pub fn apply_changed(&mut self, row: &JobRow<'_>) {
        self.apply(row, RowSource::Incremental);
    }

    /// Applies a row of a backfill.
    pub fn apply_backfilled(&mut self, row: &JobRow<'_>) {
        self.apply(row, RowSource::Backfill);
    }

    fn apply(&mut self, row: &JobRow<'_>, source: RowSource) {
        self.progress.ids.meet(row.job_id);
        if row.state.as_deref() != Some(DONE) {
            return;
        }
        // A job without an end is placed at its last change.
        let Some(end) = row.end_time.or(row.last_update_time) else { return };
        let before = self.finished.get(row.job_id).copied();
        let effect = match &before {
            Some(before) => {
                Effect::on_finished(before, row::tries(row), row.start_time.unwrap_or(0), end)
            }
            None => self.first_effect(row, end, source),
        };
        if effect == Effect::Ignored {
            return;
        }
        let job = self.dictionary.encode(row, end);
        if source == RowSource::Incremental {
            self.cycle.note_finished(job.id);
        }
        if before != Some(job) {
            self.replace(before, job);
        }
        // A cycle takes a while: what the server changed since it began does not end in the future.
        let present = self.progress.now().max(row.last_update_time.unwrap_or(i64::MIN));
        self.complete(&job, effect, present.saturating_add(AHEAD));
        if self.unfinished.remove(job.id) {
            self.save.mark_unfinished(job.id);
        }
    }

    /// Returns the effect of a row whose job is not among the finished ones.
    fn first_effect(&self, row: &JobRow<'_>, end: i64, source: RowSource) -> Effect {
        let progress = &self.progress;
        let unfinished = self.unfinished.get(row.job_id);
        let tries = row::tries(row);
        let is_new = !progress.predates_ledger(end, self.cycle.elapsed())
            && (unfinished.is_some_and(|job| job.completes(tries))
                || match source {
                    RowSource::Incremental => {
                        progress.is_beyond_horizon(end) || progress.ids.is_new(row.job_id)
                    }
                    RowSource::Backfill => {
                        progress.is_beyond_horizon(end) && progress.is_after_beginning(end)
                    }
                });
        if is_new {
            Effect::counted(tries, unfinished.map_or(1, |job| job.tries))
        } else if end > self.window.oldest_needed(progress) {
            Effect::WindowOnly
        } else {
            Effect::Ignored
        }
    }

    fn replace(&mut self, before: Option<FinishedJob>, job: FinishedJob) {
        if let Some(before) = before {
            self.window.leave(&before);
        }
        self.finished.insert(job);
        self.save.mark_finished(job.id);
        self.window.enter(&job);
    }

    /// Feeds a completion to the totals and last results. An end after `latest` is in the future.
    fn complete(&mut self, job: &FinishedJob, effect: Effect, latest: i64) {
        if effect == Effect::Duplicate {
            return;
        }
        if let Some(completion) = self.dictionary.completion(job) {
            self.last_results.record(&completion);
        }
        let Some(pair) = self.dictionary.pair(job.label_set) else { return };
        let changed = if let Effect::Counted(retries) = effect {
            self.totals.count(job, pair, retries, latest);
            true
        } else {
            self.totals.note_seen(job.label_set, pair, job.leaf)
        };
        if changed {
            self.save.mark_total(job.label_set, pair);
        }
    }

    /// Applies the list of live jobs, after the finished jobs of the same cycle.
    pub fn apply_live(&mut self, mut live: Live) {
        let now = self.progress.now();
        let mut ended = Vec::new();
        for (id, job) in live.iter() {
            self.progress.ids.meet(id);
            let finished = self.finished.get(id).copied();
            if finished.is_some_and(|last| self.cycle.has_finished(id) && last.tries >= job.tries) {
                // It ended after it was listed as live.
                ended.push(id);
                continue;
            }
            if let Some(last) = finished.filter(|last| !last.resumed) {
                self.window.leave(&last);
                self.finished.set_resumed(id, true);
                self.save.mark_finished(id);
            }
            if self.unfinished.see(id, finished.map_or(1, |last| last.tries), now) {
                self.save.mark_unfinished(id);
            }
        }
        for id in ended {
            live.remove(id);
        }
        self.live = Some(live);
        for id in self.unfinished.forget_old(now) {
            self.save.mark_unfinished(id);
        }
    }

    /// Returns the names whose newest successful backup is to be looked up, at most so many.
    pub(crate) fn next_lookups(&mut self, limit: usize) -> Vec<LookupQuery> {
        self.last_results.next_lookups(limit)
    }

    /// Applies the server's answer for a name.
    pub(crate) fn apply_lookup(&mut self, subject: Subject, name: &str, answer: LookupAnswer) {
        self.last_results.apply_lookup(subject, name, answer);
    }

    /// Records that the server could not be asked for a name: others go first.
    pub(crate) fn note_failed_lookup(&mut self, subject: Subject, name: &str) {
        self.last_results.note_failed_lookup(subject, name);
    }

    /// Returns whether the server ever listed a job.
    pub(crate) fn has_met_jobs(&self) -> bool {
        self.progress.ids.has_met_any() || self.dictionary.label_sets().len() > 0
    }

    /// Returns whether jobs were listed so recently that an empty list must be wrong.
    pub(crate) fn expects_jobs(&self) -> bool {
        let Span { from, to } = self.window.span();
        self.finished.ended(from, to).next().is_some()
            || self.unfinished.any_live_lately(self.progress.now())
    }

    /// Returns whether a job is among the finished ones.
    pub(crate) fn knows(&self, job_id: i64) -> bool {
        self.finished.get(job_id).is_some()
    }

    /// Returns the number of finished jobs that are remembered.
    pub(crate) fn remembered(&self) -> usize {
        self.finished.len()
    }

    /// Returns the finished jobs.
    pub(super) fn finished(&self) -> &FinishedJobs {
        &self.finished
    }
}
