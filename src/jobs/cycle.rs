//! The state of one cycle of the ledger.

use std::collections::HashSet;
use std::time::{Duration, Instant};

/// A cycle that is under way.
#[derive(Debug)]
pub(super) struct Cycle {
    began: Instant,
    /// Jobs that the incremental walk listed as finished.
    finished: HashSet<i64>,
}

impl Cycle {
    /// Begins a cycle.
    pub(super) fn begin() -> Self {
        // A new set, not a cleared one: one cycle may meet a million jobs, and all others a few.
        Self { began: Instant::now(), finished: HashSet::new() }
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn note_finished(&mut self, id: i64) {
        self.finished.insert(id);
    }

    pub(super) fn has_finished(&self, id: i64) -> bool {
        self.finished.contains(&id)
    }
}
