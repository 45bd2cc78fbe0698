//! The records of a ledger in a state file. A transaction is a sequence of them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::SystemTime;

use super::Ledger;
use crate::jobs::dictionary::Dictionary;
use crate::jobs::format::{DurationsV1, JobV1, LabelsV1, NameV1, Record, TotalV1, UnfinishedV1};
use crate::jobs::interner::NameId;
use crate::jobs::label_sets::{LabelSetId, TypePair};
use crate::jobs::time::to_unix_ms;
use crate::jobs::totals::{BOUNDS, Totals};

/// The approximate size of a part of all records, bytes.
const PART: usize = 256 * 1024;

impl Ledger {
    /// Returns the records that changed since they were handed over last, as one transaction, and hands
    /// them over: `mark_saved` or `mark_not_saved` must follow.
    pub fn changed_records(&mut self, written: SystemTime) -> Vec<u8> {
        let mut out = Vec::new();
        let changes = self.save.changes();
        let finished = |id: &i64| {
            let job = self.finished.get(*id).map(JobV1::from);
            job.map_or(Record::JobGone(*id), Record::Job)
        };
        let unfinished = |id: &i64| {
            let job = self.unfinished.get(*id).map(|job| UnfinishedV1::new(*id, job));
            job.map_or(Record::UnfinishedGone(*id), Record::Unfinished)
        };
        names(&self.dictionary, changes.saved_names)
            .chain(reused_names(&self.dictionary, &changes.reused))
            .chain(label_sets(&self.dictionary, changes.saved_label_sets))
            .chain(changes.finished.iter().map(finished))
            .chain(changes.unfinished.iter().map(unfinished))
            .chain(changes.label_sets.iter().filter_map(|id| total(&self.totals, *id)))
            .chain(changes.pairs.iter().filter_map(|pair| durations(&self.totals, *pair)))
            .chain(std::iter::once(self.progress_record(written)))
            .chain(self.last_results.changed_records().map(Record::Last))
            .for_each(|record| record.put(&mut out));
        self.hand_over_all();
        out
    }

    /// Returns all records, in parts of a bounded size; together they are one transaction.
    pub fn all_records(&self, written: SystemTime) -> impl Iterator<Item = Vec<u8>> {
        let unfinished = self.unfinished.iter().map(|(id, job)| UnfinishedV1::new(id, job));
        let totals = self.totals.iter().map(|(id, total)| TotalV1::new(id, total));
        let mut records = names(&self.dictionary, 0)
            .chain(label_sets(&self.dictionary, 0))
            .chain(self.finished.iter().map(|job| Record::Job(job.into())))
            .chain(unfinished.map(Record::Unfinished))
            .chain(totals.map(Record::Total))
            .chain(self.totals.pairs().filter_map(|pair| durations(&self.totals, pair)))
            .chain(self.last_results.all_records().map(Record::Last))
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

    fn progress_record(&self, written: SystemTime) -> Record<'_> {
        let (origin, written) = (to_unix_ms(self.totals.origin()), to_unix_ms(written));
        Record::Progress(self.progress.snapshot(self.window.in_force(), origin, written))
    }
}

fn name(id: NameId, text: &str) -> Record<'_> {
    Record::Name(NameV1 { id: id.0, text: Cow::Borrowed(text) })
}

fn names(dictionary: &Dictionary, first: usize) -> impl Iterator<Item = Record<'_>> {
    dictionary.names().since(first).map(|(id, text)| name(id, text))
}

fn reused_names<'l>(
    dictionary: &'l Dictionary,
    before: &BTreeSet<NameId>,
) -> impl Iterator<Item = Record<'l>> + use<'l> {
    let interner = dictionary.names();
    let reused: BTreeSet<NameId> = before.union(interner.reused()).copied().collect();
    // One that was forgotten again has no jobs.
    let reused = reused.into_iter().filter(|id| interner.has(*id));
    reused.map(|id| name(id, interner.get(id)))
}

fn label_sets(dictionary: &Dictionary, first: usize) -> impl Iterator<Item = Record<'_>> {
    let label_sets = dictionary.label_sets().since(first);
    label_sets.map(|(id, labels)| Record::Labels(LabelsV1::new(id, labels)))
}

fn total(totals: &Totals, id: LabelSetId) -> Option<Record<'_>> {
    Some(Record::Total(TotalV1::new(id, totals.get(id)?)))
}

fn durations(totals: &Totals, pair: TypePair) -> Option<Record<'_>> {
    let durations = totals.durations(pair)?;
    Some(Record::Durations(DurationsV1 {
        job_type: pair.0.0,
        policy_type: pair.1.0,
        bounds: Cow::Borrowed(&BOUNDS),
        counts: Cow::Borrowed(&durations.counts),
        sum: durations.sum,
    }))
}
