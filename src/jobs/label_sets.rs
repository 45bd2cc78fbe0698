//! What jobs have in common that have the same labels: each combination known by a number.

use std::collections::HashMap;

use super::Actions;
use super::interner::{Interner, NameId};

/// A combination's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LabelSetId(pub(super) u32);

/// A combination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LabelSet {
    pub(super) job_type: NameId,
    pub(super) policy_type: NameId,
    pub(super) status: Option<i64>,
}

/// Combinations and their numbers. There are as many as series with these labels.
#[derive(Debug, Default)]
pub(super) struct LabelSets {
    numbers: HashMap<LabelSet, u32>,
    labels: Vec<LabelSet>,
}

impl LabelSets {
    /// The number of `labels`, a new one where they were not seen before.
    pub(super) fn intern(&mut self, labels: LabelSet) -> LabelSetId {
        if let Some(number) = self.numbers.get(&labels) {
            return LabelSetId(*number);
        }
        let number = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
        self.labels.push(labels);
        self.numbers.insert(labels, number);
        LabelSetId(number)
    }

    /// The labels of a number that this set gave.
    pub(super) fn get(&self, label_set: LabelSetId) -> Option<&LabelSet> {
        self.labels.get(label_set.0 as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The labels from a number on, in the order of their numbers.
    pub(super) fn since(&self, first: usize) -> impl Iterator<Item = (LabelSetId, &LabelSet)> {
        let numbers = (first..).map(|number| LabelSetId(u32::try_from(number).unwrap_or(u32::MAX)));
        numbers.zip(self.labels.get(first..).unwrap_or_default())
    }
}

/// Numbers read back as the labels of series.
#[derive(Debug, Clone, Copy)]
pub(super) struct LabelResolver<'l> {
    pub(super) names: &'l Interner,
    pub(super) label_sets: &'l LabelSets,
    pub(super) actions: &'l Actions,
}

impl<'l> LabelResolver<'l> {
    /// Action, policy type and status of a label_set.
    pub(super) fn labels(self, label_set: LabelSetId) -> Option<(&'l str, &'l str, Option<i64>)> {
        let labels = self.label_sets.get(label_set)?;
        let (action, policy_type) = self.pair((labels.job_type, labels.policy_type));
        Some((action, policy_type, labels.status))
    }

    /// Action and policy type of a job type and a policy type.
    pub(super) fn pair(self, (job_type, policy_type): (NameId, NameId)) -> (&'l str, &'l str) {
        (self.actions.of(self.names.get(job_type)), self.names.get(policy_type))
    }
}
