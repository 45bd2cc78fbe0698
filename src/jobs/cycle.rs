//! A cycle of the ledger: what is to be asked for, and what was read when it is over. Times are the
//! server's, Unix ms.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use super::Named;
use super::gauges::{Gauges, Window};
use super::ledger::{Ledger, Position, Span};

/// Keys are kept for this long beyond the window: a server clock that is set back by less costs nothing.
const SLACK: i64 = 3_600_000;

/// How far a walk goes back before the watermark.
const OVERLAP: i64 = 30_000;

/// How far the look for rows that became visible late goes back, and how often it is taken.
const LATE: i64 = 600_000;
const LATE_EVERY: i64 = 300_000;

/// What a server's clock may lose against ours between two polls without having been set back.
const TOLERANCE: i64 = 10_000;

/// A watermark that is older than this is checked against what the server still has.
const LONG_OUTAGE: i64 = 3_600_000;

/// A job that was seen unfinished and then not at all is forgotten after this time.
const FORGET: i64 = 7 * 86_400_000;

impl Ledger {
    /// A cycle begins at `now`, the server's time; `passed` is how long ago by our clock the last one
    /// began. Whether the server's clock was set back.
    pub fn begin(&mut self, now: i64, passed: Duration) -> bool {
        let passed = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX / 4);
        let last = self.position.now;
        let set_back = now < last || now + TOLERANCE < last.saturating_add(passed);
        if set_back {
            // It was set back some time after the last cycle: changes since then may bear any time
            // from here on.
            let reach = now - passed.max(last - now);
            self.position.watermark = self.position.watermark.min(reach);
            self.position.late_at = None;
        }
        self.position.watermark = self.position.watermark.min(now);
        self.position.now = now;
        self.advance_last_results(last, set_back);
        self.cycles += 1;
        self.began = Instant::now();
        // Not cleared: one cycle may touch a million, and all others a few.
        self.touched = HashSet::new();
        if self.wanted < self.length {
            self.length = self.wanted;
        }
        self.shift();
        self.prune();
        self.known.retain(|id, known| {
            let keep = now - known.seen < FORGET;
            if !keep {
                self.changes.known(*id);
            }
            keep
        });
        set_back
    }

    /// Another window is wanted from now on.
    pub fn want(&mut self, window: Duration) {
        self.wanted = window;
    }

    /// Where the walk over what changed begins, and the span in which to look for rows that became
    /// visible late, where that is due.
    pub fn to_walk(&mut self) -> (i64, Option<Span>) {
        let Position { now, watermark, late_at, .. } = self.position;
        let from = watermark - OVERLAP;
        let due = late_at.is_none_or(|at| now < at || now - at >= LATE_EVERY);
        if due {
            let begun = self.position.late.map_or(i64::MAX, |late| late.from);
            self.position.late = Some(Span { from: begun.min(watermark - LATE), to: from });
            self.position.late_at = Some(now);
        }
        (from, self.position.late)
    }

    /// When it was saved, by our clock, where it was restored.
    pub fn written(&self) -> Option<SystemTime> {
        self.written
    }

    /// Every change up to this cycle was read.
    pub fn caught_up(&mut self) {
        self.walked(self.position.now);
    }

    /// Every change before `reached` was read.
    pub fn walked(&mut self, reached: i64) {
        let reached = reached.min(self.position.now);
        self.position.watermark = self.position.watermark.max(reached);
    }

    /// The look for late rows has come to `reached`.
    pub fn looked(&mut self, reached: i64) {
        self.position.late = self.position.late.and_then(|late| {
            (reached < late.to).then_some(Span { from: late.from.max(reached), to: late.to })
        });
    }

    /// The span `(from, to]` of endTime that is to be read backwards, if any.
    pub fn to_fill(&mut self) -> Option<Span> {
        let Position { now, horizon, .. } = self.position;
        let needed = Window::ending(now, self.wanted).from;
        if needed >= horizon {
            self.filling = None;
        }
        if self.filling.is_none() && needed < horizon {
            self.filling = Some(Span { from: needed.saturating_sub(SLACK), to: horizon });
        }
        self.filling
    }

    /// All of what [`Ledger::to_fill`] said was read.
    pub fn filled_up(&mut self) {
        let Some(span) = self.filling.take() else { return };
        self.position.horizon = self.position.horizon.min(span.from);
        self.position.whole = true;
        if self.length != self.wanted {
            self.length = self.wanted;
            self.shift();
        }
    }

    /// Whether the watermark is so old that what the server still has must be asked for.
    pub fn is_far_behind(&self) -> bool {
        self.position.now - self.position.watermark > LONG_OUTAGE
    }

    /// The oldest finished job that the server still has ended at `oldest`. How much time before it is
    /// lost, and was not said to be.
    pub fn oldest(&mut self, oldest: i64) -> Duration {
        let from = self.position.watermark.max(self.position.gap_until);
        let lost = oldest.min(self.position.now) - from;
        if lost <= 0 {
            return Duration::ZERO;
        }
        self.position.gap = self.position.gap.saturating_add(lost);
        self.position.gap_until = oldest;
        Duration::from_millis(lost.unsigned_abs())
    }

    /// Moves the gauges' window to where it belongs now; its ends may move either way.
    fn shift(&mut self) {
        let old = self.window;
        let new = Window::ending(self.position.now, self.length);
        self.window = new;
        let first = Window { from: old.from.min(new.from), to: old.from.max(new.from) };
        let second = Window { from: old.to.min(new.to), to: old.to.max(new.to) };
        let jobs = self.keys.ended(first.from, first.to).chain(
            // Where the window jumped, the two overlap.
            self.keys.ended(second.from, second.to).filter(|job| !first.holds(job.end)),
        );
        for job in jobs.filter(|job| !job.resumed) {
            match (old.holds(job.end), new.holds(job.end)) {
                (false, true) => self.gauges.add(job),
                (true, false) => self.gauges.take(job),
                _ => {}
            }
        }
    }

    /// Drops the keys that are needed no more. What was not read yet is decided by the keys of then.
    fn prune(&mut self) {
        if self.filling.is_some() {
            return;
        }
        let Position { now, watermark, horizon, .. } = self.position;
        let longest = self.length.max(self.wanted);
        let limit = Window::ending(now, longest).from.min(watermark).saturating_sub(SLACK);
        if limit > horizon {
            for id in self.keys.drop_until(limit) {
                self.changes.job(id);
            }
            self.position.horizon = limit;
        }
    }

    /// Everything is folded anew: after the keys were restored.
    pub(super) fn refold(&mut self) {
        self.gauges = Gauges::new(self.lasts(Named::Client).is_some());
        self.window = Window::ending(self.position.now, self.length);
        for job in self.keys.ended(self.window.from, self.window.to).filter(|job| !job.resumed) {
            self.gauges.add(job);
        }
    }

    /// Whether the window is whole: its numbers mean what they say.
    pub fn is_whole(&self) -> bool {
        self.position.whole
            && Window::ending(self.position.now, self.length).from >= self.position.horizon
    }
}
