//! Lists that page by offset: storage, alerts, images and most others
//! (docs/netbackup-api.md#paging-offset).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::Deserialize;

use super::{Pager, decode};
use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::resource::{Query, Resource};
use crate::netbackup::session::Session;
use crate::netbackup::wire::{Id, Page, Pagination};

/// A pager of a list with offsets.
pub struct OffsetPager {
    pager: Pager,
    /// `None` at the end.
    offset: Option<u64>,
    /// The digest of the last page of a list without pagination, and its repetitions in a row.
    unpaged: Option<(u64, u32)>,
    body: Vec<u8>,
    repaired: Vec<u8>,
}

impl OffsetPager {
    /// Makes a pager that begins at the first row.
    pub fn new(session: &Session, resource: &'static Resource, query: &Query) -> Self {
        Self {
            pager: Pager::new(session, resource, query),
            offset: Some(0),
            unpaged: None,
            body: Vec::new(),
            repaired: Vec::new(),
        }
    }

    /// Sets the limit on pages; a longer list is an error.
    #[must_use]
    pub fn max_pages(mut self, pages: u32) -> Self {
        self.pager.set_max_pages(pages);
        self
    }

    /// Returns the row that the next request begins at; `None` at the end.
    pub fn position(&self) -> Option<u64> {
        self.offset
    }

    /// Returns the number of pages read so far.
    pub fn pages(&self) -> u32 {
        self.pager.pages()
    }

    /// Returns true at the end of the list.
    pub fn is_done(&self) -> bool {
        self.offset.is_none()
    }

    /// Reads the next page, whose rows borrow from the pager; `None` at the end. An error leaves the
    /// position unchanged, so that the next call requests the same page again.
    pub async fn next_page<'p, A>(&'p mut self) -> Result<Option<Page<'p, A>>, Error>
    where
        A: Deserialize<'p>,
    {
        let Some(offset) = self.offset else { return Ok(None) };
        let position = offset.to_string();
        let position = Some(("page[offset]", position.as_str()));
        let origin = match self.pager.fetch(position, &mut self.body).await {
            // The list has no pagination, and this page is beyond its end.
            Err(error) if self.unpaged.is_some() && is_beyond_end(error.kind()) => {
                self.offset = None;
                return Ok(None);
            }
            result => result?,
        };
        let fetched = decode::<A>(&origin, &self.body, &mut self.repaired)?;
        let rows = fetched.received as u64;
        let mut next = next_offset(fetched.pagination.as_ref(), offset, rows, self.pager.limit())
            .map_err(|detail| self.pager.error(detail))?;
        if fetched.pagination.is_none() {
            let is_full = rows >= u64::from(self.pager.limit());
            match compare(&mut self.unpaged, digest(&fetched.page, &self.body), is_full) {
                Repetition::New => {}
                Repetition::Whole => {
                    self.offset = None;
                    return Ok(None);
                }
                Repetition::Endless => {
                    return Err(self
                        .pager
                        .error("the server returns the same page for every offset"));
                }
            }
        } else if self.unpaged.is_some() && rows == 0 {
            next = None;
        }
        self.pager.page_read(fetched.received, next.is_some())?;
        self.offset = next;
        Ok(Some(fetched.page))
    }
}

/// Returns true for errors with which servers reject an offset beyond the end.
fn is_beyond_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BadRequest | ErrorKind::NotFound)
}

/// The relation of a page of a list without pagination to the one before.
enum Repetition {
    /// A different page.
    New,
    /// The same short page: the list does not page, and is complete.
    Whole,
    /// The same full page for the third time.
    Endless,
}

fn compare(last: &mut Option<(u64, u32)>, page: u64, is_full: bool) -> Repetition {
    let times = match *last {
        Some((before, times)) if before == page => times + 1,
        _ => 1,
    };
    *last = Some((page, times));
    match times {
        1 => Repetition::New,
        _ if !is_full => Repetition::Whole,
        2 => Repetition::New,
        _ => Repetition::Endless,
    }
}

/// Returns a digest of the ids of a page, or of the whole body if a record has none.
fn digest<A>(page: &Page<'_, A>, body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    if page.unreadable > 0 || page.rows.iter().any(|row| row.id == Id::Missing) {
        body.hash(&mut hasher);
    } else {
        page.rows.iter().for_each(|row| row.id.hash(&mut hasher));
    }
    hasher.finish()
}

/// Returns the offset of the next page: the server's `next`, otherwise computed from the counts.
fn next_offset(
    pagination: Option<&Pagination>,
    offset: u64,
    rows: u64,
    limit: u32,
) -> Result<Option<u64>, &'static str> {
    let Some(pagination) = pagination else {
        // The server's limit may be smaller than the requested one: only an empty page is the end.
        return Ok((rows > 0).then_some(offset + rows));
    };
    if pagination.has_next == Some(false) {
        return Ok(None);
    }
    // The server may apply a smaller limit and report it.
    let limit = match pagination.limit.and_then(|limit| u64::try_from(limit).ok()) {
        Some(applied) if applied > 0 => applied.min(u64::from(limit)),
        _ => u64::from(limit),
    };
    let full = rows >= limit;
    let total = pagination.count.and_then(|count| u64::try_from(count).ok());
    let complete = total.is_some_and(|total| offset + rows >= total);
    match pagination.next.as_deref().map(str::trim).filter(|next| !next.is_empty()) {
        Some(next) => match next.parse::<u64>() {
            Ok(next) if next > offset => Ok(Some(next)),
            // On the last page some servers return the first offset, or this one.
            Ok(_) if complete || !full => Ok(None),
            Ok(_) => Err("the offset of the next page does not advance"),
            Err(_) => Err("the offset of the next page is not a number"),
        },
        None if pagination.has_next == Some(true) && rows == 0 => {
            Err("an empty page before the end of the list")
        }
        None if pagination.has_next == Some(true) => Ok(Some(offset + rows)),
        // A short page may not be the last one; an empty one is.
        None => Ok((total.is_some() && !complete && rows > 0).then_some(offset + rows)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(json: &str, offset: u64, rows: u64) -> Result<Option<u64>, &'static str> {
        let pagination: Option<Pagination> = serde_json::from_str(json).unwrap();
        next_offset(pagination.as_ref(), offset, rows, 10)
    }

    #[test]
    fn next_offset_is_the_one_of_the_server() {
        assert_eq!(next(r#"{"next":10}"#, 0, 10), Ok(Some(10)));
        assert_eq!(next(r#"{"next":"20"}"#, 10, 7), Ok(Some(20)));
        assert_eq!(next(r#"{"next":null,"limit":10}"#, 10, 10), Ok(None));
        assert_eq!(next(r#"{"next":20,"hasNext":false}"#, 10, 10), Ok(None));
    }

    #[test]
    fn next_offset_without_next_follows_from_the_counts() {
        assert_eq!(next("null", 0, 10), Ok(Some(10)));
        assert_eq!(next("null", 10, 9), Ok(Some(19)));
        assert_eq!(next("null", 10, 0), Ok(None));
        assert_eq!(next(r#"{"count":25}"#, 10, 7), Ok(Some(17)));
        assert_eq!(next(r#"{"count":25}"#, 20, 0), Ok(None));
        assert_eq!(next(r#"{"limit":10}"#, 0, 7), Ok(None));
        assert_eq!(next(r#"{"count":25}"#, 10, 10), Ok(Some(20)));
        assert_eq!(next(r#"{"count":20}"#, 10, 10), Ok(None));
        assert_eq!(next(r#"{"hasNext":true}"#, 0, 3), Ok(Some(3)));
        assert_eq!(next(r#"{"count":25,"limit":5}"#, 0, 5), Ok(Some(5)));
    }

    #[test]
    fn next_offset_that_does_not_advance_is_end_or_error() {
        assert_eq!(next(r#"{"next":0,"count":13}"#, 10, 3), Ok(None));
        assert!(next(r#"{"next":10}"#, 10, 10).is_err());
        assert!(next(r#"{"next":0,"count":100}"#, 10, 10).is_err());
        assert!(next(r#"{"next":"x"}"#, 10, 10).is_err());
        assert!(next(r#"{"hasNext":true}"#, 10, 0).is_err());
    }
}
