//! Lists of the storage API that page by cursor (docs/netbackup-api.md#paging-cursor): `meta` and
//! `links` nest under `pagination`. The rows do not change under a walk, so a cursor holds a place.

use serde_json::{Map, Value, json};

use super::jobs::cursor;
use crate::http::reply::Reply;
use crate::http::request::{Request, encode};

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 100;

/// Returns the page that a request asks for of these rows, or what is wrong with the request.
pub(crate) fn page(
    rows: &[usize],
    write: impl Fn(&usize) -> Value,
    path: &str,
    address: &str,
    request: &Request,
) -> Result<Value, Reply> {
    let bad = |detail: &str| Err(Reply::bad_request(request.served(), detail));
    let limit = match request.parameter("page[limit]").map(str::parse) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit)) if limit <= MAX_LIMIT => limit,
        Some(_) => return bad("page[limit] must be from 0 to 100"),
    };
    let place = |name: &str| match request.parameter(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => cursor::decode(text)
            .filter(|cursor| cursor.binding == cursor::binding(path, ""))
            .map(|cursor| Some(cursor.index as usize))
            .ok_or(()),
    };
    let (Ok(after), Ok(before)) = (place("page[after]"), place("page[before]")) else {
        return bad("not a cursor of this list");
    };
    let end = before.unwrap_or(rows.len()).min(rows.len());
    let start = match after {
        Some(after) => (after + 1).min(end),
        None if before.is_some() => end.saturating_sub(limit),
        None => 0,
    };
    let shown = start..end.min(start + limit);
    let data: Vec<Value> = rows[shown.clone()].iter().map(write).collect();
    let page = start / limit.max(1) + 2;
    let at = |row: usize| {
        let (page, row) = (u32::try_from(page), u32::try_from(row));
        let (page, row) = (page.unwrap_or(u32::MAX), row.unwrap_or(u32::MAX));
        cursor::encode(cursor::binding(path, ""), page, row, &[])
    };
    let next = (shown.end < rows.len() && !shown.is_empty()).then(|| at(shown.end - 1));
    let prev = (start > 0 && !shown.is_empty()).then(|| at(start));
    let truncated = after.is_some() && before.is_some() && shown.end < end;
    let links = links(address, request, next.as_deref(), prev.as_deref());
    let mut pagination = Map::from_iter([
        ("limit".to_owned(), json!(limit)),
        ("rangeTruncated".to_owned(), json!(truncated)),
    ]);
    for (name, cursor) in [("next", next), ("prev", prev)] {
        pagination.extend(cursor.map(|cursor| (name.to_owned(), json!(cursor))));
    }
    let (meta, links) = (json!({ "pagination": pagination }), json!({ "pagination": links }));
    Ok(json!({ "data": data, "meta": meta, "links": links }))
}

/// Returns the links beside the cursors of a page.
pub(crate) fn links(
    address: &str,
    request: &Request,
    next: Option<&str>,
    prev: Option<&str>,
) -> Value {
    let others = request.query().iter();
    let others =
        others.filter(|(name, _)| !matches!(name.as_str(), "page[after]" | "page[before]"));
    let others: Vec<String> =
        others.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let link = |place: Option<String>| {
        let query: Vec<String> = others.iter().cloned().chain(place).collect();
        json!({ "href": format!("{address}?{}", query.join("&")) })
    };
    let mut links = json!({ "self": link(None), "first": link(None) });
    if let Some(next) = next {
        links["next"] = link(Some(format!("page%5Bafter%5D={next}")));
    }
    if let Some(prev) = prev {
        links["prev"] = link(Some(format!("page%5Bbefore%5D={prev}")));
    }
    links
}
