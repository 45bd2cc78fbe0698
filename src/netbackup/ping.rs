//! The ping: the server's clock and its API version (docs/netbackup-api.md#ping).

use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::client::Client;
use super::error::Error;
use super::http::request::RequestSpec;
use super::session::Session;
use super::version::ApiVersion;

/// 2000-01-01 to 2200-01-01, Unix ms: a time outside is not a server's clock.
pub(super) const PLAUSIBLE: std::ops::Range<i64> = 946_684_800_000..7_258_118_400_000;

/// The deadline of a ping beyond the timeout of its request, so that the request's own timeout error
/// is reported, not ours.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// The server's clock when it answered.
    pub server_time: Timestamp,
    /// The newest API version of the server, if it sends one.
    pub version: Option<ApiVersion>,
    /// From sending to the end of the response, including waits for other requests and retries.
    pub round_trip: Duration,
    /// The agent's clock at the end of the response.
    pub received_at: SystemTime,
}

impl Ping {
    pub fn server_time_ms(&self) -> i64 {
        self.server_time.as_millisecond()
    }

    /// Returns the time by which the server's clock is ahead of the agent's; exact to half the round
    /// trip.
    pub fn clock_skew(&self) -> SignedDuration {
        let middle = self.received_at.checked_sub(self.round_trip / 2).unwrap_or(self.received_at);
        Timestamp::try_from(middle)
            .map_or(SignedDuration::ZERO, |ours| self.server_time.duration_since(ours))
    }
}

impl Client {
    /// Pings the server under the timeout of one request.
    pub async fn ping(&self) -> Result<Ping, Error> {
        let limit = self.0.connection().config.timeout + GRACE;
        self.with_deadline(Instant::now() + limit).ping().await
    }
}

impl Session {
    /// Pings the server for its time and version. Works without a valid key.
    pub async fn ping(&self) -> Result<Ping, Error> {
        let sent = Instant::now();
        let body = self.execute(&RequestSpec::ping()).await?;
        let (round_trip, received_at) = (sent.elapsed(), SystemTime::now());
        let server_time = parse_time(&body.bytes).ok_or_else(|| {
            body.error("the body is not a time in epoch milliseconds")
                .with_hint("another service may have answered: check host, port and uri")
        })?;
        let version = body.head.api_version;
        if let Some(version) = version {
            self.client().0.versions.observe(version);
        }
        Ok(Ping { server_time, version, round_trip, received_at })
    }
}

fn parse_time(body: &[u8]) -> Option<Timestamp> {
    let ms = std::str::from_utf8(body).ok()?.trim().parse().ok()?;
    Some(ms).filter(|ms| PLAUSIBLE.contains(ms)).and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_skew_is_measured_at_half_the_round_trip() {
        let received_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let ping = Ping {
            server_time: Timestamp::from_second(1_005).unwrap(),
            version: None,
            round_trip: Duration::from_secs(4),
            received_at,
        };
        assert_eq!(ping.clock_skew(), SignedDuration::from_secs(7));
        assert_eq!(ping.server_time_ms(), 1_005_000);
    }
}
