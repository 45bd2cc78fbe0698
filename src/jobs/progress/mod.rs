//! Progress of reading a server's jobs: which changes and which ends were read, and what was missed
//! (docs/adr/0010-job-ledger.md). All times are the server's, Unix ms.

mod gap;
mod late_walk;

use std::time::Duration;

use self::gap::Gap;
use self::late_walk::LateWalk;
use super::format::{ProgressV1, SpanV1};
use super::time::{Span, ms};
use crate::netbackup::wire::jobs::JobRow;

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

/// A time of a job that tells that it changed or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeField {
    LastUpdate,
    /// If the server does not accept a filter on the other.
    End,
}

impl ChangeField {
    /// Returns the name of the field in the API.
    pub(crate) const fn property(self) -> &'static str {
        match self {
            Self::LastUpdate => "lastUpdateTime",
            Self::End => "endTime",
        }
    }

    pub(crate) fn of(self, row: &JobRow<'_>) -> Option<i64> {
        match self {
            Self::LastUpdate => row.last_update_time,
            Self::End => row.end_time,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) now: i64,
    pub(super) began: i64,
    /// Every change before it was read.
    pub(super) watermark: i64,
    /// Changes since then were read by end alone: they are read again by change as soon as the server
    /// accepts that.
    by_end_since: Option<i64>,
    /// The time of the last cycle that had read every change.
    current_at: Option<i64>,
    /// All observed completions with an end after this are among the finished jobs.
    pub(super) horizon: i64,
    pub(crate) late_walk: LateWalk,
    pub(crate) gap: Gap,
    pub(crate) ids: JobIds,
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

    /// Returns what is saved, with the window in force, the origin of the totals and the time of the save.
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
            gap: self.gap.total,
            gap_until: self.gap.until,
            outage: self.gap.outage.map(SpanV1::from),
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
        let passed = ms(passed).min(i64::MAX / 4);
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
        self.ids.highest = self.ids.listed_before();
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

    pub(super) fn find_outage(&self) -> Option<Span> {
        let read = self.current_at.unwrap_or(self.began).max(self.watermark);
        self.gap.find_outage(self.now, read)
    }

    /// Returns whether every change up to the present cycle was read.
    pub(super) fn is_current(&self) -> bool {
        self.watermark >= self.now
    }

    pub(super) fn start_of(&self, length: i64) -> i64 {
        self.now.saturating_sub(length)
    }

    /// Returns whether all completions of a window of this length are remembered.
    pub(super) fn covers(&self, length: i64) -> bool {
        self.start_of(length) >= self.horizon
    }

    /// Returns whether an end lies so far in the future that the server's clock was set back before
    /// the ledger began; `elapsed` is the time since the cycle began.
    pub(super) fn predates_ledger(&self, end: i64, elapsed: Duration) -> bool {
        self.current_at.is_none() && end > self.now + ms(elapsed).min(i64::MAX / 4) + FUTURE
    }

    /// Returns the beginning of the next incremental walk.
    pub(super) fn walk_from(&self, field: ChangeField) -> i64 {
        let read = match field {
            ChangeField::LastUpdate => self.by_end_since,
            ChangeField::End => None,
        };
        read.unwrap_or(self.watermark) - OVERLAP
    }

    pub(super) fn next_late_walk(&mut self) -> Option<Span> {
        self.late_walk.next(self.now, self.watermark, self.watermark - OVERLAP)
    }

    /// Records that every change before `reached` was read.
    pub(crate) fn advance_watermark(&mut self, field: ChangeField, reached: i64) {
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
        self.gap.interrupted = false;
    }

    /// Raises the horizon up to `needed`, but never beyond what was read. Returns it, if it moved.
    pub(super) fn raise_horizon(&mut self, needed: i64) -> Option<i64> {
        // The finished jobs of then decide about changes that were not read yet.
        let limit = needed.min(self.watermark.saturating_sub(SLACK));
        let moved = limit > self.horizon;
        self.horizon = self.horizon.max(limit);
        moved.then_some(limit)
    }
}

/// Numbers of the jobs that a server listed.
#[derive(Debug, Default)]
pub(crate) struct JobIds {
    /// Every job with a higher number was listed for the first time later; `None` until the server told
    /// its highest one.
    pub(crate) highest: Option<i64>,
    met: i64,
}

impl JobIds {
    fn restore(highest: Option<i64>) -> Self {
        Self { highest, met: highest.unwrap_or(0) }
    }

    pub(super) fn meet(&mut self, id: i64) {
        self.met = self.met.max(id);
    }

    /// Returns the highest number with which the next cycle begins: the rows of the last one count among
    /// those listed before.
    fn listed_before(&self) -> Option<i64> {
        self.highest.map(|id| id.max(self.met))
    }

    /// Returns whether a job was never listed before: whatever its end, its completion was not counted.
    pub(super) fn is_new(&self, id: i64) -> bool {
        self.highest.is_some_and(|highest| id > highest)
    }

    pub(super) fn has_met_any(&self) -> bool {
        self.met > 0 || self.highest > Some(0)
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
        assert_eq!(progress.watermark, NOON);
        assert!(progress.begin_cycle(NOON - MINUTE, Duration::ZERO), "the clock was set back");
        assert!(progress.watermark < NOON - MINUTE);
    }

    #[test]
    fn horizon_rises_only_as_far_as_changes_were_read() {
        let mut progress = Progress::new(NOON);
        progress.horizon = NOON - 2 * SLACK;
        assert_eq!(progress.raise_horizon(NOON), Some(NOON - SLACK));
        assert_eq!(progress.raise_horizon(NOON), None);
        assert!(progress.covers(SLACK) && !progress.covers(SLACK + 1));
        assert_eq!(progress.horizon, NOON - SLACK);
    }

    #[test]
    fn restored_progress_makes_a_late_walk_due() {
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
