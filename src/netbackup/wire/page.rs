//! A page of a list, and the envelope around its records.

use std::ops::Deref;

use serde::Deserialize;

use super::id::Id;
use super::lenient;

/// A page of a list.
#[derive(Debug)]
pub struct Page<'a, A> {
    /// The records that could be decoded, in the server's order.
    pub rows: Vec<Record<'a, A>>,
    /// The number of records that could not be decoded.
    pub unreadable: usize,
    /// `meta.pagination.count`: the number of rows of the whole list, if the server tells it.
    pub total: Option<i64>,
}

/// A record of a list; dereferences to its attributes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(bound(deserialize = "A: Deserialize<'de>"))]
pub struct Record<'a, A> {
    /// `id`.
    #[serde(borrow, default)]
    pub id: Id<'a>,
    /// `attributes`.
    #[serde(deserialize_with = "lenient::required_object")]
    pub attributes: A,
}

impl<A> Deref for Record<'_, A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.attributes
    }
}

/// The position of a page in its list: `meta.pagination`, or the same fields directly under `meta`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Pagination {
    /// Cursor or offset of the next page; empty on the last one.
    #[serde(deserialize_with = "lenient::owned_text")]
    pub(crate) next: Option<String>,
    /// Rows of the whole list.
    #[serde(deserialize_with = "lenient::integer")]
    pub(crate) count: Option<i64>,
    /// Rows per page that the server applied.
    #[serde(deserialize_with = "lenient::integer")]
    pub(crate) limit: Option<i64>,
    /// True if there is a next page; only the asset service sends it.
    #[serde(deserialize_with = "lenient::boolean")]
    pub(crate) has_next: Option<bool>,
}

/// The `meta` of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta {
    #[serde(deserialize_with = "lenient::object")]
    pagination: Option<Pagination>,
    #[serde(deserialize_with = "lenient::owned_text")]
    next: Option<String>,
    #[serde(deserialize_with = "lenient::integer")]
    count: Option<i64>,
    #[serde(deserialize_with = "lenient::integer")]
    limit: Option<i64>,
    #[serde(deserialize_with = "lenient::boolean")]
    has_next: Option<bool>,
}

impl Meta {
    /// Returns the pagination; `None` if `meta` has nothing on paging.
    pub(super) fn pagination(self) -> Option<Pagination> {
        let Self { pagination, next, count, limit, has_next } = self;
        let direct = Pagination { next, count, limit, has_next };
        pagination.or_else(|| (direct != Pagination::default()).then_some(direct))
    }
}

/// The reason why a body is not a page.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAPage(pub(crate) String);
