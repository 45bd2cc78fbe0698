//! Lists that page by cursor: jobs, tape media and pools, SLP images
//! (docs/netbackup-api.md#paging-cursor).

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use super::{Pager, Positions, Stop};
use crate::netbackup::wire::{Page, last_cursor};

/// A position in a list, made by the server. It is valid for the same resource, filter and sort only.
/// The empty one is that of the first page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Cursor(String);

/// A pager of a list with cursors. It never follows links of the server; it builds each request from the
/// cursor (ARCHITECTURE.md, invariant 8).
pub type CursorPager = Pager<Cursors>;

impl CursorPager {
    /// Resumes at the position of an earlier pager with the same resource, filter and sort.
    #[must_use]
    pub fn resume(mut self, after: Cursor) -> Self {
        self.positions.is_new(&after);
        self.next = Some(after);
        self
    }

    /// Returns the position of the next request, for [`CursorPager::resume`] after a failure; `None` at
    /// the beginning and at the end.
    pub fn position(&self) -> Option<&Cursor> {
        self.next.as_ref().filter(|Cursor(cursor)| !cursor.is_empty())
    }
}

#[derive(Default)]
pub struct Cursors {
    hasher: RandomState,
    /// The hashes of all cursors so far.
    seen: HashSet<u64>,
}

impl Cursors {
    fn is_new(&mut self, cursor: &Cursor) -> bool {
        self.seen.insert(self.hasher.hash_one(cursor))
    }
}

impl Positions for Cursors {
    type Position = Cursor;

    fn parameter(Cursor(cursor): &Cursor) -> Option<(&'static str, String)> {
        (!cursor.is_empty()).then(|| ("page[after]", cursor.clone()))
    }

    fn next<A>(
        &mut self,
        _: &Cursor,
        page: &Page<'_, A>,
        body: &[u8],
        limit: u32,
    ) -> Result<Option<Cursor>, Stop> {
        let next = match &page.pagination {
            Some(pagination) => pagination.next.clone().filter(|next| !next.is_empty()),
            None if page.received() == 0 => None,
            // The list may continue: its records may have the cursor.
            None => match last_cursor(body) {
                None if page.received() >= limit as usize => {
                    return Err(
                        "a full page without meta.pagination: the list may be incomplete".into()
                    );
                }
                next => next,
            },
        };
        match next.map(Cursor) {
            Some(next) if !self.is_new(&next) => Err("the server repeated a cursor".into()),
            next => Ok(next),
        }
    }
}
