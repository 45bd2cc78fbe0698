//! `GET /security/servertime`: the server's time and its time zone, without authentication
//! (docs/netbackup-api.md#servertime).

use serde_json::json;

use crate::http::negotiate;
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::shared::Shared;
use crate::zone::Told;

pub(crate) fn get(server: &Shared, request: &Request) -> Reply {
    let Some(version) = negotiate::version(request.header("accept"), server.release()) else {
        return Reply::not_acceptable(request.served());
    };
    let zone = &server.settings().time_zone;
    let id = match &zone.told {
        Told::Right => Some(zone.id()),
        Told::As(other) => Some(other.as_str()),
        Told::Nothing => None,
        Told::NoPath => return Reply::not_found(&version),
    };
    let mut body = json!({ "serverTime": server.clock().now_ms() });
    if let Some(id) = id {
        body["timeZoneName"] = zone.name().into();
        body["timeZoneId"] = id.into();
    }
    Reply::json(200, &version, body.to_string().into_bytes())
}
