//! The changes of a ledger that are not saved.

use std::collections::{BTreeSet, HashSet};

use super::interner::{LabelSetId, NameId, TypePair};
use super::last_results::{RecordKey, Subject};

/// Changes since the last save, or those of them that were handed over to be written.
#[derive(Debug, Default)]
pub(super) struct UnsavedChanges {
    /// Changes are recorded; otherwise everything has to be saved.
    pub(super) recorded: bool,
    pub(super) finished: HashSet<i64>,
    pub(super) unfinished: HashSet<i64>,
    pub(super) label_sets: BTreeSet<LabelSetId>,
    pub(super) pairs: BTreeSet<TypePair>,
    /// Name numbers that were given again.
    pub(super) reused: BTreeSet<NameId>,
    /// Of what was handed over: the last results keep the other changes themselves.
    pub(super) last_results: Vec<(Subject, BTreeSet<RecordKey>)>,
    /// The numbers of names, and of label sets, that are saved.
    pub(super) saved_names: usize,
    pub(super) saved_label_sets: usize,
}

impl UnsavedChanges {
    pub(super) fn mark_finished(&mut self, id: i64) {
        if self.recorded {
            self.finished.insert(id);
        }
    }

    pub(super) fn mark_unfinished(&mut self, id: i64) {
        if self.recorded {
            self.unfinished.insert(id);
        }
    }

    pub(super) fn mark_total(&mut self, label_set: LabelSetId, pair: TypePair) {
        if self.recorded {
            self.label_sets.insert(label_set);
            self.pairs.insert(pair);
        }
    }

    /// Adds earlier changes, which did not reach the disk, or are not acknowledged yet.
    pub(super) fn add_earlier(&mut self, earlier: Self) {
        self.recorded = earlier.recorded;
        self.finished.extend(earlier.finished);
        self.unfinished.extend(earlier.unfinished);
        self.label_sets.extend(earlier.label_sets);
        self.pairs.extend(earlier.pairs);
        self.reused.extend(earlier.reused);
        self.last_results.extend(earlier.last_results);
        self.saved_names = earlier.saved_names;
        self.saved_label_sets = earlier.saved_label_sets;
    }
}
