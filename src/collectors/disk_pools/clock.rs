//! Doubt about the server's clock.

use tokio::time::Instant;

/// A jump of the server's clock that is doubted, ms: with one of four weeks, every night would be too old to count.
const FAR: i64 = 20 * 24 * 3_600_000;

/// The server's time of the last run, and our clock then.
#[derive(Debug, Default)]
pub(super) struct ServerClock {
    seen: Option<(i64, Instant)>,
    /// The last time was not believed.
    doubted: bool,
}

impl ServerClock {
    /// Returns whether the server's time is weeks later than the time that has passed explains: one such answer would
    /// end all nights. Said twice, it is believed.
    pub(super) fn is_doubtful(&mut self, now: i64) -> bool {
        let passed =
            |since: Instant| i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
        let is_far = self.seen.is_some_and(|(then, since)| {
            now.saturating_sub(then).saturating_sub(passed(since)) > FAR
        });
        self.doubted = is_far && !self.doubted;
        if !self.doubted {
            self.seen = Some((now, Instant::now()));
        }
        self.doubted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn jump_of_weeks_is_believed_when_it_is_said_twice() {
        let mut clock = ServerClock::default();
        let (start, month) = (1_000_000, 30 * 24 * 3_600_000);
        assert!(!clock.is_doubtful(start));
        assert!(clock.is_doubtful(start + month));
        assert!(!clock.is_doubtful(start + 1), "it was wrong once");
        assert!(clock.is_doubtful(start + month));
        assert!(!clock.is_doubtful(start + month + 1));
        tokio::time::sleep(std::time::Duration::from_secs(40 * 24 * 3600)).await;
        assert!(!clock.is_doubtful(start + month + 40 * 24 * 3_600_000), "so much time has passed");
        assert!(!clock.is_doubtful(start), "set back");
    }
}
