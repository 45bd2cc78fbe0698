//! Lists that page by offset: storage, alerts, images and most others
//! (docs/netbackup-api.md#paging-offset).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{Pager, Positions, Stop};
use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::wire::{Id, Page, Pagination};

/// The highest offset that a server may name: the highest that JSON has exactly in all languages.
const MAX_OFFSET: u64 = 1 << 53;

/// A pager of a list with offsets.
pub type OffsetPager = Pager<Offsets>;

impl OffsetPager {
    /// Resumes after so many rows of an earlier pager with the same resource and filter.
    #[must_use]
    pub fn resume_at(mut self, offset: u64) -> Self {
        self.next = Some(offset);
        self
    }
}

#[derive(Default)]
pub struct Offsets {
    /// The digest of the last page of a list without pagination, and its repetitions in a row.
    unpaged: Option<(u64, u32)>,
}

impl Positions for Offsets {
    type Position = u64;

    fn parameter(offset: &u64) -> Option<(&'static str, String)> {
        Some(("page[offset]", offset.to_string()))
    }

    fn is_beyond_end(&self, error: &Error) -> bool {
        self.unpaged.is_some()
            && matches!(error.kind(), ErrorKind::BadRequest | ErrorKind::NotFound)
    }

    fn next<A>(
        &mut self,
        offset: &u64,
        page: &Page<'_, A>,
        body: &[u8],
        limit: u32,
    ) -> Result<Option<u64>, Stop> {
        let rows = page.received() as u64;
        let next = next_offset(page.pagination.as_ref(), *offset, rows, limit)?;
        if page.pagination.is_some() {
            return Ok(next.filter(|_| rows > 0 || self.unpaged.is_none()));
        }
        let digest = digest(page, body);
        let times = match self.unpaged {
            Some((before, times)) if before == digest => times + 1,
            _ => 1,
        };
        self.unpaged = Some((digest, times));
        match times {
            1 => Ok(next),
            // A list that repeats a short page does not page.
            _ if rows < u64::from(limit) => Err(Stop::Complete),
            2 => Ok(next),
            _ => Err("the server returns the same page for every offset".into()),
        }
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
            Ok(next) if next > MAX_OFFSET => Err("the offset of the next page is too large"),
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
        // One that leaves no room for the rows after it.
        assert!(next(r#"{"next":"18446744073709551615"}"#, 0, 10).is_err());
    }
}
