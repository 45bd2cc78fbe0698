//! Waits between the attempts of a request (ARCHITECTURE.md, invariant 7).

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// The number of attempts of a request, and the waits between them. The agent runs with the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all; at least 1.
    pub max_attempts: u32,
    /// The maximum of the first wait; each retry doubles it.
    pub base: Duration,
    pub cap: Duration,
    /// The maximum of a wait that `Retry-After` asks for.
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
    /// Returns the wait after attempt number `attempt` (from 1): the wait that the server asks for,
    /// otherwise exponential with full jitter, so that collectors that failed together do not retry
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

/// Returns the wait that the headers of a response ask for. Dates are relative to the server's own
/// `Date`, if it sends one.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let header = |name: HeaderName| headers.get(name)?.to_str().ok();
    let now = header(DATE)
        .and_then(parse_http_date)
        .or_else(|| Timestamp::try_from(SystemTime::now()).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH);
    parse_retry_after(header(RETRY_AFTER)?, now)
}

/// Reads `Retry-After` as seconds, HTTP date or ISO 8601 date-time, which the vendor documents
/// (docs/netbackup-api.md#retry-after).
fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = text.parse::<Timestamp>().ok().or_else(|| parse_http_date(text))?;
    // A time in the past means "now".
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`.
fn parse_http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_all_three_forms() {
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
    fn wait_grows_and_stays_below_the_cap() {
        let policy = RetryPolicy::default();
        for attempt in 1..100 {
            let most = policy.base.saturating_mul(1 << (attempt - 1).min(20)).min(policy.cap);
            assert!(policy.wait(attempt, None) <= most, "attempt {attempt}");
        }
    }

    #[test]
    fn wait_follows_retry_after_up_to_a_cap() {
        let policy = RetryPolicy::default();
        let wait = policy.wait(1, Some(Duration::from_secs(5)));
        assert!(wait >= Duration::from_secs(5) && wait <= Duration::from_secs(6), "{wait:?}");
        assert!(policy.wait(1, Some(Duration::from_secs(86_400))) < Duration::from_secs(61));
    }
}
