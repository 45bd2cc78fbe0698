//! The wire: the envelope that lists have in common, and one file for each resource.
//!
//! A page is decoded in one pass that borrows from its bytes. Only where that fails, it is split
//! into its records and each is read by itself, so that one bad record costs a second pass and not
//! the page (ARCHITECTURE.md, invariant 9).

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::Deserialize;

pub mod job_count;
pub mod jobs;
pub mod lenient;
mod list;
pub(super) mod repair;
pub(super) mod split;
mod timestamp;

pub(super) use list::{BadRecord, decode_list, last_cursor};

/// One page of a list.
#[derive(Debug)]
pub struct Page<'a, A> {
    /// The records that could be read, in the server's order.
    pub rows: Vec<Record<'a, A>>,
    /// How many records could not be read.
    pub unreadable: usize,
    /// `meta.pagination.count`: how many there are in all, where the server says so.
    pub total: Option<i64>,
}

/// A record: its id, and its attributes, to which it dereferences.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(bound(deserialize = "A: Deserialize<'de>"))]
pub struct Record<'a, A> {
    /// `id`, a string in the schema and an integer in the vendor's examples.
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

/// The id of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Id<'a> {
    /// Absent, null, or neither text nor integer.
    #[default]
    Missing,
    /// An integer.
    Number(i64),
    /// A text.
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
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lenient::id(deserializer)
    }
}

/// What a page says about paging: `meta.pagination`, or the same fields directly under `meta`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Pagination {
    /// Cursor or offset of the next page; empty where there is none.
    #[serde(deserialize_with = "lenient::owned_text")]
    pub(super) next: Option<String>,
    /// Rows in all.
    #[serde(deserialize_with = "lenient::integer")]
    pub(super) count: Option<i64>,
    /// Rows a page, as the server sees it.
    #[serde(deserialize_with = "lenient::integer")]
    pub(super) limit: Option<i64>,
    /// Whether there is a next page (asset service).
    #[serde(deserialize_with = "lenient::boolean")]
    pub(super) has_next: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
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
    /// `None` where it says nothing about paging.
    fn pagination(self) -> Option<Pagination> {
        let Self { pagination, next, count, limit, has_next } = self;
        let direct = Pagination { next, count, limit, has_next };
        pagination.or_else(|| (direct != Pagination::default()).then_some(direct))
    }
}

/// Reads a page that is already here, without what it says about paging.
///
/// # Errors
///
/// Where the body is no JSON object with a list of records.
pub fn read_page<'de, A: Deserialize<'de>>(body: &'de [u8]) -> Result<Page<'de, A>, NotAPage> {
    decode_list(body).map(|list| list.into_page().0)
}

/// Why a body is no page.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAPage(pub(super) String);

#[cfg(test)]
mod tests {
    use super::jobs::JobRow;
    use super::*;
    use proptest::prelude::*;

    fn page(body: &str) -> (Vec<i64>, usize, Option<Pagination>) {
        let list = decode_list::<Record<'_, JobRow<'_>>>(body.as_bytes()).unwrap();
        let (page, _, pagination) = list.into_page();
        (page.rows.iter().map(|row| row.job_id).collect(), page.unreadable, pagination)
    }

    #[test]
    fn a_record_that_cannot_be_read_is_skipped_and_the_page_lives_on() {
        let body = r#"{"data":[
            {"id":1,"attributes":{"jobId":1}}, 7, null, "x", [], {"id":"2","attributes":null},
            {"id":3}, {"attributes":{"jobId":"x"}}, {"attributes":{"state":"DONE"}},
            {"attributes":{"jobId":4,"jobId":5}}, {"attributes":{"jobId":6,"clientName":"\ud800"}},
            {"id":[],"attributes":{"jobId":"7","state":{},"unknown":[{"]":"}\""}]}}
        ],"meta":{"pagination":{"next":"c","limit":100}}}"#;
        let (rows, unreadable, pagination) = page(body);
        assert_eq!((rows, unreadable), (vec![1, 7], 10));
        assert_eq!(pagination.unwrap().next.as_deref(), Some("c"));
    }

    #[test]
    fn bytes_that_are_no_text_cost_their_record_only() {
        let mut body =
            br#"{"data":[{"attributes":{"jobId":1,"clientName":"X"}},{"attributes":{"jobId":2}}]}"#
                .to_vec();
        let x = body.iter().position(|byte| *byte == b'X').unwrap();
        body[x] = 0xff;
        let page = read_page::<JobRow<'_>>(&body).unwrap();
        assert_eq!((page.rows.len(), page.rows[0].job_id, page.unreadable), (1, 2, 1));
    }

    #[test]
    fn pagination_is_found_in_either_place_and_in_either_type() {
        let next = |body: &str| page(body).2.map(|pagination| pagination.next);
        for (body, expected) in [
            (r#"{"data":[],"meta":{"pagination":{"next":10}}}"#, Some(Some("10"))),
            (r#"{"data":[],"meta":{"next":"a"}}"#, Some(Some("a"))),
            (r#"{"data":[],"meta":{"pagination":{"next":null}}}"#, Some(None)),
            (r#"{"data":[],"meta":{"pagination":7}}"#, None),
            (r#"{"data":[],"meta":[]}"#, None),
            (r#"{"meta":{"pagination":{"next":"b"}},"data":[1]}"#, Some(Some("b"))),
        ] {
            assert_eq!(next(body), expected.map(|next| next.map(str::to_owned)), "{body}");
        }
    }

    #[test]
    fn an_answer_without_a_list_is_an_error() {
        for (body, said) in [
            ("{}", "`data` is missing"),
            (r#"{"data":null}"#, "`data` is not a list"),
            (r#"{"data":{}}"#, "`data` is not a list"),
            (r#"{"data":"none"}"#, "`data` is not a list"),
            (r#"{"data":7,"meta":{}}"#, "`data` is not a list"),
            (r#"{"errorCode":8,"errorMessage":"no"}"#, "the answer is an error (no, errorCode 8)"),
            (r#"{"errorCode":8,"data":[]}"#, "the answer is an error (errorCode 8)"),
            (r#"{"errorCode":"8","data":[7]}"#, "the answer is an error (errorCode 8)"),
            (r#"{"errorMessage":"no","data":[]}"#, "the answer is an error (no)"),
            (r#"{"errors":[{"title":"no"}]}"#, "`data` is missing"),
            ("[]", "not a JSON object"),
            (r#"[{"attributes":{"jobId":1}}]"#, "not a JSON object"),
            ("7", "not a JSON object"),
            ("null", "not a JSON object"),
        ] {
            let error = read_page::<JobRow<'_>>(body.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), said, "{body}");
        }
        for body in ["", "{", r#"{"data":[}"#, "<html>", r#"{"data":[]} x"#] {
            assert!(read_page::<JobRow<'_>>(body.as_bytes()).is_err(), "{body}");
        }
        let fine = r#"{"data":[],"errorCode":0,"errorMessage":""}"#;
        assert_eq!(read_page::<JobRow<'_>>(fine.as_bytes()).unwrap().rows.len(), 0);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_told_by_id_and_field() {
        let body = r#"{"data":[{"id":5,"attributes":{"jobId":[]}},{"id":"6"},null,null]}"#;
        let bad = decode_list::<Record<'_, JobRow<'_>>>(body.as_bytes()).unwrap().bad;
        let said: Vec<_> = bad.iter().map(|bad| (bad.id.as_str(), bad.problem.as_str())).collect();
        assert_eq!(said[0], ("5", "attributes.jobId: not an integer at line 1 column 33"));
        assert!(said[1].0 == "6" && said[1].1.contains("missing field `attributes`"), "{said:?}");
        let mut identities: Vec<_> = bad.iter().map(|bad| bad.identity).collect();
        identities.dedup();
        assert_eq!(identities.len(), 4, "two that are alike are two");
        let again = decode_list::<Record<'_, JobRow<'_>>>(body.as_bytes()).unwrap().bad;
        assert_eq!(again, bad, "and the same ones when they come again");
    }

    #[test]
    fn a_record_nested_without_end_costs_itself_only() {
        let deep = "[".repeat(50_000) + &"]".repeat(50_000);
        let body = format!(
            r#"{{"data":[{{"attributes":{{"jobId":1,"x":{deep}}}}},{deep},
            {{"attributes":{{"jobId":2,"state":{deep}}}}}]}}"#
        );
        assert_eq!((page(&body).0, page(&body).1), (vec![1, 2], 1));
    }

    proptest! {
        #[test]
        fn a_garbled_page_never_makes_it_panic(at in 0..200_usize, byte in any::<u8>()) {
            let body = r#"{"data":[{"id":1,"attributes":{"jobId":1,"state":"DONE","try":1}},
                {"id":"2","attributes":{"jobId":2,"endTime":"2018-06-25T19:00:38.407Z"}}],
                "meta":{"pagination":{"next":"c","limit":100}},"links":{}}"#;
            let mut body = body.as_bytes().to_vec();
            body[at] = byte;
            let _ = repair::repair(&body);
            if let Ok(page) = read_page::<JobRow<'_>>(&body) {
                prop_assert!(page.rows.len() + page.unreadable <= 3);
            }
        }
    }

    #[test]
    fn an_id_is_text_or_a_number() {
        let id = |json: &str| serde_json::from_str::<Id<'_>>(json).unwrap().to_string();
        assert_eq!(id("7"), "7");
        assert_eq!(id(r#""a:b""#), "a:b");
        assert_eq!(id("null"), "");
    }
}
