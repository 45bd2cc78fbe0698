//! Saves and restores a ledger: its records in a state file, of which a transaction is a sequence, and what
//! of it is saved.

use std::borrow::Cow;
use std::time::SystemTime;

use super::Ledger;
use crate::jobs::details::Details;
use crate::jobs::finished::FinishedJob;
use crate::jobs::format::{
    DurationsV1, LabelsV1, NameV1, Record, RestoreError, RuleTotalV1, TotalV1, UnfinishedV1,
};
use crate::jobs::interner::{LabelSetId, NameId, TypePair};
use crate::jobs::progress::Progress;
use crate::jobs::time::{Span, from_unix_ms, to_unix_ms};
use crate::jobs::totals::{BOUNDS, Jobs, Total, Totals};
use crate::jobs::unsaved::UnsavedChanges;
use crate::metric::Distribution;

/// The approximate size of a part of all records, bytes.
const PART: usize = 256 * 1024;

impl Ledger {
    /// Returns the records that changed since they were handed over last, as one transaction, and hands
    /// them over: `mark_saved` or `mark_not_saved` must follow.
    pub fn changed_records(&mut self, written: SystemTime) -> Vec<u8> {
        self.collect_reused_names();
        let mut out = Vec::new();
        let (changes, names) = (&self.unsaved, &self.dictionary.names);
        // One that was forgotten again has no jobs.
        let reused = changes.reused.iter().filter(|id| names.has(**id));
        let finished = |id: &i64| {
            let job = self.finished.get(*id);
            let record = job.map_or(Record::JobGone(*id), |job| Record::Job(job.into()));
            std::iter::once(record).chain(job.map(|job| Record::JobDetail(job.into())))
        };
        let unfinished = |id: &i64| {
            let job = self.unfinished.by_id.get(id).map(|job| UnfinishedV1::new(*id, job));
            job.map_or(Record::UnfinishedGone(*id), Record::Unfinished)
        };
        self.name_records(changes.saved_names)
            .chain(reused.map(|id| name_record(*id, names.get(*id))))
            .chain(self.label_records(changes.saved_label_sets))
            .chain(changes.finished.iter().flat_map(finished))
            .chain(changes.unfinished.iter().map(unfinished))
            .chain(changes.label_sets.iter().flat_map(|id| self.total_records(*id)))
            .chain(changes.pairs.iter().filter_map(|pair| self.durations_record(*pair)))
            .chain(self.last_results.changed_records())
            .chain(self.details.changed_records())
            .chain(std::iter::once(self.progress_record(written)))
            .for_each(|record| record.put(&mut out));
        self.hand_over_all();
        out
    }

    /// Returns all records, in parts of a bounded size; together they are one transaction.
    pub fn all_records(&self, written: SystemTime) -> impl Iterator<Item = Vec<u8>> {
        let unfinished = self.unfinished.by_id.iter();
        let unfinished = unfinished.map(|(id, job)| UnfinishedV1::new(*id, job));
        let (totals, durations) = (&self.totals.by_label_set, &self.totals.durations);
        let mut records = self
            .name_records(0)
            .chain(self.label_records(0))
            .chain(
                self.finished
                    .iter()
                    .flat_map(|job| [Record::Job(job.into()), Record::JobDetail(job.into())]),
            )
            .chain(unfinished.map(Record::Unfinished))
            .chain(totals.keys().flat_map(|id| self.total_records(*id)))
            .chain(durations.keys().filter_map(|pair| self.durations_record(*pair)))
            .chain(self.last_results.all_records())
            .chain(self.details.all_records())
            .chain(std::iter::once(self.progress_record(written)));
        std::iter::from_fn(move || {
            let mut part = Vec::new();
            while part.len() < PART {
                let Some(record) = records.next() else { break };
                record.put(&mut part);
            }
            (!part.is_empty()).then_some(part)
        })
    }

    fn name_records(&self, first: usize) -> impl Iterator<Item = Record<'_>> {
        self.dictionary.names.since(first).map(|(id, text)| name_record(id, text))
    }

    fn label_records(&self, first: usize) -> impl Iterator<Item = Record<'_>> {
        let label_sets = self.dictionary.label_sets.since(first);
        label_sets.map(|(id, labels)| Record::Labels(LabelsV1::new(id, labels)))
    }

    fn total_records(&self, id: LabelSetId) -> impl Iterator<Item = Record<'_>> + use<'_> {
        let total = self.totals.by_label_set.get(&id);
        let by_rule = total.filter(|total| total.second_rule != Jobs::default());
        let by_rule = by_rule.map(|total| Record::RuleTotal(RuleTotalV1::new(id, total)));
        total.map(|total| Record::Total(TotalV1::new(id, total))).into_iter().chain(by_rule)
    }

    fn durations_record(&self, pair: TypePair) -> Option<Record<'_>> {
        let durations = self.totals.durations.get(&pair)?;
        Some(Record::Durations(DurationsV1 {
            job_type: pair.0.0,
            policy_type: pair.1.0,
            bounds: Cow::Borrowed(&BOUNDS),
            counts: Cow::Borrowed(&durations.counts),
            sum: durations.sum,
        }))
    }

    fn progress_record(&self, written: SystemTime) -> Record<'_> {
        let (origin, written) = (to_unix_ms(self.totals.origin), to_unix_ms(written));
        Record::Progress(self.progress.snapshot(self.window.in_force, origin, written))
    }

    fn collect_reused_names(&mut self) {
        let reused = std::mem::take(&mut self.dictionary.names.reused);
        self.unsaved.reused.extend(reused);
    }

    /// Records that all of it was handed over to be written, and records the changes from here on.
    pub fn hand_over_all(&mut self) {
        self.collect_reused_names();
        let next = UnsavedChanges {
            recorded: true,
            saved_names: self.dictionary.names.len(),
            saved_label_sets: self.dictionary.label_sets.len(),
            ..UnsavedChanges::default()
        };
        self.details.hand_over();
        let mut changes = std::mem::replace(&mut self.unsaved, next);
        let tables = self.last_results.0.iter_mut();
        changes.last_results =
            tables.map(|table| (table.subject, std::mem::take(&mut table.changes))).collect();
        if let Some(earlier) = self.handed_over.take() {
            changes.add_earlier(earlier);
        }
        self.handed_over = Some(changes);
    }

    /// Records that what was handed over is on disk.
    pub fn mark_saved(&mut self) {
        self.details.mark_saved();
        self.handed_over = None;
    }

    /// Records that what was handed over did not reach the disk: the next save has it again.
    pub(crate) fn mark_not_saved(&mut self) {
        self.details.mark_not_saved();
        let Some(mut earlier) = self.handed_over.take() else { return };
        for (subject, changes) in std::mem::take(&mut earlier.last_results) {
            if let Some(table) = self.last_results.of_mut(subject) {
                table.changes.extend(changes);
            }
        }
        self.unsaved.add_earlier(earlier);
    }

    /// Returns whether the changes since the last save are known, so that they alone need saving.
    pub(crate) fn knows_what_changed(&self) -> bool {
        self.unsaved.recorded
    }

    /// Records that the contents of the disk are unknown: the next save has to be one of everything.
    pub(crate) fn mark_all_dirty(&mut self) {
        (self.unsaved, self.handed_over) = (UnsavedChanges::default(), None);
        self.details.mark_all_dirty();
    }

    /// Begins the totals at 0, at `origin`: those that were restored are not the last that were shown.
    pub(crate) fn restart_totals(&mut self, origin: SystemTime) {
        self.totals = Totals::new(origin);
        let Span { from, to } = self.window.span;
        for job in self.finished.ended(from, to) {
            if let Some(labels) = self.dictionary.label_sets.get(job.label_set) {
                self.totals.note_seen(job.label_set, labels, job.leaf);
            }
        }
        self.details.restart(origin);
        self.progress.gap.total = 0;
        self.last_results.0.iter_mut().for_each(|table| table.folded = 0);
        self.mark_all_dirty();
    }

    /// Restores the records of a part or a transaction. Fails if they are no records, refer to what is not
    /// there, or were written by a newer version of the agent.
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
            Record::Name(NameV1 { id, text }) => self.dictionary.names.restore(NameId(id), &text),
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
            Record::JobDetail(detail) => {
                // Details that do not fit cost no totals.
                let job = self.finished.get(detail.id).map(|job| detail.applied_to(*job));
                if let Some(job) = job.filter(|job| self.dictionary.has_names_of(job)) {
                    self.finished.insert(job);
                }
                true
            }
            Record::JobGone(id) => {
                self.finished.remove(id);
                true
            }
            Record::Unfinished(unfinished) => {
                let (id, job) = unfinished.job();
                self.unfinished.by_id.insert(id, job);
                true
            }
            Record::UnfinishedGone(id) => {
                self.unfinished.by_id.remove(&id);
                true
            }
            Record::Total(total) => {
                self.restore_total(total.label_set(), |known| total.applied_to(known))
            }
            Record::RuleTotal(total) => {
                self.restore_total(total.label_set(), |known| total.applied_to(known))
            }
            Record::Durations(durations) => self.restore_durations(durations),
            Record::Last(last) => self.last_results.restore(&last),
            Record::Classes(classes) => self.last_results.restore_classes(&classes),
            Record::Counter(counter) => {
                self.details.restore_counter(counter, &self.dictionary.names);
                true
            }
            Record::Details(_)
            | Record::Failure(_)
            | Record::Sizes(_)
            | Record::Stall(_)
            | Record::StatusText(_)
            | Record::Catalogue(_) => {
                self.details.restore(record);
                true
            }
            Record::Progress(saved) => {
                if self.details.end_transaction() {
                    self.forget_details();
                }
                self.progress = Progress::restore(&saved);
                self.window.in_force = saved.in_force;
                self.totals.origin = from_unix_ms(saved.origin);
                self.saved_at = Some(from_unix_ms(saved.written));
                true
            }
        }
    }

    /// Restores a part of a total; returns whether its label set is known.
    fn restore_total(&mut self, id: LabelSetId, restored: impl FnOnce(Total) -> Total) -> bool {
        let fits = self.dictionary.label_sets.get(id).is_some();
        if fits {
            self.totals.restore(id, restored);
        }
        fits
    }

    /// Begins the details anew: a build that does not know them wrote last, and gave the numbers of names that
    /// only they refer to again.
    fn forget_details(&mut self) {
        self.details = Details::new(SystemTime::now());
        self.finished.forget_details();
        self.last_results.forget_classes();
    }

    fn restore_durations(&mut self, durations: DurationsV1<'_>) -> bool {
        let DurationsV1 { job_type, policy_type, bounds, counts, sum } = durations;
        let pair = (NameId(job_type), NameId(policy_type));
        let counted = Distribution { counts: counts.into_owned(), sum };
        self.dictionary.has_pair(pair) && self.totals.restore_durations(pair, &bounds, counted)
    }

    /// Finishes the restoration, after all records. Fails if the progress is missing.
    pub(crate) fn finish_restore(&mut self) -> Result<(), RestoreError> {
        if self.saved_at.is_none() {
            return Err(RestoreError::CorruptState);
        }
        self.rebuild_window();
        self.dictionary.forget_unused(self.finished.iter(), self.details.names());
        self.hand_over_all();
        self.mark_saved();
        self.advance_last_results(self.progress.now, true);
        // Names that the configuration selects by now are filled from the window, as after a reload.
        self.fill_last_results();
        Ok(())
    }
}

fn name_record(id: NameId, text: &str) -> Record<'_> {
    Record::Name(NameV1 { id: id.0, text: Cow::Borrowed(text) })
}
