//! `GET /admin/jobs`: the list of jobs, with cursor pages (docs/netbackup-api.md#jobs-list).

mod body;
pub(crate) mod cursor;
pub(crate) mod fields;
pub(crate) mod page;
pub(crate) mod row;
mod select;

use self::body::Envelope;
use self::cursor::Cursor;
use self::fields::{Field, Filter};
use self::page::Query;
use crate::filter;
use crate::http::reply::Reply;
use crate::http::request::{Request, encode};
use crate::settings::Release;
use crate::shared::Shared;

/// Attributes with a closed set of values.
pub(crate) const ENUMS: &[&str] = &["state", "jobType", "jobSubType", "policyType", "scheduleType"];

const DEFAULT_LIMIT: usize = 10;
const DEFAULT_SORT: &str = "-startTime";

pub(crate) fn get(server: &Shared, request: &Request) -> Reply {
    if !server.permissions().jobs {
        // A missing permission is an empty list, not an error
        // (docs/netbackup-api.md#jobs-empty-without-permission).
        let body =
            br#"{"data":[],"meta":{"pagination":{"limit":10,"rangeTruncated":false}},"links":{}}"#;
        return Reply::json(200, request.served(), body.to_vec());
    }
    let sort_text = request.parameter("sort").unwrap_or(DEFAULT_SORT);
    let filter_text = request.parameter("filter").unwrap_or("");
    let binding = cursor::binding(sort_text, filter_text);
    let query = match query(server, request, sort_text, filter_text, binding) {
        Ok(query) => query,
        Err(reply) => return *reply,
    };
    let envelope = Envelope {
        list: &server.absolute("/admin/jobs"),
        parameters: &parameters(request),
        itself: &request.encoded_query(),
        binding,
        page: query.after.as_ref().or(query.before.as_ref()).map_or(1, |cursor| cursor.page),
    };
    let body = server.read_world(|world| {
        let found = page::find(world, &query);
        body::write(world, &query, &found, &envelope)
    });
    Reply::json(200, request.served(), body)
}

fn query(
    server: &Shared,
    request: &Request,
    sort: &str,
    filter: &str,
    binding: u64,
) -> Result<Query, Box<Reply>> {
    let release = request.release();
    let bad = |detail: String| Box::new(Reply::bad_request(request.served(), &detail));
    let cursor = |name: &str| match request.parameter(name).filter(|text| !text.is_empty()) {
        Some(text) => match cursor::decode(text) {
            Some(cursor) if cursor.binding == binding => Ok(Some(cursor)),
            Some(_) => Err(bad(format!("{name} belongs to another sort or filter"))),
            None => Err(bad(format!("{name} is not a cursor"))),
        },
        None => Ok::<Option<Cursor>, Box<Reply>>(None),
    };
    Ok(Query {
        filter: parse_filter(filter, release, false)
            .map_err(|detail| Box::new(Reply::bad_filter(request.served(), &detail)))?,
        sort: parse_sort(sort, release).map_err(bad)?,
        after: cursor("page[after]")?,
        before: cursor("page[before]")?,
        limit: limit(request, server.settings().page_limit_max).map_err(bad)?,
        release,
    })
}

/// A filter's text; empty text is no filter.
pub(crate) fn parse_filter(
    text: &str,
    release: Release,
    count: bool,
) -> Result<Option<Filter>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let spec = |name: &str| fields::spec(name, release, count);
    filter::parse(text, &spec).map(Some).map_err(|error| error.to_string())
}

fn parse_sort(text: &str, release: Release) -> Result<Vec<(&'static Field, bool)>, String> {
    let keys = text.split(',').map(str::trim).map(|key| {
        let (name, descending) = key.strip_prefix('-').map_or((key, false), |name| (name, true));
        fields::sort_key(name, release)
            .map(|field| (field, descending))
            .ok_or_else(|| format!("the list cannot be sorted by {name:?}"))
    });
    keys.collect()
}

fn limit(request: &Request, max: usize) -> Result<usize, String> {
    let Some(text) = request.parameter("page[limit]") else { return Ok(DEFAULT_LIMIT) };
    match text.parse() {
        Ok(limit) if limit <= max => Ok(limit),
        _ => Err(format!("page[limit] must be from 0 to {max}")),
    }
}

/// The query without its cursors, for the links.
fn parameters(request: &Request) -> String {
    let kept = request
        .query()
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "page[after]" | "page[before]"));
    let pairs = kept.map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}
