//! Bodies of successful responses.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::connection::Connection;
use super::request::RequestContext;
use super::response::{MAX_PREVIEW, ResponseHead, with_preview};
use crate::netbackup::client::Endpoint;
use crate::netbackup::diagnose::hints::{Failure, hint};
use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::resource::Resource;
use crate::netbackup::wire::{List, NotAPage, Page, decode_list_repaired, decode_page_repaired};

/// The body of a response, with what its errors and counts need.
pub struct Body {
    endpoint: Arc<Endpoint>,
    connection: Arc<Connection>,
    resource: &'static Resource,
    pub(crate) head: ResponseHead,
    pub(crate) bytes: Vec<u8>,
    /// The bytes after a repair, if they needed one.
    repaired: OnceLock<Vec<u8>>,
}

impl Body {
    pub(crate) fn new(
        context: RequestContext<'_>,
        resource: &'static Resource,
        (head, bytes): (ResponseHead, Vec<u8>),
    ) -> Self {
        let endpoint = Arc::clone(context.endpoint);
        let connection = context.connection;
        Self { endpoint, connection, resource, head, bytes, repaired: OnceLock::new() }
    }

    /// Decodes a document, which borrows from the bytes.
    pub fn read<'b, T: Deserialize<'b>>(&'b self) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes).map_err(|error| self.decode_error(&error.to_string()))
    }

    /// Decodes a list that does not page. Bad records are counted and left out.
    pub fn list<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        self.noted(decode_list_repaired(&self.bytes, &self.repaired)).map(|list| list.rows)
    }

    /// Decodes a page, whose rows borrow from the body. Bad records are counted.
    pub(crate) fn page<'b, A: Deserialize<'b>>(&'b self) -> Result<Page<'b, A>, Error> {
        self.noted(decode_page_repaired(&self.bytes, &self.repaired)).map(List::into_page)
    }

    /// Counts the bad records of a list.
    fn noted<T>(&self, list: Result<List<T>, NotAPage>) -> Result<List<T>, Error> {
        let list = list.map_err(|problem| self.decode_error(&problem.0))?;
        self.endpoint.note_unreadable(self.resource, &self.connection.redactor, &list.bad);
        Ok(list)
    }

    fn decode_error(&self, problem: &str) -> Error {
        let problem = self.connection.redactor.line(problem, MAX_PREVIEW);
        self.error(&format!("cannot decode the body: {problem}"))
    }

    /// Makes an error that shows the beginning of the body.
    pub(crate) fn error(&self, problem: &str) -> Error {
        let detail = with_preview(problem, &self.bytes, &self.connection.redactor);
        self.endpoint
            .error(self.resource, ErrorKind::Body, detail)
            .with_status(self.head.status)
            .with_hint(hint(&self.connection.config, Failure::Body))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("resource", &self.resource.name)
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
