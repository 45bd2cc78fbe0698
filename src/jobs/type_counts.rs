//! Number of jobs by job type and status, kept up with the label sets that changed: a cycle changes few of
//! them.

use std::collections::BTreeMap;

use super::interner::{LabelSet, LabelSetId, LabelSets, NameId};

/// Jobs by job type and status.
#[derive(Debug, Default)]
pub(super) struct TypeCounts {
    /// By label set.
    counted: Vec<Counted>,
    /// Label sets that changed since the last refresh.
    changed: Vec<LabelSetId>,
    counts: BTreeMap<(NameId, Option<i64>), i64>,
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

    /// Counts again the label sets that were marked; `jobs` returns how many a label set has.
    pub(super) fn refresh(&mut self, label_sets: &LabelSets, jobs: impl Fn(LabelSetId) -> i64) {
        for label_set in self.changed.drain(..) {
            let counted = &mut self.counted[label_set.0 as usize];
            counted.is_marked = false;
            let Some(LabelSet { job_type, status, .. }) = label_sets.get(label_set) else {
                continue;
            };
            let before = std::mem::replace(&mut counted.jobs, jobs(label_set));
            *self.counts.entry((*job_type, *status)).or_default() += counted.jobs - before;
        }
    }

    /// Returns the counts of all types and statuses that were marked ever, in order; some may be zero.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NameId, Option<i64>, i64)> {
        self.counts.iter().map(|((job_type, status), jobs)| (*job_type, *status, *jobs))
    }
}
