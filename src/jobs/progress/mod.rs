//! Progress of reading a server's jobs: which changes and which ends were read, and what was missed
//! (docs/adr/0010-job-ledger.md). All times are the server's, Unix ms.

mod gap;
mod job_ids;
mod late_walk;

use std::time::Duration;

pub(super) use self::gap::Gap;
pub(super) use self::job_ids::JobIds;
pub(super) use self::late_walk::LateWalk;
use super::change_field::ChangeField;
use super::format::{ProgressV1, SpanV1};
use super::time::Span;

/// Time for which completions are remembered beyond the window: a server clock that is set back by
/// less costs nothing.
pub(super) const SLACK: i64 = 3_600_000;

/// The part before the watermark that a walk reads again.
const OVERLAP: i64 = 30_000;

/// Time that a server's clock may lose against ours between two polls without having been set back.
const TOLERANCE: i64 = 10_000;

/// A job found before the first complete walk whose end is so much later than now (ms) ended before the
/// ledger began: the server's clock was set back. It is not counted.
const FUTURE: i64 = 2_000;

/// Progress of one site.
#[derive(Debug)]
pub(super) struct Progress {
    /// The time of the present cycle.
    now: i64,
    /// The beginning of the ledger.
    began: i64,
    /// Every change before it was read.
    watermark: i64,
    /// Changes since then were read by end alone: they are read again by change as soon as the server
    /// accepts that.
    by_end_since: Option<i64>,
    /// The time of the last cycle that had read every change.
    current_at: Option<i64>,
    /// All observed completions with an end after this are among the finished jobs.
    horizon: i64,
    pub(super) late_walk: LateWalk,
    pub(super) gap: Gap,
    pub(super) ids: JobIds,
}

impl Progress {
    /// Begins at `now`, with nothing read.
    pub(super) fn new(now: i64) -> Self {
        Self {
            now,
            began: now,
            watermark: now,
            by_end_since: None,
            current_at: None,
            horizon: now,
            late_walk: LateWalk::Due { left: None },
            gap: Gap::default(),
            ids: JobIds::default(),
        }
    }

    /// Returns what is saved, with the length of the window in force, the origin of the totals and the time
    /// of the save.
    pub(super) fn snapshot(&self, in_force: Option<i64>, origin: i64, written: i64) -> ProgressV1 {
        let Self { now, began, watermark, by_end_since, current_at, horizon, .. } = *self;
        ProgressV1 {
            now,
            began,
            watermark,
            by_end_since,
            current_at,
            horizon,
            late: self.late_walk.left().map(SpanV1::from),
            in_force,
            highest_id: self.ids.listed_before(),
            gap: self.gap.total(),
            gap_until: self.gap.known_until(),
            outage: self.gap.outage().map(SpanV1::from),
            origin,
            written,
        }
    }

    /// Restores what was saved. A restart counts as an interruption, and makes a late walk due.
    pub(super) fn restore(saved: &ProgressV1) -> Self {
        Self {
            now: saved.now,
            began: saved.began,
            watermark: saved.watermark,
            by_end_since: saved.by_end_since,
            current_at: saved.current_at,
            horizon: saved.horizon,
            late_walk: LateWalk::Due { left: saved.late.map(Span::from) },
            gap: Gap::restore(saved.gap, saved.gap_until, saved.outage.map(Span::from)),
            ids: JobIds::restore(saved.highest_id),
        }
    }

    /// Begins a cycle at `now`, `passed` by our clock after the last one. Returns whether the server's
    /// clock was set back.
    pub(super) fn begin_cycle(&mut self, now: i64, passed: Duration) -> bool {
        let passed = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX / 4);
        let last = self.now;
        let set_back = now < last || now + TOLERANCE < last.saturating_add(passed);
        if set_back {
            // It was set back some time after the last cycle: changes since then may bear any time
            // from here on.
            self.set_back(now, now - passed.max(last - now));
        }
        if !self.is_current() {
            self.gap.interrupt();
        }
        // Not while rows come: they come in no order of their numbers.
        self.ids.begin_cycle();
        self.watermark = self.watermark.min(now);
        self.now = now;
        set_back
    }

    fn set_back(&mut self, now: i64, reach: i64) {
        self.watermark = self.watermark.min(reach);
        self.by_end_since = self.by_end_since.map(|since| since.min(reach));
        self.late_walk.make_due();
        // Times of before are no measure of what was missed: the clock would invent a gap.
        self.began = self.began.min(now);
        self.current_at = self.current_at.map(|at| at.min(now));
        self.gap.set_back(now);
    }

    /// Returns an outage that was not recorded in full.
    pub(super) fn find_outage(&self) -> Option<Span> {
        let read = self.current_at.unwrap_or(self.began).max(self.watermark);
        self.gap.find_outage(self.now, read)
    }

    /// Returns the time of the present cycle.
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    pub(super) fn watermark(&self) -> i64 {
        self.watermark
    }

    pub(super) fn horizon(&self) -> i64 {
        self.horizon
    }

    /// Returns whether every change up to the present cycle was read.
    pub(super) fn is_current(&self) -> bool {
        self.watermark >= self.now
    }

    /// Returns the start of a window of this length.
    pub(super) fn start_of(&self, length: i64) -> i64 {
        self.now.saturating_sub(length)
    }

    /// Returns whether all completions of a window of this length are remembered.
    pub(super) fn covers(&self, length: i64) -> bool {
        self.start_of(length) >= self.horizon
    }

    /// Returns whether an observed completion with this end would be remembered.
    pub(super) fn is_beyond_horizon(&self, end: i64) -> bool {
        end > self.horizon
    }

    /// Returns whether an end lies after the beginning of the ledger.
    pub(super) fn is_after_beginning(&self, end: i64) -> bool {
        end > self.began
    }

    /// Returns whether an end lies so far in the future that the server's clock was set back before
    /// the ledger began; `elapsed` is the time since the cycle began.
    pub(super) fn predates_ledger(&self, end: i64, elapsed: Duration) -> bool {
        let elapsed = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX / 4);
        self.current_at.is_none() && end > self.now + elapsed + FUTURE
    }

    /// Returns the beginning of the next incremental walk.
    pub(super) fn walk_from(&self, field: ChangeField) -> i64 {
        let read = match field {
            ChangeField::LastUpdate => self.by_end_since,
            ChangeField::End => None,
        };
        read.unwrap_or(self.watermark) - OVERLAP
    }

    /// Returns the span of the late walk, if one is due or under way.
    pub(super) fn next_late_walk(&mut self) -> Option<Span> {
        self.late_walk.next(self.now, self.watermark, self.watermark - OVERLAP)
    }

    /// Records that every change before `reached` was read.
    pub(super) fn advance_watermark(&mut self, field: ChangeField, reached: i64) {
        let reached = reached.min(self.now);
        match field {
            ChangeField::End => {
                self.by_end_since.get_or_insert(self.watermark);
            }
            ChangeField::LastUpdate => {
                let raised = self.by_end_since.map(|since| since.max(reached));
                self.by_end_since = raised.filter(|since| *since < self.watermark);
            }
        }
        self.watermark = self.watermark.max(reached);
    }

    /// Records that every change up to the present cycle was read.
    pub(super) fn finish_walk(&mut self, field: ChangeField) {
        self.advance_watermark(field, self.now);
        if field == ChangeField::LastUpdate {
            self.by_end_since = None;
        }
        self.current_at = Some(self.now);
        self.gap.end_interruption();
    }

    /// Records that all completions after `horizon` were read.
    pub(super) fn lower_horizon(&mut self, horizon: i64) {
        self.horizon = self.horizon.min(horizon);
    }

    /// Raises the horizon to what is still needed: up to `needed`, but never beyond what was read. Returns
    /// the new horizon, if it moved.
    pub(super) fn raise_horizon(&mut self, needed: i64) -> Option<i64> {
        // The finished jobs of then decide about changes that were not read yet.
        let limit = needed.min(self.watermark.saturating_sub(SLACK));
        let moved = limit > self.horizon;
        self.horizon = self.horizon.max(limit);
        moved.then_some(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_772_366_400_000;
    const MINUTE: i64 = 60_000;

    #[test]
    fn watermark_never_passes_the_servers_time() {
        let mut progress = Progress::new(NOON);
        progress.advance_watermark(ChangeField::LastUpdate, NOON + MINUTE);
        assert_eq!(progress.watermark(), NOON);
        assert!(progress.begin_cycle(NOON - MINUTE, Duration::ZERO), "the clock was set back");
        assert!(progress.watermark() < NOON - MINUTE);
    }

    #[test]
    fn horizon_rises_only_as_far_as_changes_were_read() {
        let mut progress = Progress::new(NOON);
        progress.lower_horizon(NOON - 2 * SLACK);
        assert_eq!(progress.raise_horizon(NOON), Some(NOON - SLACK));
        assert_eq!(progress.raise_horizon(NOON), None);
        assert!(progress.covers(SLACK) && !progress.covers(SLACK + 1));
        assert!(!progress.is_beyond_horizon(NOON - SLACK));
    }

    #[test]
    fn snapshot_restores_what_was_read_and_makes_a_late_walk_due() {
        let mut progress = Progress::new(NOON);
        progress.begin_cycle(NOON + MINUTE, Duration::ZERO);
        progress.finish_walk(ChangeField::End);
        let late = progress.next_late_walk().expect("due at the start");
        progress.late_walk.advance(late.from + MINUTE);
        let saved = progress.snapshot(None, 0, 0);
        let mut restored = Progress::restore(&saved);
        assert_eq!(restored.snapshot(None, 0, 0), saved);
        assert_eq!(restored.next_late_walk(), Some(late), "due after a restart");
    }
}
