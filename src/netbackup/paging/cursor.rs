//! Lists that page by cursor: jobs, tape media and pools, SLP images
//! (docs/netbackup-api.md#paging-cursor).

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;

use serde::Deserialize;

use super::{Pager, decode};
use crate::netbackup::error::Error;
use crate::netbackup::resource::{Query, Resource};
use crate::netbackup::session::Session;
use crate::netbackup::wire::{Page, last_cursor};

/// A position in a list, made by the server. It is valid for the same resource, filter and sort only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(String);

#[derive(Debug)]
enum Next {
    First,
    After(Cursor),
    End,
}

/// A pager of a list with cursors. It never follows links of the server; it builds each request from the
/// cursor (ARCHITECTURE.md, invariant 8).
pub struct CursorPager {
    pager: Pager,
    next: Next,
    hasher: RandomState,
    /// The hashes of all cursors so far.
    seen: HashSet<u64>,
    body: Vec<u8>,
    repaired: Vec<u8>,
}

impl CursorPager {
    /// Makes a pager that begins at the first page.
    pub fn new(session: &Session, resource: &'static Resource, query: &Query) -> Self {
        Self {
            pager: Pager::new(session, resource, query),
            next: Next::First,
            hasher: RandomState::new(),
            seen: HashSet::new(),
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

    /// Resumes at the position of an earlier pager with the same resource, filter and sort.
    #[must_use]
    pub fn resume(mut self, after: Cursor) -> Self {
        self.seen.insert(self.hasher.hash_one(&after));
        self.next = Next::After(after);
        self
    }

    /// Returns the position of the next request, for [`CursorPager::resume`] after a failure; `None` at
    /// the beginning and at the end.
    pub fn position(&self) -> Option<&Cursor> {
        match &self.next {
            Next::After(cursor) => Some(cursor),
            Next::First | Next::End => None,
        }
    }

    /// Returns the number of pages read so far.
    pub fn pages(&self) -> u32 {
        self.pager.pages()
    }

    /// Returns true at the end of the list.
    pub fn is_done(&self) -> bool {
        matches!(self.next, Next::End)
    }

    /// Reads the next page, whose rows borrow from the pager; `None` at the end. An error leaves the
    /// position unchanged, so that the next call requests the same page again.
    pub async fn next_page<'p, A>(&'p mut self) -> Result<Option<Page<'p, A>>, Error>
    where
        A: Deserialize<'p>,
    {
        let position = match &self.next {
            Next::First => None,
            Next::After(Cursor(cursor)) => Some(("page[after]", cursor.as_str())),
            Next::End => return Ok(None),
        };
        let origin = self.pager.fetch(position, &mut self.body).await?;
        let fetched = decode::<A>(&origin, &self.body, &mut self.repaired)?;
        let next = match fetched.pagination {
            Some(pagination) => pagination.next.filter(|next| !next.is_empty()).map(Cursor),
            None if fetched.received == 0 => None,
            // The list may continue: its records may have the cursor.
            None => match last_cursor(&self.body) {
                None if fetched.received >= self.pager.limit() as usize => {
                    let detail = "a full page without meta.pagination: the list may be incomplete";
                    return Err(self.pager.error(detail));
                }
                next => next.map(Cursor),
            },
        };
        if let Some(cursor) = &next
            && !self.seen.insert(self.hasher.hash_one(cursor))
        {
            return Err(self.pager.error("the server repeated a cursor"));
        }
        self.pager.page_read(fetched.received, next.is_some())?;
        self.next = next.map_or(Next::End, Next::After);
        Ok(Some(fetched.page))
    }
}

impl fmt::Debug for CursorPager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CursorPager")
            .field("pager", &self.pager)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
