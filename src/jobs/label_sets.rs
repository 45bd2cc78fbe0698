//! Label sets: the combinations of label values of jobs, each stored once and known by a number.

use std::collections::HashMap;

use super::actions::Actions;
use super::interner::{Interner, NameId};

/// The number of a label set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LabelSetId(pub(super) u32);

/// A combination of label values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LabelSet {
    pub(super) job_type: NameId,
    pub(super) policy_type: NameId,
    pub(super) status: Option<i64>,
}

/// A job type and a policy type.
pub(super) type TypePair = (NameId, NameId);

/// Label sets and their numbers. There are as many as series with these labels.
#[derive(Debug, Default)]
pub(super) struct LabelSets {
    numbers: HashMap<LabelSet, u32>,
    labels: Vec<LabelSet>,
}

impl LabelSets {
    /// Returns the number of `labels`, a new one if they were not seen before.
    pub(super) fn intern(&mut self, labels: LabelSet) -> LabelSetId {
        if let Some(number) = self.numbers.get(&labels) {
            return LabelSetId(*number);
        }
        let number = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
        self.labels.push(labels);
        self.numbers.insert(labels, number);
        LabelSetId(number)
    }

    /// Returns the labels of a number.
    pub(super) fn get(&self, label_set: LabelSetId) -> Option<&LabelSet> {
        self.labels.get(label_set.0 as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Returns the label sets from a number on, in the order of their numbers.
    pub(super) fn since(&self, first: usize) -> impl Iterator<Item = (LabelSetId, &LabelSet)> {
        let numbers = (first..).map(|number| LabelSetId(u32::try_from(number).unwrap_or(u32::MAX)));
        numbers.zip(self.labels.get(first..).unwrap_or_default())
    }
}

/// Resolves numbers to the labels of series.
#[derive(Debug, Clone, Copy)]
pub(super) struct LabelResolver<'l> {
    pub(super) names: &'l Interner,
    pub(super) label_sets: &'l LabelSets,
    pub(super) actions: &'l Actions,
}

impl<'l> LabelResolver<'l> {
    /// Returns the action, policy type and status of a label set.
    pub(super) fn labels(self, label_set: LabelSetId) -> Option<(&'l str, &'l str, Option<i64>)> {
        let labels = self.label_sets.get(label_set)?;
        let (action, policy_type) = self.pair((labels.job_type, labels.policy_type));
        Some((action, policy_type, labels.status))
    }

    /// Returns the action and policy type of a job type and a policy type.
    pub(super) fn pair(self, (job_type, policy_type): TypePair) -> (&'l str, &'l str) {
        (self.actions.of(self.names.get(job_type)), self.names.get(policy_type))
    }
}
