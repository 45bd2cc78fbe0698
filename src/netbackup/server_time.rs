//! The server's clock and time zone (docs/netbackup-api.md#servertime).

use serde::Deserialize;

use super::error::Error;
use super::ping::PLAUSIBLE;
use super::resource::{Query, Resource};
use super::session::Session;
use super::wire::lenient::{self, Text};

/// It needs a key, and no permission.
static SERVER_TIME: Resource =
    Resource { name: "server_time", path: "/security/servertime", permission: None, max_limit: 0 };

/// The answer. Each field may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Answer<'a> {
    /// Unix ms.
    #[serde(deserialize_with = "lenient::integer")]
    server_time: Option<i64>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    time_zone_id: Text<'a>,
}

/// Clock and time zone of a server, as it tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTime {
    /// Unix ms; none if it is no time of this century or the next.
    pub now: Option<i64>,
    /// Id of its time zone, as it spells it.
    pub zone: Option<String>,
}

impl Session {
    /// Asks the server for its clock and its time zone.
    pub async fn server_time(&self) -> Result<ServerTime, Error> {
        let body = self.get(&SERVER_TIME, &Query::all()).await?;
        let answer = body.read::<Answer<'_>>()?;
        let zone = answer.time_zone_id.filter(|zone| !zone.trim().is_empty());
        let now = answer.server_time.filter(|ms| PLAUSIBLE.contains(ms));
        Ok(ServerTime { now, zone: zone.map(|zone| zone.trim().to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_and_zone_may_be_missing() {
        let read = |text: &'static str| {
            let answer = serde_json::from_str::<Answer<'_>>(text).unwrap();
            (answer.server_time, answer.time_zone_id.map(std::borrow::Cow::into_owned))
        };
        assert_eq!(
            read(
                r#"{"serverTime":1500000000000,"timeZoneName":"CET","timeZoneId":"Europe/Paris"}"#
            ),
            (Some(1_500_000_000_000), Some("Europe/Paris".to_owned()))
        );
        assert_eq!(read("{}"), (None, None));
        assert_eq!(read(r#"{"serverTime":"soon","timeZoneId":null}"#), (None, None));
    }
}
