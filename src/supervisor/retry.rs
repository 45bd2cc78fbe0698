//! The retry of a valid configuration that cannot be put in force.

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The first wait; each further one is twice as long.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// The longest wait: a reload reads some files and binds a port, so it may be frequent.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// Time of the next attempt, if one is planned.
#[derive(Debug, Default)]
pub(super) struct Retry {
    next: Option<(Instant, Duration)>,
}

impl Retry {
    /// Plans the next attempt, later than after the one before.
    pub(super) fn schedule(&mut self) {
        let delay = self.next.map_or(FIRST_DELAY, |(_, last)| (last * 2).min(MAX_DELAY));
        self.next = Some((Instant::now() + delay, delay));
    }

    pub(super) fn cancel(&mut self) {
        self.next = None;
    }

    /// Waits until the attempt is due; for ever where none is planned.
    pub(super) async fn due(&self) {
        match self.next {
            Some((at, _)) => sleep_until(at).await,
            None => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn retry_delays_double_to_a_bound_and_reset() {
        let mut retry = Retry::default();
        let start = Instant::now();
        for expected in [1, 3, 7, 15, 25, 35] {
            retry.schedule();
            retry.due().await;
            assert_eq!(start.elapsed().as_secs(), expected);
        }
        retry.cancel();
        let never = tokio::time::timeout(MAX_DELAY * 100, retry.due()).await;
        assert!(never.is_err());
        retry.schedule();
        let again = tokio::time::timeout(FIRST_DELAY * 2, retry.due()).await;
        assert!(again.is_ok());
    }
}
