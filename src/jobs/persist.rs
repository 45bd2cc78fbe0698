//! A ledger as records of a state file. A transaction is a sequence of them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::changes::Changes;
use super::dictionary::Dictionary;
use super::finished::FinishedJobs;
use super::format::{
    DurationsV1, JobV1, LabelsV1, NameV1, ProgressV1, Record, TotalV1, UnfinishedV1,
};
use super::interner::NameId;
use super::label_sets::{LabelSetId, TypePair};
use super::last_results::LastResultTables;
use super::totals::{BOUNDS, Totals};
use super::unfinished::UnfinishedJobs;

/// The approximate size of a part of all records, bytes.
const PART: usize = 256 * 1024;

/// The saved parts of a ledger.
pub(super) struct Snapshot<'l> {
    pub(super) progress: ProgressV1,
    pub(super) dictionary: &'l Dictionary,
    pub(super) finished: &'l FinishedJobs,
    pub(super) unfinished: &'l UnfinishedJobs,
    pub(super) totals: &'l Totals,
    pub(super) last_results: &'l LastResultTables,
}

impl<'l> Snapshot<'l> {
    /// Returns the changed records, as one transaction.
    pub(super) fn changed(self, changes: &Changes) -> Vec<u8> {
        let mut out = Vec::new();
        let (dictionary, totals) = (self.dictionary, self.totals);
        let finished = |id: &i64| {
            let job = self.finished.get(*id).map(JobV1::from);
            job.map_or(Record::JobGone(*id), Record::Job)
        };
        let unfinished = |id: &i64| {
            let job = self.unfinished.get(*id).map(|job| UnfinishedV1::new(*id, job));
            job.map_or(Record::UnfinishedGone(*id), Record::Unfinished)
        };
        names(dictionary, changes.saved_names)
            .chain(reused_names(dictionary, &changes.reused))
            .chain(label_sets(dictionary, changes.saved_label_sets))
            .chain(changes.finished.iter().map(finished))
            .chain(changes.unfinished.iter().map(unfinished))
            .chain(changes.label_sets.iter().filter_map(|id| total(totals, *id)))
            .chain(changes.pairs.iter().filter_map(|pair| durations(totals, *pair)))
            .chain(std::iter::once(Record::Progress(self.progress)))
            .chain(self.last_results.changed_records().map(Record::Last))
            .for_each(|record| record.put(&mut out));
        out
    }

    /// Returns all records, in parts of a bounded size; together they are one transaction.
    pub(super) fn all(self) -> impl Iterator<Item = Vec<u8>> + use<'l> {
        let Self { progress, dictionary, finished, unfinished, totals, last_results } = self;
        let unfinished = unfinished.iter().map(|(id, job)| UnfinishedV1::new(id, job));
        let mut records = names(dictionary, 0)
            .chain(label_sets(dictionary, 0))
            .chain(finished.iter().map(|job| Record::Job(job.into())))
            .chain(unfinished.map(Record::Unfinished))
            .chain(totals.iter().map(|(id, total)| Record::Total(TotalV1::new(id, total))))
            .chain(totals.pairs().filter_map(|pair| durations(totals, pair)))
            .chain(last_results.all_records().map(Record::Last))
            .chain(std::iter::once(Record::Progress(progress)));
        std::iter::from_fn(move || {
            let mut part = Vec::new();
            while part.len() < PART {
                let Some(record) = records.next() else { break };
                record.put(&mut part);
            }
            (!part.is_empty()).then_some(part)
        })
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
