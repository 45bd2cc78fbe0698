//! `GET /ping`: the server's time as text, and its API version in a header; no authentication
//! (docs/netbackup-api.md#ping).

use crate::http::negotiate;
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::shared::Shared;

pub(crate) fn get(server: &Shared, request: &Request) -> Reply {
    let version = server.release().api_version();
    let content_type = format!("text/vnd.netbackup+plain;version={version}");
    let mut reply = if negotiate::accepts_ping(request.header("accept"), version) {
        Reply::text(200, &content_type, server.clock().now_ms().to_string())
    } else {
        Reply::text(406, &content_type, negotiate::NOT_ACCEPTABLE.to_owned())
    };
    if !server.settings().hide_version_header {
        reply.header("x-netbackup-api-version", version);
    }
    reply
}
