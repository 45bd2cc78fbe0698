//! A ledger in a few numbers, for a person who looks at its file.

use std::time::SystemTime;

use super::completion::Outcome;
use super::ledger::Ledger;

/// The state of a ledger. Times are the server's, Unix ms, unless they are a [`SystemTime`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The beginning of the totals.
    pub origin: SystemTime,
    /// The time of the last save.
    pub written: Option<SystemTime>,
    /// Every change before it was read.
    pub watermark: i64,
    /// Every completion after it is known.
    pub horizon: i64,
    /// Jobs that ended and are remembered.
    pub ended_jobs: usize,
    /// Jobs that are known as unfinished.
    pub unfinished_jobs: usize,
    /// Completions that were counted, in the order of [`Outcome::ALL`].
    pub outcomes: [u64; 4],
}

impl Ledger {
    /// Returns the ledger in a few numbers.
    pub fn summary(&self) -> Summary {
        let count = |outcome: Outcome| {
            let of_outcome = self.totals.label_sets().filter(|label_set| {
                self.label_sets
                    .get(*label_set)
                    .is_some_and(|labels| Outcome::of(labels.status) == outcome)
            });
            let totals = of_outcome.filter_map(|label_set| self.totals.total(label_set));
            totals.map(|total| total.parents + total.leaves).sum()
        };
        Summary {
            origin: self.totals.origin,
            written: self.saved_at,
            watermark: self.position.watermark,
            horizon: self.position.horizon,
            ended_jobs: self.finished.len(),
            unfinished_jobs: self.unfinished.len(),
            outcomes: Outcome::ALL.map(count),
        }
    }
}
