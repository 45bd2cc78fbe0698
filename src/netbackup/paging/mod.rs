//! What the two kinds of walk have in common: asking for a page, reading it, and the bounds that end
//! a list that does not end (ARCHITECTURE.md, invariant 8).

pub(crate) mod cursor;
pub(crate) mod offset;

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::http::attempt::Call;
use crate::netbackup::http::connection::Connection;
use crate::netbackup::http::response::not_json;
use crate::netbackup::resource::{Query, Resource, append};
use crate::netbackup::session::Session;
use crate::netbackup::wire::repair::repair;
use crate::netbackup::wire::{Page, Pagination, Record, decode_list};

/// Pages after which a walk ends with an error, unless it is told otherwise.
const MAX_PAGES: u32 = 20_000;

/// Empty pages in a row after which a walk ends with an error.
const EMPTY_PAGES: u32 = 100;

/// Rows a page where the resource documents no maximum: every list takes as many.
const DEFAULT_LIMIT: u32 = 100;

/// Asks for pages and counts them.
pub(crate) struct Pager {
    session: Session,
    resource: &'static Resource,
    query: String,
    limit: u32,
    pages: u32,
    max_pages: u32,
    empty: u32,
}

/// A page just read, before its walk has moved on.
pub(crate) struct Fetched<'a, A> {
    pub(crate) page: Page<'a, A>,
    pub(crate) pagination: Option<Pagination>,
    /// Records on the page, readable or not.
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

    /// Asks for the page that begins at the parameter `place`. Returns the connection over which it
    /// came.
    pub(crate) async fn fetch(
        &self,
        place: Option<(&str, &str)>,
        body: &mut Vec<u8>,
    ) -> Result<Arc<Connection>, Error> {
        if self.pages >= self.max_pages {
            return Err(
                self.error(format!("the list does not end within {} pages", self.max_pages))
            );
        }
        let mut query = self.query.clone();
        if let Some((name, value)) = place {
            append(&mut query, name, value);
        }
        let call = Call { page: self.pages.saturating_add(1), ..Call::get(self.resource, query) };
        self.session.execute(&call, body).await
    }

    /// Reads the page in `body`, or in `repaired`, where it needs that.
    pub(crate) fn decode<'a, A: Deserialize<'a>>(
        &self,
        body: &'a [u8],
        repaired: &'a mut Vec<u8>,
        made_by: &Connection,
    ) -> Result<Fetched<'a, A>, Error> {
        let list = match decode_list::<Record<'a, A>>(body) {
            Ok(list) if list.bad.is_empty() => Ok(list),
            other => match repair(body) {
                Some(text) => {
                    *repaired = text;
                    decode_list(repaired)
                }
                None => other,
            },
        };
        let list = list.map_err(|error| {
            not_json(&self.session.client, made_by, self.resource, &error.0, body)
        })?;
        let (page, bad, pagination) = list.into_page();
        self.session.client.note_unreadable(self.resource, &made_by.redactor, &bad);
        let received = page.rows.len() + page.unreadable;
        Ok(Fetched { page, pagination, received })
    }

    /// A page was taken; more are to come or not.
    pub(crate) fn page_read(&mut self, received: usize, more: bool) -> Result<(), Error> {
        self.pages += 1;
        self.empty = if received == 0 { self.empty + 1 } else { 0 };
        if more && self.empty > EMPTY_PAGES {
            return Err(self.error(format!("{} empty pages in a row", self.empty)));
        }
        Ok(())
    }

    pub(crate) fn error(&self, detail: impl Into<String>) -> Error {
        self.session.client.error(self.resource, ErrorKind::Paging, detail).with_hint(
            "check the log of the NetBackup web service on the primary server, and for a cache \
             between the agent and the server",
        )
    }
}

impl fmt::Debug for Pager {
    /// Without the query: filters hold names of clients.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pager")
            .field("client", self.session.client())
            .field("resource", &self.resource.name)
            .field("pages", &self.pages)
            .finish_non_exhaustive()
    }
}
