//! Decodes a list. One pass that borrows from its bytes; only where that fails, each record is read by
//! itself, so that one bad record costs a second pass and not the page (ARCHITECTURE.md, invariant 9).

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::lenient;
use super::{Id, Meta, NotAPage, Page, Pagination, Record, split};
use crate::netbackup::http::response;

/// A list as it came: elements that could be read, those that could not, and what is said on paging.
#[derive(Debug)]
pub(in crate::netbackup) struct List<T> {
    pub(in crate::netbackup) rows: Vec<T>,
    pub(in crate::netbackup) bad: Vec<BadRecord>,
    /// `None` where there is nothing of the kind.
    pub(in crate::netbackup) pagination: Option<Pagination>,
}

/// An element of a list that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::netbackup) struct BadRecord {
    /// Tells it from others, in this process.
    pub(in crate::netbackup) identity: u64,
    /// Its id as far as it has one.
    pub(in crate::netbackup) id: String,
    /// The field, and what is wrong with it.
    pub(in crate::netbackup) problem: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "T: Deserialize<'de>"))]
struct Envelope<T> {
    data: Vec<T>,
    #[serde(default, deserialize_with = "lenient::object")]
    meta: Option<Meta>,
    #[serde(default, deserialize_with = "lenient::integer")]
    error_code: Option<i64>,
    #[serde(default, deserialize_with = "lenient::owned_text")]
    error_message: Option<String>,
}

impl<'a, A> List<Record<'a, A>> {
    pub(in crate::netbackup) fn into_page(
        self,
    ) -> (Page<'a, A>, Vec<BadRecord>, Option<Pagination>) {
        let total = self.pagination.as_ref().and_then(|pagination| pagination.count);
        let page = Page { rows: self.rows, unreadable: self.bad.len(), total };
        (page, self.bad, self.pagination)
    }
}

/// Reads a list: an object with `data`. An answer without, or one that says that it is an error, is no
/// empty list, whatever its status.
pub(in crate::netbackup) fn decode_list<'de, T: Deserialize<'de>>(
    body: &'de [u8],
) -> Result<List<T>, NotAPage> {
    if body.trim_ascii_start().first() == Some(&b'{')
        && let Ok(envelope) = serde_json::from_slice::<Envelope<T>>(body)
    {
        let Envelope { data: rows, meta, error_code, error_message } = envelope;
        let said = error_message.is_some_and(|said| !said.trim().is_empty());
        if error_code.is_some_and(|code| code != 0) || (said && rows.is_empty()) {
            return Err(no_list(body, "it is an error"));
        }
        return Ok(List { rows, bad: Vec::new(), pagination: meta.and_then(Meta::pagination) });
    }
    decode_records(body)
}

/// Reads the records of a list one by one. It must be JSON and an object all the same.
fn decode_records<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<List<T>, NotAPage> {
    serde_json::from_slice::<IgnoredAny>(body).map_err(|error| NotAPage(error.to_string()))?;
    let members = split::members(body).ok_or_else(|| NotAPage("not a JSON object".into()))?;
    let member =
        |name: &[u8]| members.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let Some(data) = member(b"data") else { return Err(no_list(body, "`data` is missing")) };
    let records = split::elements(data).ok_or_else(|| no_list(body, "`data` is not a list"))?;
    let code = member(b"errorCode").unwrap_or(b"null");
    let code = lenient::integer(&mut serde_json::Deserializer::from_slice(code));
    if code.is_ok_and(|code| code.is_some_and(|code| code != 0)) {
        return Err(no_list(body, "it is an error"));
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
    let meta = lenient::object(&mut serde_json::Deserializer::from_slice(
        member(b"meta").unwrap_or(b"null"),
    ))
    .map_err(|error| NotAPage(format!("`meta`: {error}")))?;
    Ok(List { rows, bad, pagination: meta.and_then(Meta::pagination) })
}

impl BadRecord {
    fn new(
        record: &[u8],
        error: &serde_path_to_error::Error<serde_json::Error>,
        occurrences: &mut HashMap<u64, u64>,
    ) -> Self {
        let id = split::members(record)
            .and_then(|members| members.into_iter().find(|(key, _)| *key == b"id"))
            .and_then(|(_, id)| serde_json::from_slice::<Id<'_>>(id).ok())
            .map_or_else(String::new, |id| id.to_string());
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let what = if id.is_empty() { hasher.hash_one(record) } else { hasher.hash_one(&id) };
        // Records that are alike are several all the same.
        let nth = occurrences.entry(what).and_modify(|nth| *nth += 1).or_insert(0_u64);
        let identity = hasher.hash_one((what, *nth));
        Self { identity, id, problem: error.to_string() }
    }
}

impl BadRecord {
    /// Returns one that could be read, and is of no use.
    pub(in crate::netbackup) fn lacking(id: &Id<'_>, problem: &str) -> Self {
        let (id, problem) = (id.to_string(), problem.to_owned());
        let identity = BuildHasherDefault::<DefaultHasher>::default().hash_one((&id, &problem));
        Self { identity, id, problem }
    }
}

/// Returns the cursor that the last record of a page has, in `meta.page.cursor`.
pub(in crate::netbackup) fn last_cursor(body: &[u8]) -> Option<String> {
    let member = |object, name: &[u8]| {
        let members = split::members(object)?;
        members.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let last = split::elements(member(body, b"data")?)?.pop()?;
    let cursor = member(member(member(last, b"meta")?, b"page")?, b"cursor")?;
    serde_json::from_slice::<String>(cursor).ok().filter(|cursor| !cursor.is_empty())
}

/// Why `body` is no list, with the error that it tells, if it does.
fn no_list(body: &[u8], why: &str) -> NotAPage {
    NotAPage(match response::message(body) {
        Some(said) => format!("the answer is an error ({said})"),
        None => why.to_owned(),
    })
}
