//! The server's clock: the real one with a skew, or one that a test moves by hand.
//!
//! Two times are kept apart. *World time* never steps back and is what makes things happen. *Server time* is
//! world time plus the skew that was in force at that instant, and is what the server writes on its rows and
//! answers to `/ping`. So a server whose clock is set back goes on working and stamps new rows with earlier
//! times, as a real one does.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that can be shared: clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None` is the system's clock, else unix milliseconds.
    manual: Option<AtomicI64>,
    /// (world time from which it holds, skew), both in milliseconds; never empty.
    skews: Mutex<Vec<(i64, i64)>>,
}

impl Clock {
    /// The real time, with a skew of zero.
    pub fn system() -> Self {
        Self::new(None)
    }

    /// A clock that stands at `start_ms` (unix milliseconds) until it is advanced.
    pub fn manual(start_ms: i64) -> Self {
        Self::new(Some(AtomicI64::new(start_ms)))
    }

    fn new(manual: Option<AtomicI64>) -> Self {
        Self(Arc::new(Inner { manual, skews: Mutex::new(vec![(i64::MIN, 0)]) }))
    }

    /// Sets the skew before the simulator starts; a builder's form of [`Clock::set_skew_ms`].
    #[must_use]
    pub fn with_skew_ms(self, skew_ms: i64) -> Self {
        *self.skews() = vec![(i64::MIN, skew_ms)];
        self
    }

    /// Moves a manual clock forward. A system clock goes by itself: nothing happens.
    pub fn advance(&self, by: Duration) {
        if let Some(now) = &self.0.manual {
            now.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4), Ordering::SeqCst);
        }
    }

    /// From now on the server's time is world time plus `skew_ms`. Rows that were written keep their times.
    pub fn set_skew_ms(&self, skew_ms: i64) {
        let now = self.world_ms();
        self.skews().push((now, skew_ms));
    }

    /// The server's time now, in unix milliseconds: what `/ping` answers.
    pub fn now_ms(&self) -> i64 {
        let now = self.world_ms();
        stamp(&self.skews(), now)
    }

    /// True for a clock that tests move.
    pub fn is_manual(&self) -> bool {
        self.0.manual.is_some()
    }

    /// World time in unix milliseconds: the clock without any skew.
    pub fn world_ms(&self) -> i64 {
        match &self.0.manual {
            Some(now) => now.load(Ordering::SeqCst),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// The skews so far, for a world that stamps its rows.
    pub(crate) fn skew_history(&self) -> Vec<(i64, i64)> {
        self.skews().clone()
    }

    /// Returns the number of skews so far, by which a world knows whether its copy is old.
    pub(crate) fn skew_count(&self) -> usize {
        self.skews().len()
    }

    fn skews(&self) -> std::sync::MutexGuard<'_, Vec<(i64, i64)>> {
        self.0.skews.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// Server time of the world instant `at`, by the skew that held then.
pub(crate) fn stamp(skews: &[(i64, i64)], at: i64) -> i64 {
    let skew = skews.iter().rev().find(|(from, _)| *from <= at).or(skews.first());
    at + skew.map_or(0, |(_, skew)| *skew)
}

/// Returns a span in milliseconds.
pub(crate) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_applies_from_the_time_it_was_set() {
        let clock = Clock::manual(10_000);
        clock.set_skew_ms(-5_000);
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.world_ms(), 11_000);
        assert_eq!(clock.now_ms(), 6_000);
        assert_eq!(stamp(&clock.skew_history(), 9_999), 9_999);
    }
}
