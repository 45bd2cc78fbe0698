//! The details that are not saved.

use std::collections::{BTreeSet, HashSet};

use super::counters::CounterKey;
use super::failures::FailureKey;

/// Details that changed since the last save, or those of them that were handed over to be written.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Changes are recorded; otherwise everything has to be saved.
    pub(super) recorded: bool,
    pub(super) counters: HashSet<CounterKey>,
    pub(super) failures: BTreeSet<FailureKey>,
    pub(super) sizes: HashSet<u64>,
    pub(super) stalls: BTreeSet<i64>,
    pub(super) texts: BTreeSet<i64>,
    pub(super) catalogue: bool,
}

impl Changes {
    pub(super) fn mark_counters(&mut self, keys: impl IntoIterator<Item = CounterKey>) {
        if self.recorded {
            self.counters.extend(keys);
        }
    }

    pub(super) fn mark_failure(&mut self, key: FailureKey) {
        if self.recorded {
            self.failures.insert(key);
        }
    }

    pub(super) fn mark_sizes(&mut self, keys: impl IntoIterator<Item = u64>) {
        if self.recorded {
            self.sizes.extend(keys);
        }
    }

    pub(super) fn mark_stalls(&mut self, ids: impl IntoIterator<Item = i64>) {
        if self.recorded {
            self.stalls.extend(ids);
        }
    }

    pub(super) fn mark_text(&mut self, status: i64) {
        if self.recorded {
            self.texts.insert(status);
        }
    }

    /// Adds earlier changes, which did not reach the disk, or are not acknowledged yet.
    pub(super) fn add(&mut self, other: Self) {
        self.recorded = other.recorded;
        self.counters.extend(other.counters);
        self.failures.extend(other.failures);
        self.sizes.extend(other.sizes);
        self.stalls.extend(other.stalls);
        self.texts.extend(other.texts);
        self.catalogue |= other.catalogue;
    }
}
