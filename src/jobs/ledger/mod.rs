//! The ledger of one site: applies rows of the job list, and counts each completion once
//! (docs/adr/0010-job-ledger.md). Its parts own their state; this module decides what a row changes in
//! which of them, `cycle` moves them on in time, `samples` exports them, `state` saves and restores
//! them.

mod cycle;
mod samples;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

pub(crate) use self::samples::Summary;
pub(super) use self::samples::definitions;
use super::backfill_plan::BackfillPlan;
use super::details::{Details, Ended};
use super::dictionary::Dictionary;
use super::finished::{FinishedJob, FinishedJobs};
use super::last_results::{AHEAD, LastResultTables, NameFilterConfig, Subject};
use super::live::Live;
use super::progress::Progress;
use super::row::{self, DONE};
use super::time::Span;
use super::totals::Totals;
use super::unfinished::UnfinishedJobs;
use super::unsaved::UnsavedChanges;
use super::window::Window;
use crate::netbackup::wire::jobs::JobRow;

/// The job ledger of one site. Times are the server's, Unix ms, unless they are a [`SystemTime`].
#[derive(Debug)]
pub struct Ledger {
    pub(crate) progress: Progress,
    dictionary: Dictionary,
    pub(super) finished: FinishedJobs,
    unfinished: UnfinishedJobs,
    /// Of the last cycle in which the live jobs were read.
    live: Option<Live>,
    window: Window,
    totals: Totals,
    pub(in crate::jobs) details: Details,
    pub(crate) last_results: LastResultTables,
    pub(crate) backfill: BackfillPlan,
    cycle: Cycle,
    unsaved: UnsavedChanges,
    /// Changes that were handed over to be written, and are not acknowledged yet.
    handed_over: Option<UnsavedChanges>,
    /// The time of the save from which it was restored, by our clock.
    pub(crate) saved_at: Option<SystemTime>,
}

/// A cycle that is under way.
#[derive(Debug)]
struct Cycle {
    began: Instant,
    /// Jobs that the incremental walk listed as finished.
    finished: HashSet<i64>,
}

/// The walk that returned a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowSource {
    /// The incremental or the late walk: its job changed.
    Incremental,
    /// A backfill, or a reread.
    Backfill,
}

/// The effect of the row of a finished job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// A known completion, of which other fields may have changed.
    Duplicate,
    /// A new completion, with the retries since the last one.
    Counted(u64),
    /// A completion that was counted or predates the ledger, maybe: it counts in the window only.
    WindowOnly,
    /// None: an older try of a known job, or older than any window needs.
    Ignored,
}

impl Effect {
    /// Returns the effect of a new completion with so many tries, of `before` at the last one.
    fn counted(tries: u16, before: u16) -> Self {
        Self::Counted(u64::from(tries.saturating_sub(before)))
    }

    /// Returns the effect of a row whose job is among the finished ones. A start of 0 is unknown.
    fn on_finished(before: &FinishedJob, tries: u16, start: i64, end: i64) -> Self {
        if before.start != 0 && start != 0 && before.start != start {
            // The number of a job before a reset of the catalogue.
            Self::counted(tries, 1)
        } else if tries > before.tries
            || (before.resumed && end != before.end && tries == before.tries)
        {
            Self::counted(tries, before.tries)
        } else if tries < before.tries {
            Self::Ignored
        } else {
            Self::Duplicate
        }
    }
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
            details: Details::new(origin),
            last_results: LastResultTables::default(),
            backfill: BackfillPlan::default(),
            cycle: Cycle { began: Instant::now(), finished: HashSet::new() },
            unsaved: UnsavedChanges::default(),
            handed_over: None,
            saved_at: None,
        }
    }

    /// Selects the clients, policies and workloads that have last results. What is known of those that had them
    /// before stays; the others are filled from the finished jobs.
    pub(crate) fn select(
        &mut self,
        clients: &NameFilterConfig,
        policies: &NameFilterConfig,
        workloads: &NameFilterConfig,
    ) {
        self.last_results.select(clients, policies, workloads, self.progress.now);
        self.fill_last_results();
        self.rebuild_window();
    }

    fn fill_last_results(&mut self) {
        for table in &mut self.last_results.0 {
            table.fill(self.dictionary.completions(self.finished.iter()));
        }
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
            self.cycle.finished.insert(job.id);
        }
        if before != Some(job) {
            self.replace(before, job);
        }
        // A cycle takes a while: what the server changed since it began does not end in the future.
        let present = self.progress.now.max(row.last_update_time.unwrap_or(i64::MIN));
        let ended = Ended {
            counted: matches!(effect, Effect::Counted(_)),
            first: before.is_none(),
            latest: present.saturating_add(AHEAD),
        };
        self.complete(row, &job, effect, &ended);
        if self.unfinished.by_id.remove(&job.id).is_some() {
            self.unsaved.mark_unfinished(job.id);
        }
    }

    /// Returns the effect of a row whose job is not among the finished ones.
    fn first_effect(&self, row: &JobRow<'_>, end: i64, source: RowSource) -> Effect {
        let progress = &self.progress;
        let unfinished = self.unfinished.by_id.get(&row.job_id);
        let tries = row::tries(row);
        let is_new = !progress.predates_ledger(end, self.cycle.began.elapsed())
            && (unfinished.is_some_and(|job| job.completes(tries))
                || match source {
                    RowSource::Incremental => {
                        end > progress.horizon || progress.ids.is_new(row.job_id)
                    }
                    RowSource::Backfill => end > progress.horizon && end > progress.began,
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
            self.window.change(&before, -1);
        }
        self.finished.insert(job);
        self.unsaved.mark_finished(job.id);
        self.window.change(&job, 1);
    }

    /// Feeds a completion to the totals, details and last results.
    fn complete(&mut self, row: &JobRow<'_>, job: &FinishedJob, effect: Effect, ended: &Ended) {
        if effect == Effect::Duplicate {
            return;
        }
        if let Some(completion) = self.dictionary.completion(job) {
            self.last_results.0.iter_mut().for_each(|table| table.record(&completion));
        }
        let Some(labels) = self.dictionary.label_sets.get(job.label_set) else { return };
        self.details.record(row, job, (&mut self.dictionary.names, *labels), ended);
        let changed = if let Effect::Counted(retries) = effect {
            self.totals.count(job, labels, retries, ended.latest);
            true
        } else {
            self.totals.note_seen(job.label_set, labels, job.leaf)
        };
        if changed {
            self.unsaved.mark_total(job.label_set, labels.pair());
        }
    }

    /// Applies the list of live jobs, after the finished jobs of the same cycle.
    pub fn apply_live(&mut self, mut live: Live) {
        let now = self.progress.now;
        live.jobs.retain(|&id, job| {
            self.progress.ids.meet(id);
            let finished = self.finished.get(id).copied();
            let ended = self.cycle.finished.contains(&id);
            if ended && finished.is_some_and(|last| last.tries >= job.tries) {
                // It ended after it was listed as live.
                return false;
            }
            if let Some(last) = finished.filter(|last| !last.resumed) {
                self.window.change(&last, -1);
                self.finished.mark_resumed(id);
                self.unsaved.mark_finished(id);
            }
            if self.unfinished.see(id, finished.map_or(1, |last| last.tries), now) {
                self.unsaved.mark_unfinished(id);
            }
            true
        });
        self.details.see_live(&live, &mut self.dictionary.names, now);
        self.live = Some(live);
        for id in self.unfinished.forget_old(now) {
            self.unsaved.mark_unfinished(id);
        }
    }

    /// Returns status codes for whose text the server is to be asked, at most so many.
    pub(crate) fn unknown_statuses(&self, limit: usize) -> Vec<i64> {
        let statuses = &self.dictionary.label_sets.statuses;
        self.details.unknown_statuses(statuses, self.progress.now, limit)
    }

    /// Records the server's answer to the question for the text of a status code.
    pub(crate) fn note_status_text(&mut self, status: i64, text: Option<&str>) {
        self.details.note_status_text(status, text, self.progress.now);
    }

    /// Returns whether the server ever listed a job.
    pub(crate) fn has_met_jobs(&self) -> bool {
        self.progress.ids.has_met_any() || self.dictionary.label_sets.len() > 0
    }

    /// Returns whether jobs were listed so recently that an empty list must be wrong.
    pub(crate) fn expects_jobs(&self) -> bool {
        let Span { from, to } = self.window.span;
        self.finished.ended(from, to).next().is_some()
            || self.unfinished.any_live_lately(self.progress.now)
    }

    /// Returns the number of finished jobs that are remembered.
    pub(crate) fn remembered(&self) -> usize {
        self.finished.len()
    }
}
