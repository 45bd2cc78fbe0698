//! `/ping`: is it there, what time is it there, which version does it speak
//! (docs/netbackup-api.md#ping).

use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::error::{Error, ErrorKind};
use super::http::response::with_preview;
use super::resource::Resource;
use super::session::Session;
use super::version::ApiVersion;

/// The ping; it carries no key.
pub static PING: Resource = Resource { name: "ping", path: "/ping", permission: "", max_limit: 0 };

/// 2000-01-01 and 2200-01-01, Unix ms: a clock outside of these is no clock.
const PLAUSIBLE: std::ops::Range<i64> = 946_684_800_000..7_258_118_400_000;

/// What a ping told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// The server's clock when it answered.
    pub server_time: Timestamp,
    /// The newest version that the server speaks, where it says so.
    pub version: Option<ApiVersion>,
    /// From sending to the end of the answer, a wait for other requests and retries included.
    pub round_trip: Duration,
    /// Our clock at the end of the answer.
    pub received_at: SystemTime,
}

impl Ping {
    /// The server's clock, Unix ms.
    pub fn server_time_ms(&self) -> i64 {
        self.server_time.as_millisecond()
    }

    /// How far the server's clock is ahead of ours; exact to half the round trip.
    pub fn clock_skew(&self) -> SignedDuration {
        let middle = self.received_at.checked_sub(self.round_trip / 2).unwrap_or(self.received_at);
        Timestamp::try_from(middle)
            .map_or(SignedDuration::ZERO, |ours| self.server_time.duration_since(ours))
    }
}

impl Session {
    /// Asks for the server's time and version. Works without a good key.
    pub async fn ping(&self) -> Result<Ping, Error> {
        let mut body = Vec::new();
        let sent = Instant::now();
        let (head, made_by) = self.execute_ping(&mut body).await?;
        let (round_trip, received_at) = (sent.elapsed(), SystemTime::now());
        let server_time = std::str::from_utf8(&body)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .filter(|ms| PLAUSIBLE.contains(ms))
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .ok_or_else(|| {
                let detail = "the body is not a time in epoch milliseconds";
                let detail = with_preview(detail, &body, &made_by.redactor);
                self.client
                    .error(&PING, ErrorKind::Body, detail)
                    .with_status(head.status)
                    .with_hint("another service may have answered: check host, port and uri")
            })?;
        if let Some(version) = head.api_version {
            self.client.0.negotiation.heard(version);
        }
        Ok(Ping { server_time, version: head.api_version, round_trip, received_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skew_is_measured_at_the_middle_of_the_round_trip() {
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
