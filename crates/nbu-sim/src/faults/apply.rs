//! Does what the rules say: before a request is handled, and to the answer afterwards.

use serde_json::{Value, json};

use super::{Action, ErrorBody};
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::resources::{self, jobs::cursor};

/// Begins the cursors that [`Action::EndlessPages`] makes up.
const ENDLESS: &str = "endless-";

/// Outcome of the faults that strike before a request is handled.
pub(crate) enum Before {
    /// It is handled.
    Handle,
    /// This is the answer.
    Answer(Box<Reply>),
    /// There is no answer, ever.
    Hang,
    /// There is no answer, and no connection either.
    Close,
}

/// The number of the page that a request asks for, from 1.
pub(crate) fn page_of(request: &Request) -> u32 {
    let number = |name: &str| request.parameter(name)?.parse::<u32>().ok();
    if let Some(after) = request.parameter("page[after]") {
        if let Some((page, _)) = endless_cursor(after) {
            return page;
        }
        return cursor::decode(after).map_or(1, |cursor| cursor.page);
    }
    let limit = number("page[limit]").unwrap_or(10).max(1);
    number("page[offset]").unwrap_or(0) / limit + 1
}

/// The page and the real cursor of a cursor that [`Action::EndlessPages`] made; the real one is empty where
/// the list begins again.
fn endless_cursor(text: &str) -> Option<(u32, &str)> {
    let (page, real) = text.strip_prefix(ENDLESS)?.split_once('-')?;
    Some((page.parse().ok()?, real))
}

/// The first action that replaces the answer; latencies are waited for.
pub(crate) async fn before(actions: &[Action], request: &mut Request) -> Before {
    for action in actions {
        match action {
            Action::Latency(delay) => tokio::time::sleep(*delay).await,
            Action::Hang => return Before::Hang,
            Action::CloseConnection => return Before::Close,
            Action::Status { status, retry_after, body } => {
                return Before::Answer(Box::new(status_reply(
                    *status,
                    retry_after.as_deref(),
                    *body,
                )));
            }
            Action::BadFilter => {
                let reply = Reply::bad_filter("10.0", "An injected fault.");
                return Before::Answer(Box::new(reply));
            }
            Action::Html => return Before::Answer(Box::new(html(200))),
            Action::Body(body) => {
                let reply = Reply::json(200, request.served(), body.clone().into_bytes());
                return Before::Answer(Box::new(reply));
            }
            Action::ShortPages(rows) => {
                let asked = request.parameter("page[limit]").and_then(|limit| limit.parse().ok());
                let limit = asked.map_or(*rows, |asked: usize| asked.min(*rows));
                request.set_parameter("page[limit]", &limit.to_string());
            }
            Action::EndlessPages => {
                let after = request.parameter("page[after]").and_then(endless_cursor);
                if let Some((_, real)) = after.map(|(page, real)| (page, real.to_owned())) {
                    request.set_parameter("page[after]", &real);
                }
            }
            _ => {}
        }
    }
    Before::Handle
}

fn status_reply(status: u16, retry_after: Option<&str>, body: ErrorBody) -> Reply {
    let mut reply = match body {
        ErrorBody::Html => html(status),
        ErrorBody::Empty => Reply::text(status, "text/plain", String::new()),
        ErrorBody::Json => {
            Reply::error(status, "10.0", i64::from(status), "An injected fault.", &[])
        }
    };
    if let Some(value) = retry_after {
        reply.header("retry-after", value);
    }
    reply
}

fn html(status: u16) -> Reply {
    let page =
        "<!DOCTYPE html><html><head><title>Gateway</title></head><body>Sign in</body></html>";
    Reply::text(status, "text/html; charset=utf-8", page.to_owned())
}

/// Changes the answer.
pub(crate) fn after(actions: &[Action], request: &Request, page: u32, reply: &mut Reply) {
    for action in actions {
        match action {
            Action::CutBody => reply.cut = Some(reply.body.len() / 2),
            Action::WrongContentType => {
                "application/octet-stream".clone_into(&mut reply.content_type);
            }
            Action::EmptyBody => reply.body.clear(),
            Action::InvalidJson => reply.body.truncate(reply.body.len() / 2),
            Action::RepeatedCursor
            | Action::EmptyNext
            | Action::EndlessPages
            | Action::GarbageRecord
            | Action::NullAttributes
            | Action::WrongTypes
            | Action::UnknownEnum
            | Action::WithoutMeta
            | Action::DuplicateRows => {
                if let Ok(mut body) = serde_json::from_slice(&reply.body) {
                    change_body(action, request, page, &mut body);
                    reply.body = body.to_string().into_bytes();
                }
            }
            _ => {}
        }
    }
}

fn change_body(action: &Action, request: &Request, page: u32, body: &mut Value) {
    if !body.is_object() {
        // A ping.
        return;
    }
    let is_cursor = !body["meta"]["pagination"]["offset"].is_number();
    match action {
        Action::RepeatedCursor => repeat(request, is_cursor, body),
        Action::EmptyNext => {
            if body["meta"]["pagination"].is_object()
                && body["meta"]["pagination"]["next"].is_null()
            {
                body["meta"]["pagination"]["next"] = json!("");
            }
        }
        Action::EndlessPages => endless(is_cursor, page, body),
        Action::WithoutMeta => {
            for name in ["meta", "links"] {
                body.as_object_mut().and_then(|body| body.remove(name));
            }
        }
        _ => {
            let is_document = request.method() == "GET" && body["data"].is_object();
            if let Some(rows) = body["data"].as_array_mut() {
                change_rows(action, rows);
            } else if is_document && !matches!(action, Action::DuplicateRows) {
                let mut one = vec![body["data"].take()];
                change_rows(action, &mut one);
                body["data"] = one.pop().unwrap_or_default();
            }
        }
    }
}

/// The next page is this one.
fn repeat(request: &Request, is_cursor: bool, body: &mut Value) {
    let next = if is_cursor {
        request.parameter("page[after]").map(|at| json!(at))
    } else {
        Some(body["meta"]["pagination"]["offset"].clone())
    };
    if let (Some(next), true) = (next, body["meta"]["pagination"].is_object()) {
        body["meta"]["pagination"]["next"] = next;
    }
}

/// There is a next page always, under a cursor that was never sent before in the walk.
fn endless(is_cursor: bool, page: u32, body: &mut Value) {
    let pagination = &mut body["meta"]["pagination"];
    if !pagination.is_object() {
        return;
    }
    if is_cursor {
        let real = pagination["next"].as_str().unwrap_or_default();
        pagination["next"] = json!(format!("{ENDLESS}{}-{real}", page.saturating_add(1)));
    } else if pagination["next"].is_null() {
        let number = |name: &str| pagination[name].as_i64().unwrap_or(0);
        pagination["next"] = json!(number("offset") + number("limit").max(1));
    }
}

fn change_rows(action: &Action, rows: &mut Vec<Value>) {
    let Some(first) = rows.first_mut() else { return };
    match action {
        Action::GarbageRecord => *first = json!("garbage"),
        Action::DuplicateRows => {
            let again = first.clone();
            rows.insert(1, again);
        }
        Action::NullAttributes => each_attribute(first, |_, value| *value = Value::Null),
        Action::WrongTypes => each_attribute(first, |_, value| {
            *value = if value.is_string() { json!(1.5) } else { json!({ "not": "a value" }) };
        }),
        Action::UnknownEnum => each_attribute(first, spoil_enums),
        _ => {}
    }
}

/// Gives enums a new value, also those of objects and lists inside an attribute.
fn spoil_enums(name: &str, value: &mut Value) {
    match value {
        Value::String(_) if resources::is_enum(name) => *value = json!("SOMETHING_NEW"),
        Value::Object(inner) => inner.iter_mut().for_each(|(name, value)| spoil_enums(name, value)),
        Value::Array(inner) => inner.iter_mut().for_each(|value| spoil_enums(name, value)),
        _ => {}
    }
}

fn each_attribute(row: &mut Value, mut change: impl FnMut(&str, &mut Value)) {
    for (name, value) in row["attributes"].as_object_mut().into_iter().flatten() {
        change(name, value);
    }
}
