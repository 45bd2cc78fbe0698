//! Gaps: after an outage of more than an hour, the server may have purged jobs that nobody read.

use std::time::Duration;

use crate::jobs::time::Span;

/// A longer outage is checked against the oldest job that the server still has, ms.
const LONG_OUTAGE: i64 = 3_600_000;

/// Outages and the gaps that they left. Times are the server's, Unix ms.
#[derive(Debug)]
pub(crate) struct Gap {
    /// The length of all gaps, ms.
    pub(in crate::jobs) total: i64,
    /// The end of the last gap.
    pub(super) until: i64,
    /// An outage that was not checked yet.
    pub(in crate::jobs) outage: Option<Span>,
    /// No poll was complete since a poll failed, or since the start.
    pub(super) interrupted: bool,
}

impl Default for Gap {
    fn default() -> Self {
        Self::restore(0, i64::MIN, None)
    }
}

impl Gap {
    /// Restores what was saved; a restart is an interruption.
    pub(super) fn restore(total: i64, until: i64, outage: Option<Span>) -> Self {
        Self { total, until, outage, interrupted: true }
    }

    /// Records that a poll failed, or that a long time passed without one.
    pub(crate) fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// Adapts to a server clock that was set back to `now`.
    pub(super) fn set_back(&mut self, now: i64) {
        self.until = self.until.min(now);
        self.outage = self.outage.filter(|outage| outage.to <= now);
    }

    /// Returns an outage that was not recorded in full, if everything was `read` long ago. A clock that is
    /// set forward between two complete polls is no outage.
    pub(super) fn find_outage(&self, now: i64, read: i64) -> Option<Span> {
        let from = read.max(self.until);
        if !self.interrupted || now - read <= LONG_OUTAGE || from >= now {
            return None;
        }
        Some(Span { from: self.outage.map_or(from, |outage| outage.from), to: now })
    }

    /// Returns whether the oldest job of the server is needed to check an outage.
    pub(crate) fn lacks_oldest_job(&self) -> bool {
        self.outage.is_some()
    }

    /// Checks an outage against the end of the oldest finished job that the server still has, 0 if it has
    /// none, and records what was lost. Returns its length.
    pub(crate) fn record(&mut self, oldest: i64) -> Duration {
        let Some(outage) = self.outage.take() else { return Duration::ZERO };
        // What was purged after the outage had been read.
        let lost_until = oldest.min(outage.to);
        let lost = lost_until - outage.from;
        if lost <= 0 {
            return Duration::ZERO;
        }
        self.total = self.total.saturating_add(lost);
        self.until = lost_until;
        Duration::from_millis(lost.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn note_outage(gap: &mut Gap, now: i64, read: i64) {
        if let Some(outage) = gap.find_outage(now, read) {
            gap.outage = Some(outage);
        }
    }

    #[test]
    fn outage_without_interruption_is_a_clock_set_forward() {
        let mut gap = Gap { interrupted: false, ..Gap::default() };
        note_outage(&mut gap, 10 * HOUR, HOUR);
        assert!(!gap.lacks_oldest_job());
        gap.interrupt();
        note_outage(&mut gap, 10 * HOUR, 9 * HOUR);
        assert!(!gap.lacks_oldest_job(), "an hour is no long outage");
        note_outage(&mut gap, 10 * HOUR, HOUR);
        assert!(gap.lacks_oldest_job());
    }

    #[test]
    fn gap_counts_each_lost_time_once() {
        let mut gap = Gap::default();
        note_outage(&mut gap, 10 * HOUR, HOUR);
        assert_eq!(gap.record(4 * HOUR), Duration::from_secs(3 * 3600));
        note_outage(&mut gap, 10 * HOUR, HOUR);
        assert_eq!(gap.record(4 * HOUR), Duration::ZERO);
        note_outage(&mut gap, 10 * HOUR, HOUR);
        assert_eq!(gap.record(5 * HOUR), Duration::from_secs(3600));
        assert_eq!(gap.total, 4 * HOUR);
    }
}
