//! Tracks what of a ledger is saved, and restores it.

use std::time::SystemTime;

use super::Ledger;
use crate::jobs::finished::FinishedJob;
use crate::jobs::format::{DurationsV1, NameV1, Record, RestoreError};
use crate::jobs::interner::NameId;
use crate::jobs::progress::Progress;
use crate::jobs::time::from_unix_ms;
use crate::jobs::totals::Totals;
use crate::metric::Distribution;

impl Ledger {
    /// Records that everything up to here was handed over to be written; what changes from here on is
    /// recorded.
    pub fn hand_over_all(&mut self) {
        let saved = (self.dictionary.names().len(), self.dictionary.label_sets().len());
        let reused = self.dictionary.take_reused();
        self.save.hand_over(saved, reused, self.last_results.hand_over());
    }

    /// Records that what was handed over is on disk.
    pub fn mark_saved(&mut self) {
        self.save.mark_saved();
    }

    /// Records that what was handed over did not reach the disk: the next save has it again.
    pub(crate) fn mark_not_saved(&mut self) {
        self.last_results.take_back(self.save.mark_not_saved());
    }

    /// Returns whether the changes since the last save are known, so that they alone need saving.
    pub(crate) fn knows_what_changed(&self) -> bool {
        self.save.is_incremental()
    }

    /// Records that the contents of the disk are unknown: the next save has to be one of everything.
    pub(crate) fn mark_all_dirty(&mut self) {
        self.save.mark_all_dirty();
    }

    /// Begins the totals at 0, at `origin`: those that were restored are not the last that were shown.
    pub(crate) fn restart_totals(&mut self, origin: SystemTime) {
        self.totals = Totals::new(origin);
        let span = self.window.span();
        for job in self.finished.ended(span.from, span.to) {
            if let Some(pair) = self.dictionary.pair(job.label_set) {
                self.totals.note_seen(job.label_set, pair, job.leaf);
            }
        }
        self.progress.gap.reset_total();
        self.last_results.restart_counters();
        self.mark_all_dirty();
    }

    /// Returns the time of the save from which the ledger was restored, by our clock.
    pub(crate) fn saved_at(&self) -> Option<SystemTime> {
        self.saved_at
    }

    /// Restores the records of a part or a transaction.
    ///
    /// # Errors
    ///
    /// If they are no records, refer to what is not there, or were written by a newer version of the
    /// agent.
    pub(crate) fn restore(&mut self, mut bytes: &[u8]) -> Result<(), RestoreError> {
        while !bytes.is_empty() {
            if let Some(record) = Record::next(&mut bytes)?
                && !self.restore_record(record)
            {
                return Err(RestoreError::CorruptState);
            }
        }
        Ok(())
    }

    /// Restores a record; returns whether it fits to those before it.
    fn restore_record(&mut self, record: Record<'_>) -> bool {
        match record {
            Record::Name(NameV1 { id, text }) => self.dictionary.restore_name(NameId(id), &text),
            Record::Labels(labels) => {
                let (id, labels) = labels.labels();
                self.dictionary.restore_label_set(id, labels)
            }
            Record::Job(job) => {
                let job = FinishedJob::from(job);
                let fits = self.dictionary.has_names_of(&job);
                if fits {
                    self.finished.insert(job);
                }
                fits
            }
            Record::JobGone(id) => {
                self.finished.remove(id);
                true
            }
            Record::Unfinished(unfinished) => {
                let (id, job) = unfinished.job();
                self.unfinished.restore(id, job);
                true
            }
            Record::UnfinishedGone(id) => {
                self.unfinished.remove(id);
                true
            }
            Record::Total(total) => {
                let (id, total) = total.total();
                self.totals.restore(id, total);
                self.dictionary.label_sets().get(id).is_some()
            }
            Record::Durations(durations) => self.restore_durations(durations),
            Record::Last(last) => self.last_results.restore(&last),
            Record::Progress(saved) => {
                self.progress = Progress::restore(&saved);
                self.window.restore(saved.in_force);
                self.totals.restore_origin(from_unix_ms(saved.origin));
                self.saved_at = Some(from_unix_ms(saved.written));
                true
            }
        }
    }

    fn restore_durations(&mut self, durations: DurationsV1<'_>) -> bool {
        let DurationsV1 { job_type, policy_type, bounds, counts, sum } = durations;
        let pair = (NameId(job_type), NameId(policy_type));
        let counted = Distribution { counts: counts.into_owned(), sum };
        self.dictionary.has_pair(pair) && self.totals.restore_durations(pair, &bounds, counted)
    }

    /// Finishes the restoration, after all records.
    ///
    /// # Errors
    ///
    /// If the progress is missing.
    pub(crate) fn finish_restore(&mut self) -> Result<(), RestoreError> {
        if self.saved_at.is_none() {
            return Err(RestoreError::CorruptState);
        }
        self.rebuild_window();
        self.dictionary.forget_unused(self.finished.iter());
        self.hand_over_all();
        self.mark_saved();
        self.advance_last_results(self.progress.now(), true);
        // Names that the configuration selects by now are filled from the window, as after a reload.
        self.fill_last_results();
        Ok(())
    }
}
