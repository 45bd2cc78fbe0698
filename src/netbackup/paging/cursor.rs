//! Lists that page by cursor: jobs, tape media and pools, SLP images
//! (docs/netbackup-api.md#paging-cursor).

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;

use serde::Deserialize;

use super::Pager;
use crate::netbackup::error::Error;
use crate::netbackup::resource::{Query, Resource};
use crate::netbackup::session::Session;
use crate::netbackup::wire::{Page, last_cursor};

/// A place in a list, made by the server. It holds for the same resource, filter and sort only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(String);

#[derive(Debug)]
enum Next {
    First,
    After(Cursor),
    End,
}

/// A walk through a list. Links of the server are never followed; each request is built anew from
/// the cursor (ARCHITECTURE.md, invariant 8).
pub struct CursorPager {
    pager: Pager,
    next: Next,
    hasher: RandomState,
    /// Hashes of all cursors so far.
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

    /// Ends with an error after `pages` pages instead of the default.
    #[must_use]
    pub fn max_pages(mut self, pages: u32) -> Self {
        self.pager.set_max_pages(pages);
        self
    }

    /// Goes on from where an earlier walk with the same resource, filter and sort stood.
    #[must_use]
    pub fn resume(mut self, after: Cursor) -> Self {
        self.seen.insert(self.hasher.hash_one(&after));
        self.next = Next::After(after);
        self
    }

    /// Where the next request goes on from: what [`CursorPager::resume`] takes after a failure. `None`
    /// at the beginning and at the end.
    pub fn position(&self) -> Option<&Cursor> {
        match &self.next {
            Next::After(cursor) => Some(cursor),
            Next::First | Next::End => None,
        }
    }

    /// Pages read so far.
    pub fn pages(&self) -> u32 {
        self.pager.pages()
    }

    /// Whether the end was reached.
    pub fn is_done(&self) -> bool {
        matches!(self.next, Next::End)
    }

    /// Reads the next page, whose rows borrow from the walk; `None` at the end. After an error the
    /// position stands where it was, so that a further call asks for the same page again.
    pub async fn next_page<'w, A>(&'w mut self) -> Result<Option<Page<'w, A>>, Error>
    where
        A: Deserialize<'w>,
    {
        let place = match &self.next {
            Next::First => None,
            Next::After(Cursor(cursor)) => Some(("page[after]", cursor.as_str())),
            Next::End => return Ok(None),
        };
        let made_by = self.pager.fetch(place, &mut self.body).await?;
        let fetched = self.pager.decode::<A>(&self.body, &mut self.repaired, &made_by)?;
        let next = match fetched.pagination {
            Some(pagination) => pagination.next.filter(|next| !next.is_empty()).map(Cursor),
            None if fetched.received == 0 => None,
            // The list may go on unseen: its records may tell where.
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
