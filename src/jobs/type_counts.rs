//! Number of jobs by job type and status, kept up with the label sets that changed: a cycle changes few of
//! them.

use std::collections::BTreeMap;

use super::interner::{LabelSet, LabelSetId, LabelSets, NameId};

/// A job type and a status.
pub(super) type TypeStatus = (NameId, Option<i64>);

/// Jobs by job type and status.
#[derive(Debug, Default)]
pub(super) struct TypeCounts {
    /// By label set.
    counted: Vec<Counted>,
    /// Label sets that changed since the last refresh.
    changed: Vec<LabelSetId>,
    counts: BTreeMap<TypeStatus, i64>,
    by_type: BTreeMap<NameId, i64>,
}

#[derive(Debug, Clone, Default)]
struct Counted {
    /// Jobs that are among the counts.
    jobs: i64,
    is_marked: bool,
}

impl TypeCounts {
    /// Notes that the jobs of a label set changed.
    pub(super) fn mark(&mut self, label_set: LabelSetId) {
        let place = label_set.0 as usize;
        if self.counted.len() <= place {
            self.counted.resize(place + 1, Counted::default());
        }
        let counted = &mut self.counted[place];
        if !std::mem::replace(&mut counted.is_marked, true) {
            self.changed.push(label_set);
        }
    }

    /// Counts again the label sets that were marked; `jobs` returns how many a label set has. Calls `changed` with the
    /// job type and status of each.
    pub(super) fn refresh(
        &mut self,
        label_sets: &LabelSets,
        jobs: impl Fn(LabelSetId) -> i64,
        mut changed: impl FnMut(TypeStatus),
    ) {
        for label_set in self.changed.drain(..) {
            let counted = &mut self.counted[label_set.0 as usize];
            counted.is_marked = false;
            let Some(LabelSet { job_type, status, .. }) = label_sets.get(label_set) else {
                continue;
            };
            let before = std::mem::replace(&mut counted.jobs, jobs(label_set));
            let more = counted.jobs - before;
            *self.counts.entry((*job_type, *status)).or_default() += more;
            *self.by_type.entry(*job_type).or_default() += more;
            changed((*job_type, *status));
        }
    }

    /// Returns the counts of all types and statuses that were marked ever, in order; some may be zero.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NameId, Option<i64>, i64)> {
        self.counts.iter().map(|((job_type, status), jobs)| (*job_type, *status, *jobs))
    }

    /// Returns the number of jobs of each type that has any.
    pub(super) fn by_type(&self) -> impl Iterator<Item = (NameId, i64)> {
        let counts = self.by_type.iter().map(|(job_type, jobs)| (*job_type, *jobs));
        counts.filter(|(_, jobs)| *jobs > 0)
    }

    /// Returns the types and statuses that were marked ever.
    pub(super) fn keys(&self) -> impl ExactSizeIterator<Item = TypeStatus> {
        self.counts.keys().copied()
    }

    /// Returns the number of jobs of a type with a status.
    pub(super) fn get(&self, key: TypeStatus) -> i64 {
        self.counts.get(&key).copied().unwrap_or_default()
    }
}
