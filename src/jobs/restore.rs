//! A ledger from its records.

use super::format::{DurationsV1, LastV1, NameV1, Record};
use super::interner::NameId;
use super::last_results::Subject;
use super::ledger::Ledger;
use super::persist::RestoreError::{self, CorruptState};
use super::persist::from_ms;
use crate::metric::Distribution;

impl Ledger {
    /// Takes the records of a part or a transaction in.
    ///
    /// # Errors
    ///
    /// If they are none, refer to what is not there, or a newer version of the agent wrote them.
    pub fn restore(&mut self, mut bytes: &[u8]) -> Result<(), RestoreError> {
        while !bytes.is_empty() {
            if let Some(record) = Record::next(&mut bytes)?
                && !self.restore_record(record)
            {
                return Err(CorruptState);
            }
        }
        Ok(())
    }

    /// Notes that all records were taken in.
    ///
    /// # Errors
    ///
    /// If the progress is missing.
    pub fn finish_restore(&mut self) -> Result<(), RestoreError> {
        if self.saved_at.is_none() {
            return Err(CorruptState);
        }
        self.refold();
        self.forget_names();
        self.hand_over_all();
        self.mark_saved();
        self.advance_last_results(self.position.now, true);
        // Those that these rules select newly learn of the window, as after a reload.
        self.refill_last_results();
        Ok(())
    }

    /// Takes a record in; returns whether it fits to those before it.
    fn restore_record(&mut self, record: Record<'_>) -> bool {
        match record {
            Record::Name(NameV1 { id, text }) => self.names.restore(NameId(id), &text),
            Record::Labels(labels) => {
                let (label_set, labels) = labels.labels();
                self.has(labels.job_type)
                    && self.has(labels.policy_type)
                    && self.label_sets.intern(labels) == label_set
            }
            Record::Job(job) => {
                let job = super::finished::FinishedJob::from(job);
                let fits = self.label_sets.get(job.label_set).is_some()
                    && self.has(job.client)
                    && self.has(job.policy);
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
                let (id, known) = unfinished.job();
                self.unfinished.insert(id, known);
                true
            }
            Record::UnfinishedGone(id) => {
                self.unfinished.remove(&id);
                true
            }
            Record::Total(total) => {
                let (label_set, total) = total.total();
                self.totals.restore_total(label_set, total);
                self.label_sets.get(label_set).is_some()
            }
            Record::Durations(durations) => self.restore_durations(durations),
            Record::Last(last) => self.restore_last(&last),
            Record::Progress(progress) => {
                self.position = progress.position();
                self.totals.origin = from_ms(progress.origin);
                self.saved_at = Some(from_ms(progress.written));
                true
            }
        }
    }

    fn restore_durations(&mut self, durations: DurationsV1<'_>) -> bool {
        let DurationsV1 { job_type, policy_type, bounds, counts, sum } = durations;
        let pair = (NameId(job_type), NameId(policy_type));
        let counted = Distribution { counts: counts.into_owned(), sum };
        self.has(pair.0)
            && self.has(pair.1)
            && self.totals.restore_durations(pair, &bounds, counted)
    }

    fn restore_last(&mut self, last: &LastV1<'_>) -> bool {
        let Some(subject) = Subject::from_number(last.subject) else { return false };
        match (self.last_results_mut(subject), &last.value) {
            // Of a table that is switched off nothing is kept.
            (None, _) => true,
            (Some(table), Some(value)) => table.restore(&last.key, value).is_ok(),
            (Some(table), None) => {
                table.forget(&last.key);
                true
            }
        }
    }

    fn has(&self, name: NameId) -> bool {
        self.names.has(name)
    }
}
