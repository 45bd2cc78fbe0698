//! Outages of more than an hour, after which the server may have purged jobs that nobody read.

use std::time::Duration;

use super::finished::FinishedJob;
use super::last_results::AHEAD;
use super::ledger::{Ledger, Span};

/// An outage that is longer than this is checked against what the server still has.
const LONG_OUTAGE: i64 = 3_600_000;

impl Ledger {
    /// Notes since when no poll was complete, where that is long ago. A clock that is set forward
    /// between two complete polls is no outage.
    pub(super) fn note_outage(&mut self) {
        let position = &self.position;
        let read = position.current_at.unwrap_or(position.began).max(position.watermark);
        let from = read.max(position.gap_until);
        if !self.interrupted || position.now - read <= LONG_OUTAGE || from >= position.now {
            return;
        }
        if position.outage.is_none() && self.ends_tell_no_purge(from) {
            return;
        }
        let from = self.position.outage.map_or(from, |outage| outage.from);
        self.position.outage = Some(Span { from, to: self.position.now });
    }

    /// Returns true where the end of the oldest job would tell nothing of an outage that began at `from`:
    /// the clock was set back, so that jobs from before it end in the future, and no success is known that
    /// ended earlier and could have been purged.
    fn ends_tell_no_purge(&self, from: i64) -> bool {
        let succeeded = |job: &FinishedJob| {
            self.label_sets.get(job.label_set).is_some_and(|labels| labels.status == Some(0))
        };
        let in_future = self.finished.ended(self.position.now + AHEAD, i64::MAX).next().is_some();
        in_future && !self.finished.ended(i64::MIN, from).any(succeeded)
    }

    /// Returns whether the server is to be asked for the oldest job that it still has.
    pub fn lacks_oldest_job(&self) -> bool {
        self.position.outage.is_some()
    }

    /// Takes the end of the oldest finished job that the server still has, if it has any. Returns how
    /// much time before it is lost, and was not said to be.
    pub fn record_gap(&mut self, oldest: Option<i64>) -> Duration {
        let position = &mut self.position;
        let Some(outage) = position.outage.take() else { return Duration::ZERO };
        // What was purged after the outage had been read.
        let lost_until = oldest.unwrap_or(outage.from).min(outage.to);
        let lost = lost_until - outage.from;
        if lost <= 0 {
            return Duration::ZERO;
        }
        position.gap = position.gap.saturating_add(lost);
        position.gap_until = lost_until;
        Duration::from_millis(lost.unsigned_abs())
    }
}
