//! Pagers: requests for the pages of a list, and the limits on a list that does not end
//! (ARCHITECTURE.md, invariant 8).

pub(crate) mod cursor;
pub(crate) mod offset;

use std::fmt;

use serde::Deserialize;

use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::http::body::BodyOrigin;
use crate::netbackup::http::request::RequestSpec;
use crate::netbackup::resource::{Query, Resource, append};
use crate::netbackup::session::Session;
use crate::netbackup::wire::{Page, Pagination, Record};

/// The default limit on the pages of a list; a longer list is an error.
const MAX_PAGES: u32 = 20_000;

/// The limit on empty pages in a row; more are an error.
const MAX_EMPTY_PAGES: u32 = 100;

/// Rows per page if the resource documents no maximum. Every list accepts this many.
const DEFAULT_LIMIT: u32 = 100;

/// The part that both kinds of pagers share: it requests and counts pages.
pub(crate) struct Pager {
    session: Session,
    resource: &'static Resource,
    query: String,
    limit: u32,
    pages: u32,
    max_pages: u32,
    empty: u32,
}

/// A page just read, before its pager has moved on.
pub(crate) struct FetchedPage<'a, A> {
    pub(crate) page: Page<'a, A>,
    pub(crate) pagination: Option<Pagination>,
    /// Records of the page, bad ones included.
    pub(crate) received: usize,
}

impl Pager {
    pub(crate) fn new(session: &Session, resource: &'static Resource, query: &Query) -> Self {
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

    pub(crate) fn set_max_pages(&mut self, pages: u32) {
        self.max_pages = pages;
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    pub(crate) fn pages(&self) -> u32 {
        self.pages
    }

    /// Fills `body` with the page at `position`, a parameter of the query.
    pub(crate) async fn fetch(
        &self,
        position: Option<(&str, &str)>,
        body: &mut Vec<u8>,
    ) -> Result<BodyOrigin, Error> {
        if self.pages >= self.max_pages {
            return Err(
                self.error(format!("the list does not end within {} pages", self.max_pages))
            );
        }
        let mut query = self.query.clone();
        if let Some((name, value)) = position {
            append(&mut query, name, value);
        }
        let page = self.pages.saturating_add(1);
        let spec = RequestSpec { page, ..RequestSpec::get(self.resource, query) };
        self.session.execute(&spec, body).await
    }

    /// Records that a page was read, and that there are `more` or not.
    pub(crate) fn page_read(&mut self, received: usize, more: bool) -> Result<(), Error> {
        self.pages += 1;
        self.empty = if received == 0 { self.empty + 1 } else { 0 };
        if more && self.empty > MAX_EMPTY_PAGES {
            return Err(self.error(format!("{} empty pages in a row", self.empty)));
        }
        Ok(())
    }

    pub(crate) fn error(&self, detail: impl Into<String>) -> Error {
        self.session.error(self.resource, ErrorKind::Paging, detail).with_hint(
            "check the log of the NetBackup web service on the primary server, and for a cache \
             between the agent and the server",
        )
    }
}

/// Decodes the page in `body`, or in `repaired` if it needs a repair.
pub(crate) fn decode<'a, A: Deserialize<'a>>(
    origin: &BodyOrigin,
    body: &'a [u8],
    repaired: &'a mut Vec<u8>,
) -> Result<FetchedPage<'a, A>, Error> {
    let (page, _, pagination) = origin.list::<Record<'a, A>>(body, repaired)?.into_page();
    let received = page.rows.len() + page.unreadable;
    Ok(FetchedPage { page, pagination, received })
}

impl fmt::Debug for Pager {
    /// Omits the query: filters contain names of clients.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pager")
            .field("client", self.session.client())
            .field("resource", &self.resource.name)
            .field("pages", &self.pages)
            .finish_non_exhaustive()
    }
}
