//! A page of a list, and the envelope around its records.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer};

use super::lenient::{self, Value, whole_number};

#[derive(Debug)]
pub struct Page<'a, A> {
    /// The records that could be decoded, in the server's order.
    pub rows: Vec<Record<'a, A>>,
    /// The number of records that could not be decoded.
    pub unreadable: usize,
    /// `meta.pagination.count`: the number of rows of the whole list, if the server tells it.
    pub total: Option<i64>,
    /// `None` if the list has nothing on paging.
    pub(crate) pagination: Option<Pagination>,
}

impl<A> Page<'_, A> {
    /// Returns the number of its records, bad ones included.
    pub(crate) fn received(&self) -> usize {
        self.rows.len() + self.unreadable
    }
}

/// The object around the records of a list, or what an error has in their place.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "T: Deserialize<'de>"))]
pub(super) struct Envelope<T> {
    pub(super) data: Vec<T>,
    #[serde(default, deserialize_with = "lenient::object")]
    pub(super) meta: Option<Pagination>,
    #[serde(default, deserialize_with = "lenient::integer")]
    pub(super) error_code: Option<i64>,
    #[serde(default, deserialize_with = "lenient::owned_text")]
    pub(super) error_message: Option<String>,
}

/// A record of a list; dereferences to its attributes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(bound(deserialize = "A: Deserialize<'de>"))]
pub struct Record<'a, A> {
    #[serde(borrow, default)]
    pub id: Id<'a>,
    #[serde(deserialize_with = "lenient::required_object")]
    pub attributes: A,
    #[serde(borrow, default, rename = "relationships", deserialize_with = "lenient::object")]
    pub(crate) related: Option<Related<'a>>,
}

/// The records that a record names.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Related<'a> {
    /// The disk pool of a storage unit.
    #[serde(borrow, deserialize_with = "lenient::object")]
    pub(crate) disk_pool: Option<One<'a>>,
    /// The storage servers of a disk pool: an object with a list `data`, if the server keeps to it.
    storage_servers: serde_json::Value,
}

impl Related<'_> {
    /// Returns the ids of the storage servers, sorted.
    pub(crate) fn storage_servers(&self) -> Vec<String> {
        let data = self.storage_servers["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut ids: Vec<String> =
            data.iter().filter_map(|server| server["id"].as_str().map(str::to_owned)).collect();
        ids.sort_unstable();
        ids
    }
}

/// Reference to one record that another one names.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct One<'a> {
    #[serde(borrow, deserialize_with = "lenient::object")]
    data: Option<Reference<'a>>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Reference<'a> {
    #[serde(borrow)]
    id: Id<'a>,
}

impl<'a> One<'a> {
    /// Returns its id, if it has one.
    pub(crate) fn id(&self) -> Option<&Id<'a>> {
        self.data.as_ref().map(|data| &data.id).filter(|id| **id != Id::Missing)
    }
}

impl<A> Deref for Record<'_, A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.attributes
    }
}

/// The id of a record: text in the vendor's schema, an integer in its examples.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Id<'a> {
    /// Absent, null, or neither text nor integer.
    #[default]
    Missing,
    Number(i64),
    Text(Cow<'a, str>),
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => Ok(()),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Id<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lenient::read(deserializer, |value: Value<'de>| match value {
            Value::Integer(number) => Self::Number(number),
            Value::Float(number) => whole_number(number).map_or(Self::Missing, Self::Number),
            Value::Text(text) => Self::Text(text),
            _ => Self::Missing,
        })
    }
}

/// The position of a page in its list: `meta.pagination`, or the same fields directly under `meta`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Pagination {
    /// Cursor or offset of the next page; empty on the last one.
    #[serde(deserialize_with = "lenient::owned_text")]
    pub(crate) next: Option<String>,
    #[serde(deserialize_with = "lenient::integer")]
    pub(crate) count: Option<i64>,
    /// Rows per page that the server applied.
    #[serde(deserialize_with = "lenient::integer")]
    pub(crate) limit: Option<i64>,
    /// True if there is a next page; only the asset service sends it.
    #[serde(deserialize_with = "lenient::boolean")]
    pub(crate) has_next: Option<bool>,
    /// In `meta`: the pagination below it.
    #[serde(rename = "pagination", deserialize_with = "lenient::object")]
    nested: Option<Box<Pagination>>,
}

impl Pagination {
    /// Returns the pagination of a list with this `meta`; `None` if it has nothing on paging.
    pub(super) fn of_meta(meta: Self) -> Option<Self> {
        match meta.nested {
            Some(pagination) => Some(*pagination),
            None => (meta != Self::default()).then_some(meta),
        }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAPage(pub(crate) String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn related_record_is_read_and_odd_ones_are_none() {
        let related = |json: &str| {
            let record = format!(r#"{{"attributes":{{}},"relationships":{json}}}"#);
            let record: Record<'_, serde::de::IgnoredAny> = serde_json::from_str(&record).unwrap();
            record.related.and_then(|related| related.disk_pool?.id().map(ToString::to_string))
        };
        assert_eq!(
            related(r#"{"diskPool":{"data":{"type":"diskPool","id":"PureDisk:p"}}}"#).as_deref(),
            Some("PureDisk:p")
        );
        for odd in [
            "null",
            "7",
            "[]",
            "{}",
            r#"{"diskPool":[]}"#,
            r#"{"diskPool":{"data":[1]}}"#,
            r#"{"diskPool":{"data":{"id":null}}}"#,
        ] {
            assert_eq!(related(odd), None, "{odd}");
        }
    }

    #[test]
    fn id_is_read_from_text_number_or_null() {
        let id = |json: &str| serde_json::from_str::<Id<'_>>(json).unwrap().to_string();
        assert_eq!(id("7"), "7");
        assert_eq!(id(r#""a:b""#), "a:b");
        assert_eq!(id("null"), "");
    }
}
