//! The limit of requests, a bucket of tokens.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Requests that are answered: `burst` at once, then one for each `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) interval: Duration,
    /// At least one.
    pub(crate) burst: u32,
}

/// The bucket of a rate; another rate begins with a full one.
#[derive(Debug, Default)]
pub(super) struct Bucket(Mutex<Option<Level>>);

#[derive(Debug)]
struct Level {
    rate: Rate,
    tokens: f64,
    since: Instant,
}

impl Bucket {
    /// Takes a token; returns false where there is none.
    pub(super) fn take(&self, rate: Rate) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let full = f64::from(rate.burst);
        let level = bucket.take().filter(|level| level.rate == rate);
        let mut level = level.unwrap_or(Level { rate, tokens: full, since: now });
        let grown = (now - level.since).as_secs_f64() / rate.interval.as_secs_f64();
        level.tokens = (level.tokens + grown).min(full);
        level.since = now;
        let is_there = level.tokens >= 1.0;
        if is_there {
            level.tokens -= 1.0;
        }
        *bucket = Some(level);
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bucket_is_filled_at_the_rate() {
        let bucket = Bucket::default();
        let rate = Rate { interval: Duration::from_millis(100), burst: 2 };
        let taken = |count| (0..count).filter(|_| bucket.take(rate)).count();
        assert_eq!(taken(5), 2);
        tokio::time::advance(Duration::from_millis(101)).await;
        assert_eq!(taken(5), 1);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(taken(5), 2);
        assert!(bucket.take(Rate { burst: 3, ..rate }), "another rate begins anew");
    }
}
