//! `POST /admin/jobs-count-requests`: how many jobs match a filter, answered at once
//! (docs/netbackup-api.md#jobs-count).

use serde_json::{Value, json};

use super::jobs::{page, parse_filter};
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::shared::Shared;

pub(crate) fn post(server: &Shared, request: &Request) -> Reply {
    if !server.permissions().job_counts {
        return Reply::unauthorized(request.served());
    }
    let text = match filter_of(request.body()) {
        Ok(text) => text,
        Err(detail) => return Reply::bad_request(request.served(), &detail),
    };
    let release = request.release();
    let filter = match parse_filter(&text, release, true) {
        Ok(filter) => filter,
        Err(detail) => return Reply::bad_filter(request.served(), &detail),
    };
    let count = server.read_world(|world| page::count(world, filter.as_ref(), release));
    let id = format!("{:016x}", super::jobs::cursor::binding("count", &text));
    let body = json!({
        "data": {"type": "jobCount", "id": id, "attributes": {"count": count, "filter": text}}
    });
    Reply::json(200, request.served(), body.to_string().into_bytes())
}

/// The filter of a request's body; the body may be missing altogether.
fn filter_of(body: &[u8]) -> Result<String, String> {
    if body.is_empty() {
        return Ok(String::new());
    }
    let body: Value =
        serde_json::from_slice(body).map_err(|_| "the body is not JSON".to_owned())?;
    let data = &body["data"];
    if data["type"] != "jobCount" || !data["attributes"].is_object() {
        return Err("data.type must be jobCount, data.attributes an object".to_owned());
    }
    match &data["attributes"]["filter"] {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        _ => Err("data.attributes.filter must be a string".to_owned()),
    }
}
