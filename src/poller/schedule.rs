//! The starts of a site's cycles.

use std::time::Duration;

use tokio::time::Instant;

/// The starts of cycles. Sites that started together spread out: the gap after the first cycle, and
/// after one that an update requested, is a random share of the interval.
#[derive(Debug)]
pub(super) struct Schedule {
    interval: Duration,
    /// The start of the last cycle, as it was planned.
    last: Option<Instant>,
    next: Instant,
    /// The requested start, until it comes: no other plan delays it.
    requested: Option<Instant>,
    /// The share of the interval between the two.
    share: f64,
    spread: bool,
}

impl Schedule {
    pub(super) fn new(first: Instant, interval: Duration) -> Self {
        Self { interval, last: None, next: first, requested: None, share: 1.0, spread: true }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Starts the next cycle and plans the one after it. Cycles that are too late already are skipped.
    pub(super) fn advance(&mut self) {
        self.share = if self.spread { 0.5 + fastrand::f64() / 2.0 } else { 1.0 };
        self.spread = false;
        self.requested = None;
        self.last = Some(self.next);
        self.next += self.interval.mul_f64(self.share);
        let now = Instant::now();
        while self.next <= now {
            self.next += self.interval;
        }
    }

    /// Plans the next cycle again, from the start of the last one; not before `earliest`.
    pub(super) fn reschedule(&mut self, interval: Duration, earliest: Instant) {
        self.interval = interval;
        if let Some(last) = self.last {
            self.next = last + interval.mul_f64(self.share);
            if self.next < earliest {
                self.next = earliest;
                self.spread = true;
            }
        }
        if let Some(requested) = self.requested {
            self.run_no_later_than(requested);
        }
    }

    /// Starts the next cycle at `at`, unless it is planned earlier.
    pub(super) fn run_no_later_than(&mut self, at: Instant) {
        self.requested = Some(self.requested.map_or(at, |before| before.min(at)));
        if at < self.next {
            self.next = at;
            self.spread = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns a schedule after two cycles, and the planned start of the last one; the next one comes
    /// a whole interval later.
    async fn settled(interval: Duration) -> (Schedule, Instant) {
        let mut schedule = Schedule::new(Instant::now(), interval);
        schedule.advance();
        let second = schedule.next();
        tokio::time::sleep_until(second).await;
        schedule.advance();
        (schedule, second)
    }

    #[tokio::test(start_paused = true)]
    async fn only_first_gap_is_a_share_of_the_interval() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 100 * SECOND);
        schedule.advance();
        let second = schedule.next();
        assert!(second >= start + 50 * SECOND && second <= start + 100 * SECOND);
        tokio::time::sleep_until(second).await;
        schedule.advance();
        assert_eq!(schedule.next(), second + 100 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn late_cycles_are_skipped() {
        let (mut schedule, last) = settled(100 * SECOND).await;
        tokio::time::sleep(350 * SECOND).await;
        schedule.advance();
        assert_eq!(schedule.next(), last + 400 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn changed_interval_counts_from_last_cycle_start() {
        let (mut schedule, last) = settled(100 * SECOND).await;
        let now = last + 30 * SECOND;
        schedule.reschedule(600 * SECOND, now);
        assert_eq!(schedule.next(), last + 600 * SECOND);
        schedule.reschedule(40 * SECOND, now);
        assert_eq!(schedule.next(), last + 40 * SECOND);
        schedule.reschedule(10 * SECOND, now);
        assert_eq!(schedule.next(), last + 30 * SECOND, "it is due, and not in the past");
    }

    #[tokio::test(start_paused = true)]
    async fn requested_cycle_starts_no_later_than_planned() {
        let (mut schedule, last) = settled(100 * SECOND).await;
        schedule.run_no_later_than(last + 200 * SECOND);
        assert_eq!(schedule.next(), last + 100 * SECOND);
        schedule.run_no_later_than(last + SECOND);
        assert_eq!(schedule.next(), last + SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn changed_interval_does_not_delay_requested_cycle() {
        let (mut schedule, second) = settled(100 * SECOND).await;
        let soon = second + SECOND;
        schedule.run_no_later_than(soon);
        schedule.reschedule(1_000 * SECOND, second);
        assert_eq!(schedule.next(), soon);
        tokio::time::sleep_until(soon).await;
        schedule.advance();
        assert!(schedule.next() >= soon + 500 * SECOND, "once, and then as planned");
    }
}
