//! The unsaved part of a ledger: changes since the last save, and changes that were handed over to be
//! written.

use std::collections::{BTreeSet, HashSet};

use super::interner::NameId;
use super::label_sets::{LabelSetId, TypePair};
use super::last_results::{LastResultChanges, Subject};

/// UnsavedChanges since the last save.
#[derive(Debug, Default)]
pub(super) struct UnsavedChanges {
    /// UnsavedChanges are recorded; otherwise everything has to be saved.
    recorded: bool,
    pub(super) finished: HashSet<i64>,
    pub(super) unfinished: HashSet<i64>,
    pub(super) label_sets: BTreeSet<LabelSetId>,
    pub(super) pairs: BTreeSet<TypePair>,
    /// Name numbers that were given again.
    pub(super) reused: BTreeSet<NameId>,
    /// The numbers of names, and of label sets, that are saved.
    pub(super) saved_names: usize,
    pub(super) saved_label_sets: usize,
}

impl UnsavedChanges {
    /// Adds earlier changes, which did not reach the disk.
    fn add_earlier(&mut self, earlier: Self) {
        self.recorded = earlier.recorded;
        self.finished.extend(earlier.finished);
        self.unfinished.extend(earlier.unfinished);
        self.label_sets.extend(earlier.label_sets);
        self.pairs.extend(earlier.pairs);
        self.reused.extend(earlier.reused);
        self.saved_names = earlier.saved_names;
        self.saved_label_sets = earlier.saved_label_sets;
    }
}

/// UnsavedChanges of the last results, by subject.
pub(super) type LastResultsChanges = Vec<(Subject, LastResultChanges)>;

/// The changes that are not saved, and those that were handed over and are not acknowledged yet.
#[derive(Debug, Default)]
pub(super) struct SaveState {
    changes: UnsavedChanges,
    handed_over: Option<(UnsavedChanges, LastResultsChanges)>,
}

impl SaveState {
    pub(super) fn changes(&self) -> &UnsavedChanges {
        &self.changes
    }

    /// Returns whether the changes since the last save are known, so that they alone need saving.
    pub(super) fn is_incremental(&self) -> bool {
        self.changes.recorded
    }

    pub(super) fn mark_finished(&mut self, id: i64) {
        if self.changes.recorded {
            self.changes.finished.insert(id);
        }
    }

    pub(super) fn mark_unfinished(&mut self, id: i64) {
        if self.changes.recorded {
            self.changes.unfinished.insert(id);
        }
    }

    pub(super) fn mark_total(&mut self, label_set: LabelSetId, pair: TypePair) {
        if self.changes.recorded {
            self.changes.label_sets.insert(label_set);
            self.changes.pairs.insert(pair);
        }
    }

    /// Records that everything up to here was handed over to be written: so many names and label sets,
    /// numbers of names that were given again, and changes of last results.
    pub(super) fn hand_over(
        &mut self,
        (names, label_sets): (usize, usize),
        reused: BTreeSet<NameId>,
        mut last_results: LastResultsChanges,
    ) {
        let next = UnsavedChanges {
            recorded: true,
            saved_names: names,
            saved_label_sets: label_sets,
            ..UnsavedChanges::default()
        };
        let mut changes = std::mem::replace(&mut self.changes, next);
        changes.reused.extend(reused);
        if let Some((earlier, earlier_results)) = self.handed_over.take() {
            // Not acknowledged yet.
            changes.add_earlier(earlier);
            last_results.extend(earlier_results);
        }
        self.handed_over = Some((changes, last_results));
    }

    /// Records that what was handed over is on disk.
    pub(super) fn mark_saved(&mut self) {
        self.handed_over = None;
    }

    /// Takes back what was handed over and did not reach the disk. Returns the part of the last results.
    pub(super) fn mark_not_saved(&mut self) -> LastResultsChanges {
        let Some((changes, last_results)) = self.handed_over.take() else { return Vec::new() };
        self.changes.add_earlier(changes);
        last_results
    }

    /// Records that the contents of the disk are unknown: the next save has to be one of everything.
    pub(super) fn mark_all_dirty(&mut self) {
        *self = Self::default();
    }
}
