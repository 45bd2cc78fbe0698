//! A cycle of the ledger: what is to be asked for, and what was read when it is over. Times are the
//! server's, Unix ms.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use super::Subject;
use super::gauges::{Gauges, Window};
use super::ledger::{Ledger, Span};
use super::unfinished::UnfinishedJob;

/// FinishedJobs are kept for this long beyond the window: a server clock that is set back by less costs nothing.
pub(super) const SLACK: i64 = 3_600_000;

/// How far a walk goes back before the watermark.
const OVERLAP: i64 = 30_000;

/// How far the look for rows that became visible late goes back, and how often it is taken.
const LATE: i64 = 600_000;
const LATE_EVERY: i64 = 300_000;

/// What a server's clock may lose against ours between two polls without having been set back.
const TOLERANCE: i64 = 10_000;

/// The property that tells that a finished job changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeField {
    /// The time of its last change.
    LastUpdate,
    /// The time of its end, where the server does not take the other.
    End,
}

impl Ledger {
    /// Begins a cycle at `now`, the server's time; `passed` is how long ago by our clock the last one
    /// began. Returns whether the server's clock was set back.
    pub fn begin(&mut self, now: i64, passed: Duration) -> bool {
        let passed = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX / 4);
        let last = self.position.now;
        let set_back = now < last || now + TOLERANCE < last.saturating_add(passed);
        if set_back {
            // It was set back some time after the last cycle: changes since then may bear any time
            // from here on.
            self.set_back(now, now - passed.max(last - now));
        }
        self.interrupted |= !self.is_current();
        // Not while rows come: they come in no order of their numbers.
        let met = self.position.met_id;
        self.position.highest_id = self.position.highest_id.map(|id| id.max(met));
        self.position.watermark = self.position.watermark.min(now);
        self.position.now = now;
        self.note_outage();
        self.advance_last_results(last, set_back);
        self.cycle_began = Instant::now();
        // Not cleared: one cycle may touch a million, and all others a few.
        self.touched = HashSet::new();
        let wanted = ms(self.wanted);
        self.position.in_force = self.position.in_force.map(|length| length.min(wanted));
        self.shift();
        self.prune();
        if self.names.has_grown() {
            self.forget_names();
        }
        self.incomplete_since = if self.is_complete() {
            None
        } else {
            self.incomplete_since.or(Some(self.cycle_began))
        };
        set_back
    }

    fn set_back(&mut self, now: i64, reach: i64) {
        let position = &mut self.position;
        position.watermark = position.watermark.min(reach);
        position.by_end_since = position.by_end_since.map(|since| since.min(reach));
        position.late_at = None;
        // Times of before are no measure of what was missed: the clock would invent a gap.
        position.began = position.began.min(now);
        position.current_at = position.current_at.map(|at| at.min(now));
        position.gap_until = position.gap_until.min(now);
        position.outage = position.outage.filter(|outage| outage.to <= now);
    }

    /// Notes that a poll failed, or that a long time passed without one.
    pub fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// Puts another window in force from now on, or as soon as the keys cover it.
    pub fn set_window(&mut self, window: Duration) {
        self.wanted = window;
        self.fill_from = None;
    }

    /// Returns where the walk over what changed begins.
    pub fn walk_from(&self, field: ChangeField) -> i64 {
        let read = match field {
            ChangeField::LastUpdate => self.position.by_end_since,
            ChangeField::End => None,
        };
        read.unwrap_or(self.position.watermark) - OVERLAP
    }

    /// Returns the span in which to look for rows that became visible late, where that is due or was
    /// not finished.
    pub fn next_late_walk(&mut self) -> Option<Span> {
        let position = &mut self.position;
        let (now, watermark) = (position.now, position.watermark);
        let due = |at: i64| now < at || now - at >= LATE_EVERY;
        let from = match (position.late_at, position.late) {
            // One that goes on keeps its span, so that it can go on from a cursor.
            (Some(_), Some(_)) => return position.late,
            (Some(at), None) if !due(at) => return None,
            // What showed since the last look was begun was not met by it.
            (Some(at), None) => (watermark - LATE).min(at - LATE_EVERY),
            (None, unfinished) => {
                unfinished.map_or(i64::MAX, |late| late.from).min(watermark - LATE)
            }
        };
        position.late = Some(Span { from, to: watermark - OVERLAP });
        position.late_at = Some(now);
        position.late
    }

    /// Returns when it was saved, by our clock, where it was restored.
    pub fn saved_at(&self) -> Option<SystemTime> {
        self.saved_at
    }

    /// Takes note that every change up to this cycle was read.
    pub fn finish_walk(&mut self, field: ChangeField) {
        self.advance_watermark(field, self.position.now);
        if field == ChangeField::LastUpdate {
            self.position.by_end_since = None;
        }
        let now = self.position.now;
        self.position.current_at = Some(now);
        self.interrupted = false;
        self.settle();
    }

    /// Takes note that every change before `reached` was read.
    pub fn advance_watermark(&mut self, field: ChangeField, reached: i64) {
        let position = &mut self.position;
        let reached = reached.min(position.now);
        match field {
            ChangeField::End => {
                position.by_end_since.get_or_insert(position.watermark);
            }
            ChangeField::LastUpdate => {
                let raised = position.by_end_since.map(|since| since.max(reached));
                position.by_end_since = raised.filter(|since| *since < position.watermark);
            }
        }
        position.watermark = position.watermark.max(reached);
    }

    /// Returns what is left of the look for late rows.
    pub fn late_walk(&self) -> Option<Span> {
        self.position.late
    }

    /// Takes note that the look for late rows has come to `reached`.
    pub fn advance_late_walk(&mut self, reached: i64) {
        self.position.late = self.position.late.and_then(|late| {
            (reached < late.to).then_some(Span { from: late.from.max(reached), to: late.to })
        });
    }

    /// Returns the span `(from, to]` of endTime that is to be read backwards, if any.
    pub fn next_backfill(&mut self) -> Option<Span> {
        let (horizon, needed) = (self.position.horizon, self.start_of(ms(self.wanted)));
        if needed < horizon {
            let from = self.fill_from.unwrap_or(i64::MAX);
            self.fill_from = Some(if from <= needed { from } else { needed.saturating_sub(SLACK) });
        }
        self.fill_from.filter(|from| *from < horizon).map(|from| Span { from, to: horizon })
    }

    /// Takes note that all that ended after `horizon` was read.
    pub fn finish_backfill(&mut self, horizon: i64) {
        self.position.horizon = self.position.horizon.min(horizon);
        self.fill_from = self.fill_from.filter(|from| *from < self.position.horizon);
        self.settle();
    }

    /// Gives up reading beyond the window; returns whether the window itself is covered.
    pub fn has_backfilled_window(&mut self) -> bool {
        let covered = self.covers(ms(self.wanted));
        if covered {
            self.fill_from = None;
        }
        covered
    }

    /// Has the span `(from, to]` of endTime read again, although the keys cover it: what is found there
    /// and not known counts once, where it ended after the ledger began.
    pub fn reread(&mut self, span: Span) {
        if span.from < span.to && !self.rereads.contains(&span) {
            self.rereads.push(span);
        }
    }

    /// Returns the spans to be read again, and forgets them.
    pub fn take_rereads(&mut self) -> Vec<Span> {
        std::mem::take(&mut self.rereads)
    }

    /// Moves the gauges' window to where it belongs now; its ends may move either way.
    fn shift(&mut self) {
        let old = self.window;
        let new = Window { from: self.start_of(self.length()), to: self.position.now };
        self.window = new;
        let first = Window { from: old.from.min(new.from), to: old.from.max(new.from) };
        let second = Window { from: old.to.min(new.to), to: old.to.max(new.to) };
        let jobs = self.finished.ended(first.from, first.to).chain(
            // Where the window jumped, the two overlap.
            self.finished.ended(second.from, second.to).filter(|job| !first.holds(job.end)),
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
        let limit = self.oldest_needed().min(self.position.watermark.saturating_sub(SLACK));
        if limit <= self.position.horizon {
            return;
        }
        let (now, mut retried) = (self.position.now, Vec::new());
        for job in self.finished.drop_until(limit) {
            self.changes.job(job.id);
            // A resumed one is known as unfinished already.
            if job.tries > 1 && !self.unfinished.contains_key(&job.id) {
                retried.push((job.id, job.tries));
            }
        }
        for (id, tries) in retried {
            self.unfinished.insert(id, UnfinishedJob { tries, seen: now, ended: true });
            self.changes.unfinished(id);
        }
        self.position.horizon = limit;
    }

    /// Folds everything anew: after the keys were restored.
    pub(super) fn refold(&mut self) {
        self.gauges = Gauges::new(self.last_results_of(Subject::Client).is_some());
        self.window = Window { from: self.start_of(self.length()), to: self.position.now };
        for job in self.finished.ended(self.window.from, self.window.to).filter(|job| !job.resumed)
        {
            self.gauges.add(job);
        }
    }

    /// Puts the wanted window in force once the keys cover it.
    fn settle(&mut self) {
        let wanted = ms(self.wanted);
        if self.is_current() && self.covers(wanted) && self.position.in_force != Some(wanted) {
            self.position.in_force = Some(wanted);
            self.shift();
        }
    }

    /// Returns whether the numbers of the window in force are those of the present cycle.
    pub fn is_whole(&self) -> bool {
        self.is_current() && self.position.in_force.is_some_and(|length| self.covers(length))
    }

    /// Returns how much of the wanted window the keys cover, 0 to 1, with `ahead` ms that were read
    /// beyond them.
    pub(super) fn fill_ratio(&self, ahead: i64) -> f64 {
        if self.is_complete() {
            return 1.0;
        }
        let wanted = ms(self.wanted);
        // What changed lately is not read before the walk has caught up.
        let covered = self.position.watermark.saturating_sub(self.position.horizon);
        (covered.saturating_add(ahead) as f64 / wanted.max(1) as f64).clamp(0.0, 0.999)
    }

    /// Returns whether the wanted window is in force and the keys cover it.
    fn is_complete(&self) -> bool {
        let wanted = ms(self.wanted);
        self.position.in_force == Some(wanted) && self.covers(wanted)
    }

    /// Returns for how long the wanted window has not been complete.
    pub(super) fn incomplete_for(&self) -> Duration {
        let since = self.incomplete_since.filter(|_| !self.is_complete());
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn is_current(&self) -> bool {
        self.position.watermark >= self.position.now
    }

    fn covers(&self, length: i64) -> bool {
        self.start_of(length) >= self.position.horizon
    }

    fn start_of(&self, length: i64) -> i64 {
        self.position.now.saturating_sub(length)
    }

    /// Returns the length of the gauges' window, ms.
    fn length(&self) -> i64 {
        self.position.in_force.unwrap_or(ms(self.wanted))
    }

    /// Returns up to which end no key is needed for any window.
    pub(super) fn oldest_needed(&self) -> i64 {
        self.start_of(self.length().max(ms(self.wanted))).saturating_sub(SLACK)
    }
}

/// Returns a length of time in whole ms.
fn ms(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}
