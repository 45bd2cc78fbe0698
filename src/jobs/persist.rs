//! The ledger as records: what a state file holds. A transaction is a sequence of them.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::format::{
    DurationsV1, JobV1, LabelsV1, LastV1, NameV1, ProgressV1, Record, TotalV1, UnfinishedV1,
};
use super::interner::NameId;
use super::label_sets::LabelSetId;
use super::last_results::{LastResultChanges, Subject};
use super::ledger::Ledger;
use super::totals::{BOUNDS, Pair, Totals};

/// Roughly how large a part of everything is.
const PART: usize = 256 * 1024;

/// The part of the ledger that is not saved yet.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The rest is saved; otherwise all of it has to be.
    kept: bool,
    jobs: HashSet<i64>,
    unfinished: HashSet<i64>,
    label_sets: BTreeSet<LabelSetId>,
    pairs: BTreeSet<Pair>,
    /// Numbers of names that were given again.
    reused: BTreeSet<NameId>,
    /// Interner and label_sets that are saved.
    names: usize,
    labels: usize,
}

impl Changes {
    pub(super) fn job(&mut self, id: i64) {
        if self.kept {
            self.jobs.insert(id);
        }
    }

    pub(super) fn unfinished(&mut self, id: i64) {
        if self.kept {
            self.unfinished.insert(id);
        }
    }

    pub(super) fn total(&mut self, label_set: LabelSetId, pair: Pair) {
        if self.kept {
            self.label_sets.insert(label_set);
            self.pairs.insert(pair);
        }
    }

    /// Takes back what was handed over and did not reach the disk.
    fn take_back(&mut self, earlier: Self) {
        self.kept = earlier.kept;
        self.jobs.extend(earlier.jobs);
        self.unfinished.extend(earlier.unfinished);
        self.label_sets.extend(earlier.label_sets);
        self.pairs.extend(earlier.pairs);
        self.reused.extend(earlier.reused);
        (self.names, self.labels) = (earlier.names, earlier.labels);
    }
}

/// The part of the ledger that was handed over to be written, and is not acknowledged yet.
#[derive(Debug, Default)]
pub(super) struct HandedOver {
    changes: Changes,
    last_results: Vec<(Subject, LastResultChanges)>,
}

/// The reason why the records of a state file cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// They do not fit together.
    #[error("its records are inconsistent")]
    CorruptState,
    /// A newer version of the agent wrote one.
    #[error("it has a record of kind {kind}, version {version}, which this agent does not support")]
    Newer {
        /// The kind of the record.
        kind: u8,
        /// The version of that kind.
        version: u8,
    },
}

impl Ledger {
    /// Returns what changed since it was handed over last, as one transaction, and hands it over:
    /// [`Ledger::mark_saved`] or [`Ledger::mark_not_saved`] must follow.
    pub fn changed_records(&mut self, written: SystemTime) -> Vec<u8> {
        let mut out = Vec::new();
        let changes = &self.changes;
        let known = |id: &i64| {
            let known = self.unfinished.get(id).map(|known| UnfinishedV1::new(*id, known));
            known.map_or(Record::UnfinishedGone(*id), Record::Unfinished)
        };
        let job = |id: &i64| {
            let job = self.finished.get(*id).map(JobV1::from);
            job.map_or(Record::JobGone(*id), Record::Job)
        };
        let records = self
            .name_records(changes.names)
            .chain(self.reused_name_records(changes))
            .chain(self.label_set_records(changes.labels))
            .chain(changes.jobs.iter().map(job))
            .chain(changes.unfinished.iter().map(known))
            .chain(changes.label_sets.iter().filter_map(|label_set| self.total_record(*label_set)))
            .chain(changes.pairs.iter().filter_map(|pair| self.durations_record(*pair)))
            .chain(std::iter::once(self.progress_record(written)));
        for record in records {
            record.put(&mut out);
        }
        for table in &self.last_results {
            for (key, value) in table.changed_records() {
                last(table.subject(), key, value).put(&mut out);
            }
        }
        self.hand_over_all();
        out
    }

    /// All records, in parts of a bounded size; together they are one transaction.
    pub fn all_records(&self, written: SystemTime) -> impl Iterator<Item = Vec<u8>> {
        let known = self.unfinished.iter().map(|(id, known)| UnfinishedV1::new(*id, known));
        let mut records = self
            .name_records(0)
            .chain(self.label_set_records(0))
            .chain(self.finished.iter().map(|job| Record::Job(job.into())))
            .chain(known.map(Record::Unfinished))
            .chain(self.totals.label_sets().filter_map(|label_set| self.total_record(label_set)))
            .chain(self.totals.pairs().filter_map(|pair| self.durations_record(pair)))
            .chain(self.last_records())
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

    /// Notes that everything up to here was handed over to be written; what changes from here on is
    /// remembered.
    pub fn hand_over_all(&mut self) {
        let kept = Changes {
            kept: true,
            names: self.names.len(),
            labels: self.label_sets.len(),
            ..Changes::default()
        };
        let mut changes = std::mem::replace(&mut self.changes, kept);
        changes.reused.extend(self.names.take_reused());
        let last_results =
            self.last_results.iter_mut().map(|table| (table.subject(), table.hand_over()));
        let mut next = HandedOver { changes, last_results: last_results.collect() };
        if let Some(before) = self.handed_over.take() {
            // Not acknowledged yet.
            next.changes.take_back(before.changes);
            next.last_results.extend(before.last_results);
        }
        self.handed_over = Some(next);
    }

    /// Notes that what was handed over is on disk.
    pub fn mark_saved(&mut self) {
        self.handed_over = None;
    }

    /// Notes that what was handed over did not reach the disk: the next save has it again.
    pub fn mark_not_saved(&mut self) {
        let Some(HandedOver { changes, last_results }) = self.handed_over.take() else { return };
        self.changes.take_back(changes);
        for (subject, changes) in last_results {
            if let Some(table) = self.last_results_mut(subject) {
                table.take_back(changes);
            }
        }
    }

    /// Returns whether what changed since the last save is known, so that it alone needs saving.
    pub fn knows_what_changed(&self) -> bool {
        self.changes.kept
    }

    /// Notes that it is not known any more what is saved: the next save has to be one of everything.
    pub fn mark_all_dirty(&mut self) {
        self.changes = Changes::default();
        self.handed_over = None;
    }

    /// Begins the totals at 0, at `origin`: those that were restored are not the last ones that were shown.
    pub fn restart_totals(&mut self, origin: SystemTime) {
        self.totals = Totals::new(from_ms(to_ms(origin)));
        let shown = self.finished.iter().filter(|job| self.window.holds(job.end));
        for job in shown {
            if let Some(labels) = self.label_sets.get(job.label_set) {
                let pair = (labels.job_type, labels.policy_type);
                self.totals.seen(job.label_set, pair, job.leaf);
            }
        }
        self.position.gap = 0;
        for table in &mut self.last_results {
            table.restart_folded();
        }
        self.mark_all_dirty();
    }

    fn name_records(&self, first: usize) -> impl Iterator<Item = Record<'_>> {
        let names = self.names.since(first);
        names.map(|(name, text)| Record::Name(NameV1 { id: name.0, text: Cow::Borrowed(text) }))
    }

    fn reused_name_records(&self, changes: &Changes) -> impl Iterator<Item = Record<'_>> {
        let names: BTreeSet<NameId> = changes.reused.union(self.names.reused()).copied().collect();
        // One that was forgotten again since has no jobs either.
        let names = names.into_iter().filter(|name| self.names.has(*name));
        names.map(|name| {
            Record::Name(NameV1 { id: name.0, text: Cow::Borrowed(self.names.get(name)) })
        })
    }

    fn label_set_records(&self, first: usize) -> impl Iterator<Item = Record<'_>> {
        let label_sets = self.label_sets.since(first);
        label_sets.map(|(label_set, labels)| Record::Labels(LabelsV1::new(label_set, labels)))
    }

    fn total_record(&self, label_set: LabelSetId) -> Option<Record<'_>> {
        Some(Record::Total(TotalV1::new(label_set, self.totals.total(label_set)?)))
    }

    fn durations_record(&self, pair: Pair) -> Option<Record<'_>> {
        let durations = self.totals.durations(pair)?;
        Some(Record::Durations(DurationsV1 {
            job_type: pair.0.0,
            policy_type: pair.1.0,
            bounds: Cow::Borrowed(&BOUNDS),
            counts: Cow::Borrowed(&durations.counts),
            sum: durations.sum,
        }))
    }

    fn last_records(&self) -> impl Iterator<Item = Record<'_>> {
        self.last_results.iter().flat_map(|table| {
            let records = table.all_records();
            records.map(|(key, value)| last(table.subject(), key, Some(value)))
        })
    }

    fn progress_record(&self, written: SystemTime) -> Record<'_> {
        let (origin, written) = (to_ms(self.totals.origin), to_ms(written));
        Record::Progress(ProgressV1::new(self.position, origin, written))
    }
}

fn last(subject: Subject, key: Vec<u8>, value: Option<Vec<u8>>) -> Record<'static> {
    let (key, value) = (Cow::Owned(key), value.map(Cow::Owned));
    Record::Last(LastV1 { subject: subject.number(), key, value })
}

pub(super) fn to_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn from_ms(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
