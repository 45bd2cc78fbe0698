//! `GET /security/serverinfo`: the server's own name (docs/netbackup-api.md#server-info). It takes no permission.

use serde_json::json;

use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::shared::Shared;

pub(crate) fn get(server: &Shared, request: &Request) -> Reply {
    let body = json!({
        "serverName": server.settings().name,
        "nbuVersion": server.release().as_str(),
        "masterHostId": "00000000-0000-4000-8000-000000000001",
    });
    Reply::json(200, request.served(), body.to_string().into_bytes())
}
