//! Writes a page of jobs as JSON, straight into bytes: a page of 100 rows is a quarter of a megabyte.

use std::io::Write as _;

use jiff::SignedDuration;

use super::cursor;
use super::fields::{FIELDS, Form};
use super::page::{Found, Query, keys};
use super::row::Row;
use crate::filter::Value;
use crate::resources::iso;
use crate::world::World;

/// Data of the envelope beside the rows.
pub(crate) struct Envelope<'a> {
    /// Absolute address of the list, with the server's own name.
    pub(crate) list: &'a str,
    /// Query parameters other than the cursor, encoded, without a leading `&`.
    pub(crate) parameters: &'a str,
    /// The query string of this request, encoded.
    pub(crate) itself: &'a str,
    pub(crate) binding: u64,
    /// Number of this page.
    pub(crate) page: u32,
}

/// The whole answer.
pub(crate) fn write(
    world: &World,
    query: &Query,
    found: &Found,
    envelope: &Envelope<'_>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024 + found.rows.len() * 2600);
    out.extend_from_slice(b"{\"data\":[");
    let (mut first, mut last) = (None, None);
    for index in &found.rows {
        let Some(row) = Row::new(world, *index, query.release) else { continue };
        let cursor =
            cursor::encode(envelope.binding, envelope.page + 1, *index, &keys(&row, &query.sort));
        if first.is_some() {
            out.push(b',');
        }
        write_row(&mut out, &row, &cursor, envelope.list);
        first.get_or_insert_with(|| cursor.clone());
        last = Some(cursor);
    }
    let next = last.filter(|_| found.more);
    let prev = first.filter(|_| found.earlier);
    out.extend_from_slice(b"],\"meta\":{\"pagination\":{\"limit\":");
    number(&mut out, i64::try_from(query.limit).unwrap_or(i64::MAX));
    for (name, cursor) in [("next", &next), ("prev", &prev)] {
        if let Some(cursor) = cursor {
            let _ = write!(out, ",\"{name}\":\"{cursor}\"");
        }
    }
    let _ = write!(out, ",\"rangeTruncated\":{}}}}},\"links\":{{", found.truncated);
    write_links(&mut out, envelope, next.as_deref(), prev.as_deref());
    out.extend_from_slice(b"}}");
    out
}

fn write_links(out: &mut Vec<u8>, envelope: &Envelope<'_>, next: Option<&str>, prev: Option<&str>) {
    let Envelope { list, parameters, itself, .. } = envelope;
    let mut link = |name: &str, query: &str| {
        let mark = if query.is_empty() { "" } else { "?" };
        text(out, name);
        out.extend_from_slice(b":{\"href\":");
        text(out, &format!("{list}{mark}{query}"));
        out.push(b'}');
        out.push(b',');
    };
    let join = if parameters.is_empty() { "" } else { "&" };
    link("self", itself);
    link("first", parameters);
    if let Some(next) = next {
        link("next", &format!("{parameters}{join}page%5Bafter%5D={next}"));
    }
    if let Some(prev) = prev {
        link("prev", &format!("{parameters}{join}page%5Bbefore%5D={prev}"));
    }
    out.pop();
}

fn write_row(out: &mut Vec<u8>, row: &Row<'_>, cursor: &str, list: &str) {
    let id = row.job_id();
    let _ = write!(
        out,
        "{{\"links\":{{\"self\":{{\"href\":\"/admin/jobs/{id}\"}},\
         \"file-lists\":{{\"href\":\"{list}/{id}/file-lists\"}},\
         \"try-logs\":{{\"href\":\"{list}/{id}/try-logs\"}}}},\
         \"type\":\"job\",\"id\":\"{id}\",\"meta\":{{\"page\":{{\"cursor\":\"{cursor}\"}}}},\
         \"attributes\":{{"
    );
    for (place, field) in FIELDS.iter().filter(|field| field.in_body()).enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b"\":");
        write_value(out, field.form, &(field.get)(row));
    }
    out.extend_from_slice(b"}}");
}

fn write_value(out: &mut Vec<u8>, form: Form, value: &Value<'_>) {
    match (form, value) {
        (Form::Time, Value::Integer(ms)) => {
            out.push(b'"');
            iso::write_ms(out, *ms);
            out.push(b'"');
        }
        (Form::Span, Value::Integer(ms)) => {
            let _ = write!(out, "\"{}\"", SignedDuration::from_millis(*ms));
        }
        (_, Value::Integer(value)) => number(out, *value),
        (_, Value::Float(value)) => {
            // A Vec takes everything, here and below.
            let _ = serde_json::to_writer(out, value);
        }
        (_, Value::Text(value)) => text(out, value),
    }
}

fn number(out: &mut Vec<u8>, value: i64) {
    let _ = serde_json::to_writer(out, &value);
}

fn text(out: &mut Vec<u8>, value: &str) {
    let _ = serde_json::to_writer(out, value);
}
