//! Decoding of lists. One pass borrows from the bytes; if it fails, each record is decoded by itself,
//! so that a bad record costs a second pass and not the page (ARCHITECTURE.md, invariant 9).

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::OnceLock;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::page::{Envelope, Id, NotAPage, Page, Pagination, Record};
use super::repair::repair;
use super::{lenient, skim, split};

#[derive(Debug)]
pub(crate) struct List<T> {
    pub(crate) rows: Vec<T>,
    pub(crate) bad: Vec<BadRecord>,
    pagination: Option<Pagination>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadRecord {
    /// Distinguishes it from others, within this process.
    pub(crate) identity: u64,
    /// Empty if the record has none.
    pub(crate) id: String,
    /// The field and its fault.
    pub(crate) problem: String,
}

impl<T> Envelope<T> {
    /// Returns the list, unless the answer is an error.
    fn check(self, body: &[u8]) -> Result<List<T>, NotAPage> {
        let Self { data: rows, meta, error_code, error_message } = self;
        let has_message = error_message.is_some_and(|message| !message.trim().is_empty());
        if error_code.is_some_and(|code| code != 0) || (has_message && rows.is_empty()) {
            return Err(not_a_list(body, "it is an error"));
        }
        Ok(List { rows, bad: Vec::new(), pagination: meta.and_then(Pagination::of_meta) })
    }
}

impl<'a, A> List<Record<'a, A>> {
    pub(crate) fn into_page(self) -> Page<'a, A> {
        let Self { rows, bad, pagination } = self;
        let total = pagination.as_ref().and_then(|pagination| pagination.count);
        Page { rows, unreadable: bad.len(), total, pagination }
    }
}

pub fn read_page<'de, A: Deserialize<'de>>(body: &'de [u8]) -> Result<Page<'de, A>, NotAPage> {
    decode_page(body).map(List::into_page)
}

/// Decodes a page, like [`decode_list`] and with the same result, but faster.
fn decode_page<'de, A: Deserialize<'de>>(
    body: &'de [u8],
) -> Result<List<Record<'de, A>>, NotAPage> {
    match skim::page(body) {
        Some(envelope) => envelope.check(body),
        None => decode_list(body),
    }
}

/// Decodes a list. If a record is bad because of invalid text, decodes the repaired body, which
/// `repaired` then holds.
pub(crate) fn decode_list_repaired<'de, T: Deserialize<'de>>(
    body: &'de [u8],
    repaired: &'de OnceLock<Vec<u8>>,
) -> Result<List<T>, NotAPage> {
    with_repair(decode_list(body), body, repaired)
}

/// Decodes a page, like [`decode_list_repaired`].
pub(crate) fn decode_page_repaired<'de, A: Deserialize<'de>>(
    body: &'de [u8],
    repaired: &'de OnceLock<Vec<u8>>,
) -> Result<List<Record<'de, A>>, NotAPage> {
    with_repair(decode_page(body), body, repaired)
}

fn with_repair<'de, T: Deserialize<'de>>(
    list: Result<List<T>, NotAPage>,
    body: &[u8],
    repaired: &'de OnceLock<Vec<u8>>,
) -> Result<List<T>, NotAPage> {
    match list {
        Ok(list) if list.bad.is_empty() => Ok(list),
        other => match repair(body) {
            Some(text) => decode_list(repaired.get_or_init(|| text)),
            None => other,
        },
    }
}

/// Decodes a list: an object with `data`. An answer without `data`, or one that contains an error, is
/// not an empty list, whatever its status.
pub(crate) fn decode_list<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<List<T>, NotAPage> {
    if body.trim_ascii_start().first() == Some(&b'{')
        && let Ok(envelope) = serde_json::from_slice::<Envelope<T>>(body)
    {
        return envelope.check(body);
    }
    decode_records(body)
}

/// Decodes the records of a list one by one. The body must still be a valid JSON object.
fn decode_records<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<List<T>, NotAPage> {
    serde_json::from_slice::<IgnoredAny>(body).map_err(|error| NotAPage(error.to_string()))?;
    let members = split::members(body).ok_or_else(|| NotAPage("not a JSON object".into()))?;
    let member =
        |name: &[u8]| members.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let Some(data) = member(b"data") else { return Err(not_a_list(body, "`data` is missing")) };
    let records = split::elements(data).ok_or_else(|| not_a_list(body, "`data` is not a list"))?;
    let code = member(b"errorCode").unwrap_or(b"null");
    let code = lenient::integer(&mut serde_json::Deserializer::from_slice(code));
    if code.is_ok_and(|code| code.is_some_and(|code| code != 0)) {
        return Err(not_a_list(body, "it is an error"));
    }
    let mut rows = Vec::with_capacity(records.len());
    let mut bad: Vec<BadRecord> = Vec::new();
    let mut occurrences = HashMap::new();
    for record in records {
        let deserializer = &mut serde_json::Deserializer::from_slice(record);
        match serde_path_to_error::deserialize(deserializer) {
            Ok(row) => rows.push(row),
            Err(error) => bad.push(BadRecord::new(record, &error, &mut occurrences)),
        }
    }
    let meta = member(b"meta").unwrap_or(b"null");
    let meta = lenient::object(&mut serde_json::Deserializer::from_slice(meta))
        .map_err(|error| NotAPage(format!("`meta`: {error}")))?;
    Ok(List { rows, bad, pagination: meta.and_then(Pagination::of_meta) })
}

impl BadRecord {
    fn new(
        record: &[u8],
        error: &serde_path_to_error::Error<serde_json::Error>,
        occurrences: &mut HashMap<u64, u64>,
    ) -> Self {
        let id = split::member(record, b"id")
            .and_then(|id| serde_json::from_slice::<Id<'_>>(id).ok())
            .map_or_else(String::new, |id| id.to_string());
        let content = if id.is_empty() { hash(record) } else { hash(&id) };
        // Equal records of a page are several.
        let nth = occurrences.entry(content).and_modify(|nth| *nth += 1).or_insert(0_u64);
        Self { identity: hash((content, *nth)), id, problem: error.to_string() }
    }

    /// Returns a record that was decoded but lacks a required value.
    pub(crate) fn lacking(id: &Id<'_>, problem: &str) -> Self {
        let (id, problem) = (id.to_string(), problem.to_owned());
        Self { identity: hash((&id, &problem)), id, problem }
    }
}

fn hash(value: impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

/// Returns the cursor of the last record of a page, `meta.page.cursor`.
pub(crate) fn last_cursor(body: &[u8]) -> Option<String> {
    let last = split::elements(split::member(body, b"data")?)?.pop()?;
    let cursor = ["meta", "page", "cursor"]
        .iter()
        .try_fold(last, |object, name| split::member(object, name.as_bytes()))?;
    serde_json::from_slice::<String>(cursor).ok().filter(|cursor| !cursor.is_empty())
}

/// The vendor's error document (docs/netbackup-api.md#errors).
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ErrorResponse {
    #[serde(deserialize_with = "lenient::integer")]
    error_code: Option<i64>,
    #[serde(deserialize_with = "lenient::owned_text")]
    error_message: Option<String>,
}

/// Returns the server's own error message and code, if the body has one.
pub(crate) fn server_message(body: &[u8]) -> Option<String> {
    let response = serde_json::from_slice::<ErrorResponse>(body).ok()?;
    let text = response.error_message.filter(|text| !text.trim().is_empty());
    match (text, response.error_code) {
        (Some(text), Some(code)) => Some(format!("{text}, errorCode {code}")),
        (Some(text), None) => Some(text),
        (None, Some(code)) => Some(format!("errorCode {code}")),
        (None, None) => None,
    }
}

/// Returns `reason`, or the error that `body` contains.
fn not_a_list(body: &[u8], reason: &str) -> NotAPage {
    NotAPage(match server_message(body) {
        Some(message) => format!("the answer is an error ({message})"),
        None => reason.to_owned(),
    })
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
