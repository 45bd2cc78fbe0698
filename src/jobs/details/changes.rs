//! The details that are not saved.

use std::collections::{BTreeSet, HashSet};

use super::counters::CounterKey;
use super::failures::FailureKey;

/// Details that changed since the last save, or those of them that were handed over to be written.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) counters: HashSet<CounterKey>,
    pub(super) failures: BTreeSet<FailureKey>,
    pub(super) sizes: HashSet<u64>,
    pub(super) stalls: BTreeSet<i64>,
    pub(super) texts: BTreeSet<i64>,
    pub(super) catalogue: bool,
}

impl Changes {
    pub(super) fn add(&mut self, other: Self) {
        self.counters.extend(other.counters);
        self.failures.extend(other.failures);
        self.sizes.extend(other.sizes);
        self.stalls.extend(other.stalls);
        self.texts.extend(other.texts);
        self.catalogue |= other.catalogue;
    }
}
