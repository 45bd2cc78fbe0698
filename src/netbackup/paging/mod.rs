//! Pagers: requests for the pages of a list, and the limits on a list that does not end
//! (ARCHITECTURE.md, invariant 8).

pub(super) mod cursor;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
pub(super) mod offset;

use std::fmt;

use serde::Deserialize;

use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::http::body::Body;
use crate::netbackup::http::request::RequestSpec;
use crate::netbackup::resource::{Query, Resource, append};
use crate::netbackup::session::Session;
use crate::netbackup::wire::Page;

/// The default limit on the pages of a list; a longer list is an error.
const MAX_PAGES: u32 = 20_000;

/// The limit on empty pages in a row; more are an error.
const MAX_EMPTY_PAGES: u32 = 100;

/// Rows per page if the resource documents no maximum. Every list accepts this many.
const DEFAULT_LIMIT: u32 = 100;

/// The positions of the pages of a list: cursors or offsets.
pub trait Positions: Default {
    /// A position; the default is that of the first page.
    type Position: Default;

    /// Returns the parameter of the request for the page at `position`; `None` if it needs none.
    fn parameter(position: &Self::Position) -> Option<(&'static str, String)>;

    /// Returns true if a server rejects positions beyond the end of the list with this error.
    fn is_beyond_end(&self, _: &Error) -> bool {
        false
    }

    /// Returns the position of the page after `page`, which is at `position` and was decoded from
    /// `body`; `None` if `page` is the last one. `limit` is the number of rows that were asked for.
    fn next<A>(
        &mut self,
        position: &Self::Position,
        page: &Page<'_, A>,
        body: &[u8],
        limit: u32,
    ) -> Result<Option<Self::Position>, Stop>;
}

/// The reason to leave a page out.
pub enum Stop {
    /// The list was complete before the page, which only repeats it.
    Complete,
    Failed(&'static str),
}

impl From<&'static str> for Stop {
    fn from(problem: &'static str) -> Self {
        Self::Failed(problem)
    }
}

/// A pager of a list.
pub struct Pager<P: Positions> {
    requests: PageRequests,
    positions: P,
    /// The position of the next request; `None` at the end.
    next: Option<P::Position>,
    /// The body of the last page, whose rows borrow from it.
    body: Option<Body>,
}

impl<P: Positions> Pager<P> {
    /// Makes a pager that begins at the first page.
    pub fn new(session: &Session, resource: &'static Resource, query: &Query) -> Self {
        Self {
            requests: PageRequests::new(session, resource, query),
            positions: P::default(),
            next: Some(P::Position::default()),
            body: None,
        }
    }

    /// Sets the limit on pages; a longer list is an error.
    #[must_use]
    pub fn max_pages(mut self, pages: u32) -> Self {
        self.requests.max_pages = pages;
        self
    }

    /// Returns the number of pages read so far.
    pub fn pages(&self) -> u32 {
        self.requests.pages
    }

    /// Returns true at the end of the list.
    pub fn is_done(&self) -> bool {
        self.next.is_none()
    }

    /// Reads the next page, whose rows borrow from the pager; `None` at the end. An error leaves the
    /// position unchanged, so that the next call requests the same page again.
    pub async fn next_page<'p, A>(&'p mut self) -> Result<Option<Page<'p, A>>, Error>
    where
        A: Deserialize<'p>,
    {
        let Some(position) = &self.next else { return Ok(None) };
        self.body = None;
        let body = match self.requests.fetch(P::parameter(position)).await {
            Err(error) if self.positions.is_beyond_end(&error) => {
                self.next = None;
                return Ok(None);
            }
            result => result?,
        };
        let body = &*self.body.insert(body);
        let page = body.page()?;
        let next = match self.positions.next(position, &page, &body.bytes, self.requests.limit) {
            Ok(next) => next,
            Err(Stop::Failed(problem)) => return Err(self.requests.error(problem)),
            Err(Stop::Complete) => {
                self.next = None;
                return Ok(None);
            }
        };
        self.requests.page_read(page.received(), next.is_some())?;
        self.next = next;
        Ok(Some(page))
    }
}

impl<P: Positions> fmt::Debug for Pager<P> {
    /// Omits the query: filters contain names of clients.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pager")
            .field("client", self.requests.session.client())
            .field("resource", &self.requests.resource.name)
            .field("pages", &self.requests.pages)
            .finish_non_exhaustive()
    }
}

/// The requests for the pages of a list.
struct PageRequests {
    session: Session,
    resource: &'static Resource,
    query: String,
    limit: u32,
    pages: u32,
    max_pages: u32,
    /// Empty pages in a row.
    empty: u32,
}

impl PageRequests {
    fn new(session: &Session, resource: &'static Resource, query: &Query) -> Self {
        let limit = query.page_limit(resource).unwrap_or(DEFAULT_LIMIT);
        let mut encoded = query.encode();
        append(&mut encoded, "page[limit]", &limit.to_string());
        Self {
            session: session.clone(),
            resource,
            query: encoded,
            limit,
            pages: 0,
            max_pages: MAX_PAGES,
            empty: 0,
        }
    }

    /// Requests the page that `position`, a parameter of the query, asks for.
    async fn fetch(&self, position: Option<(&'static str, String)>) -> Result<Body, Error> {
        if self.pages >= self.max_pages {
            return Err(
                self.error(format!("the list does not end within {} pages", self.max_pages))
            );
        }
        let mut query = self.query.clone();
        if let Some((name, value)) = position {
            append(&mut query, name, &value);
        }
        let page = self.pages.saturating_add(1);
        let spec = RequestSpec { page, ..RequestSpec::get(self.resource, query) };
        self.session.execute(&spec).await
    }

    /// Records that a page was read, and that there are `more` or not.
    fn page_read(&mut self, received: usize, more: bool) -> Result<(), Error> {
        self.pages += 1;
        self.empty = if received == 0 { self.empty + 1 } else { 0 };
        if more && self.empty > MAX_EMPTY_PAGES {
            return Err(self.error(format!("{} empty pages in a row", self.empty)));
        }
        Ok(())
    }

    fn error(&self, detail: impl Into<String>) -> Error {
        self.session.error(self.resource, ErrorKind::Paging, detail).with_hint(
            "check the log of the NetBackup web service on the primary server, and for a cache \
             between the agent and the server",
        )
    }
}
