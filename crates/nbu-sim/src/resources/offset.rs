//! Offset pages: `page[offset]` and `page[limit]`, and the envelope around them
//! (docs/netbackup-api.md#paging-offset).

use std::ops::{Range, RangeInclusive};

use serde_json::{Map, Value, json};

use crate::http::reply::Reply;
use crate::http::request::{Request, encode};

/// Content of an answer beside `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// `meta` with page numbers, and `links`.
    Full,
    /// `meta` without page numbers.
    Meta,
    /// Nothing.
    Bare,
}

impl Envelope {
    /// Returns the page that a request asks for of these rows, or what is wrong with the request.
    pub(crate) fn around(
        self,
        rows: &[usize],
        write: impl Fn(&usize) -> Value,
        limits: RangeInclusive<usize>,
        address: &str,
        request: &Request,
    ) -> Result<Value, Reply> {
        let page = OffsetPage::of(request, limits)
            .map_err(|detail| Reply::bad_request(request.served(), &detail))?;
        let data: Vec<Value> = rows[page.range(rows.len())].iter().map(write).collect();
        let mut meta = page.meta(rows.len());
        Ok(match self {
            Self::Full => {
                let links = OffsetPage::links(&meta, address, request);
                json!({ "data": data, "meta": meta, "links": links })
            }
            Self::Meta => {
                for name in ["page", "pages"] {
                    meta["pagination"].as_object_mut().map(|pagination| pagination.remove(name));
                }
                json!({ "data": data, "meta": meta })
            }
            Self::Bare => json!({ "data": data }),
        })
    }
}

/// All rows of a list that takes no filter here.
pub(crate) fn all(request: &Request, count: usize) -> Result<Vec<usize>, Reply> {
    match request.parameter("filter").or(request.parameter("sort")) {
        None => Ok((0..count).collect()),
        Some(_) => Err(Reply::bad_request(
            request.served(),
            "the simulator does not filter or sort this list",
        )),
    }
}

/// Page that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetPage {
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

impl OffsetPage {
    /// The page of a request; the limit is 10 by default.
    ///
    /// # Errors
    /// Says which parameter is not a number in its range.
    pub(crate) fn of(request: &Request, limits: RangeInclusive<usize>) -> Result<Self, String> {
        let number = |name: &str, default: usize| match request.parameter(name) {
            Some(text) => text.parse().map_err(|_| format!("{name} must be a number")),
            None => Ok(default),
        };
        let (offset, limit) = (number("page[offset]", 0)?, number("page[limit]", 10)?);
        if !limits.contains(&limit) {
            return Err(format!("page[limit] must be from {} to {}", limits.start(), limits.end()));
        }
        Ok(Self { offset, limit })
    }

    /// Which of `count` rows are on it.
    pub(crate) fn range(self, count: usize) -> Range<usize> {
        self.offset.min(count)..self.offset.saturating_add(self.limit).min(count)
    }

    /// `meta.pagination`: `next` is absent on the last page, `prev` on the first.
    pub(crate) fn meta(self, count: usize) -> Value {
        let Self { offset, limit } = self;
        let step = limit.max(1);
        let last = count.saturating_sub(1) / step * step;
        let mut meta = Map::new();
        for (name, value) in [
            ("count", count),
            ("offset", offset),
            ("limit", limit),
            ("first", 0),
            ("last", last),
            ("page", offset / step),
            ("pages", count.div_ceil(step)),
        ] {
            meta.insert(name.to_owned(), json!(value));
        }
        if self.range(count).end < count {
            meta.insert("next".to_owned(), json!(offset + limit));
        }
        if offset > 0 {
            meta.insert("prev".to_owned(), json!(offset.saturating_sub(limit)));
        }
        json!({ "pagination": meta })
    }

    /// `links` for a list at `address`: one for each place that `meta` names.
    pub(crate) fn links(meta: &Value, address: &str, request: &Request) -> Value {
        let others = request.query().iter().filter(|(name, _)| name != "page[offset]");
        let others = others.fold(String::new(), |all, (name, value)| {
            all + "&" + &encode(name) + "=" + &encode(value)
        });
        let places = [
            ("self", "offset"),
            ("first", "first"),
            ("last", "last"),
            ("next", "next"),
            ("prev", "prev"),
        ];
        let links = places.iter().filter_map(|(link, place)| {
            let offset = meta["pagination"].get(*place)?;
            let href = format!("{address}?page%5Boffset%5D={offset}{others}");
            Some(((*link).to_owned(), json!({ "href": href })))
        });
        Value::Object(links.collect())
    }
}
