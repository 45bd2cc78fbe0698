//! Dictionary encoding of finished jobs: each name and each label set is stored once, and jobs refer
//! to it by a number.

use super::completion::Completion;
use super::finished::FinishedJob;
use super::interner::{Interner, LabelSet, LabelSetId, LabelSets, NameId, TypePair};
use super::row::{self, Actions};
use super::schedule::ScheduleClass;
use crate::netbackup::wire::jobs::JobRow;

#[derive(Debug, Default)]
pub(super) struct Dictionary {
    pub(super) names: Interner,
    pub(super) label_sets: LabelSets,
}

impl Dictionary {
    /// Encodes the row of a job that ended at `end`.
    pub(super) fn encode(&mut self, row: &JobRow<'_>, end: i64) -> FinishedJob {
        let label_set = LabelSet {
            job_type: self.names.intern(row::name_or_unknown(row.job_type.as_deref())),
            policy_type: self.names.intern(row::name_or_unknown(row.policy_type.as_deref())),
            status: row.status,
        };
        FinishedJob {
            id: row.job_id,
            start: row.start_time.unwrap_or(0),
            end,
            // A negative size is a mistake of the server, and would reduce the sums.
            kilobytes: row.kilobytes_transferred.unwrap_or(0).max(0),
            files: row.number_of_files.unwrap_or(0).max(0),
            dedup: row.dedup_ratio.unwrap_or(f64::INFINITY),
            tries: row::tries(row),
            label_set: self.label_sets.intern(label_set),
            client: self.names.intern(row.client_name.as_deref().unwrap_or_default()),
            policy: self.names.intern(row.policy_name.as_deref().unwrap_or_default()),
            workload: self.names.intern(row::workload(row)),
            class: ScheduleClass::of(row.schedule_type.as_deref()),
            leaf: row::is_leaf(row),
            image: row::has_image(row),
            resumed: false,
        }
    }

    pub(super) fn completion(&self, job: &FinishedJob) -> Option<Completion<'_>> {
        let labels = self.label_sets.get(job.label_set)?;
        Some(Completion {
            job_id: job.id,
            tries: i64::from(job.tries),
            start: Some(job.start).filter(|start| *start != 0),
            end: job.end,
            job_type: self.names.get(labels.job_type),
            status: labels.status,
            leaf: job.leaf,
            kilobytes: job.kilobytes,
            client: self.names.get(job.client),
            policy: self.names.get(job.policy),
            workload: self.names.get(job.workload),
            class: job.class,
            image: job.image,
        })
    }

    pub(super) fn completions<'d>(
        &'d self,
        jobs: impl Iterator<Item = &'d FinishedJob>,
    ) -> impl Iterator<Item = Completion<'d>> {
        jobs.filter_map(|job| self.completion(job))
    }

    pub(super) fn pair(&self, label_set: LabelSetId) -> Option<TypePair> {
        let labels = self.label_sets.get(label_set)?;
        Some((labels.job_type, labels.policy_type))
    }

    pub(super) fn resolver<'l>(&'l self, actions: &'l Actions) -> LabelResolver<'l> {
        LabelResolver { dictionary: self, actions }
    }

    /// Forgets the names to which no job, no label set and none of the `others` refers any more.
    pub(super) fn forget_unused<'j>(
        &mut self,
        jobs: impl Iterator<Item = &'j FinishedJob>,
        others: impl Iterator<Item = NameId>,
    ) {
        let mut used = vec![false; self.names.len()];
        let labels = self.label_sets.since(0).flat_map(|(_, of)| [of.job_type, of.policy_type]);
        for name in
            labels.chain(others).chain(jobs.flat_map(|job| [job.client, job.policy, job.workload]))
        {
            if let Some(used) = used.get_mut(name.0 as usize) {
                *used = true;
            }
        }
        self.names.keep(&used);
    }

    /// Restores a saved label set; returns whether it is valid.
    pub(super) fn restore_label_set(&mut self, id: LabelSetId, labels: LabelSet) -> bool {
        self.has_pair((labels.job_type, labels.policy_type)) && self.label_sets.intern(labels) == id
    }

    pub(super) fn has_pair(&self, pair: TypePair) -> bool {
        self.names.has(pair.0) && self.names.has(pair.1)
    }

    /// Returns whether everything that a job refers to is known.
    pub(super) fn has_names_of(&self, job: &FinishedJob) -> bool {
        self.label_sets.get(job.label_set).is_some()
            && self.names.has(job.client)
            && self.names.has(job.policy)
            && self.names.has(job.workload)
    }
}

/// Resolves numbers to the labels of series.
#[derive(Debug, Clone, Copy)]
pub(super) struct LabelResolver<'l> {
    pub(super) dictionary: &'l Dictionary,
    pub(super) actions: &'l Actions,
}

impl<'l> LabelResolver<'l> {
    pub(super) fn labels(self, label_set: LabelSetId) -> Option<(&'l str, &'l str, Option<i64>)> {
        let labels = self.dictionary.label_sets.get(label_set)?;
        let (action, policy_type) = self.pair((labels.job_type, labels.policy_type));
        Some((action, policy_type, labels.status))
    }

    /// Returns the action and policy type of a job type and a policy type.
    pub(super) fn pair(self, (job_type, policy_type): TypePair) -> (&'l str, &'l str) {
        (self.action(job_type), self.dictionary.names.get(policy_type))
    }

    /// Returns the action and policy type of a label set.
    pub(super) fn pair_of(self, label_set: LabelSetId) -> Option<(&'l str, &'l str)> {
        self.dictionary.pair(label_set).map(|pair| self.pair(pair))
    }

    /// Returns the action of a job type.
    pub(super) fn action(self, job_type: NameId) -> &'l str {
        self.actions.of(self.dictionary.names.get(job_type))
    }
}
