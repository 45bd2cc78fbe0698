//! When and how long to wait before trying again (ARCHITECTURE.md, invariant 7).

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// How often a request is tried and how long between. The default is what the agent runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all; at least 1.
    pub max_attempts: u32,
    /// The upper end of the first wait; each further one doubles it.
    pub base: Duration,
    /// The upper end of any wait.
    pub cap: Duration,
    /// The longest `Retry-After` that is waited for; a longer one is cut to it.
    pub retry_after_cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 4,
            base: Duration::from_millis(250),
            cap: Duration::from_secs(10),
            retry_after_cap: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// The wait after attempt number `attempt` (from 1): what the server asks for, otherwise
    /// exponential with full jitter, so that collectors that failed together do not come back
    /// together.
    pub(crate) fn wait(&self, attempt: u32, retry_after: Option<Duration>) -> Duration {
        if let Some(asked) = retry_after {
            // Never earlier than asked for, so the jitter is on top.
            return asked.min(self.retry_after_cap) + self.base.mul_f64(fastrand::f64());
        }
        let doubled = self.base.saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        doubled.min(self.cap).mul_f64(fastrand::f64())
    }
}

/// Reads `Retry-After` as seconds, HTTP date or ISO 8601 date-time (which is what the vendor
/// documents). Dates are taken relative to `now`, best the server's own `Date`.
pub(crate) fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = text.parse::<Timestamp>().ok().or_else(|| parse_http_date(text))?;
    // A moment that has passed means "now".
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn parse_http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

/// The moment that dates of an answer are relative to.
pub(crate) fn answer_time(date: Option<&str>) -> Timestamp {
    date.and_then(parse_http_date)
        .or_else(|| Timestamp::try_from(SystemTime::now()).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_of_retry_after_are_read() {
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Sun, 01 Mar 2026 10:00:30 GMT", Some(30)),
            ("2026-03-01T10:01:00.000Z", Some(60)),
            ("2026-03-01T12:01:00+02:00", Some(60)),
            ("2026-03-01T09:00:00Z", Some(0)),
            ("soon", None),
            ("-3", None),
        ] {
            assert_eq!(parse_retry_after(text, now), expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn waits_grow_and_stay_below_the_cap() {
        let policy = RetryPolicy::default();
        for attempt in 1..100 {
            let most = policy.base.saturating_mul(1 << (attempt - 1).min(20)).min(policy.cap);
            assert!(policy.wait(attempt, None) <= most, "attempt {attempt}");
        }
    }

    #[test]
    fn what_the_server_asks_for_is_waited_for_up_to_a_cap() {
        let policy = RetryPolicy::default();
        let wait = policy.wait(1, Some(Duration::from_secs(5)));
        assert!(wait >= Duration::from_secs(5) && wait <= Duration::from_secs(6), "{wait:?}");
        assert!(policy.wait(1, Some(Duration::from_secs(86_400))) < Duration::from_secs(61));
    }
}
