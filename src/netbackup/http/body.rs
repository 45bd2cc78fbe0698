//! Bodies of successful responses.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::connection::Connection;
use super::endpoint::Endpoint;
use super::response::{MAX_PREVIEW, with_preview};
use crate::net::redact::Redactor;
use crate::netbackup::diagnose::hints::Failure;
use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::resource::Resource;
use crate::netbackup::wire::{List, decode_list_repaired};

/// The origin of a body: its server, its connection and its resource, as errors and counts need them.
pub(crate) struct BodyOrigin {
    endpoint: Arc<Endpoint>,
    connection: Arc<Connection>,
    resource: &'static Resource,
}

impl BodyOrigin {
    pub(super) fn new(
        endpoint: &Arc<Endpoint>,
        connection: Arc<Connection>,
        resource: &'static Resource,
    ) -> Self {
        Self { endpoint: Arc::clone(endpoint), connection, resource }
    }

    /// Returns the redactor of the secrets that the body may repeat.
    pub(crate) fn redactor(&self) -> &Redactor {
        &self.connection.redactor
    }

    /// Decodes a list, from `repaired` if `body` needs a repair. Counts the bad records.
    pub(crate) fn list<'b, T: Deserialize<'b>>(
        &self,
        body: &'b [u8],
        repaired: &'b mut Vec<u8>,
    ) -> Result<List<T>, Error> {
        let list = decode_list_repaired(body, repaired)
            .map_err(|problem| self.decode_error(&problem.0, body))?;
        self.endpoint.note_unreadable(self.resource, self.redactor(), &list.bad);
        Ok(list)
    }

    fn decode_error(&self, problem: &str, body: &[u8]) -> Error {
        let redactor = self.redactor();
        let problem = format!("cannot decode the body: {}", redactor.line(problem, MAX_PREVIEW));
        let detail = with_preview(&problem, body, redactor);
        self.endpoint
            .error(self.resource, ErrorKind::Body, detail)
            .with_status(200)
            .with_hint(self.connection.hints.hint_for(Failure::Body))
    }
}

/// The body of a response.
pub struct Body {
    origin: BodyOrigin,
    bytes: Vec<u8>,
}

impl Body {
    pub(crate) fn new(origin: BodyOrigin, bytes: Vec<u8>) -> Self {
        Self { origin, bytes }
    }

    /// Decodes a document, which borrows from the bytes.
    pub fn read<'b, T: Deserialize<'b>>(&'b self) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes)
            .map_err(|error| self.origin.decode_error(&error.to_string(), &self.bytes))
    }

    /// Decodes a list that does not page. Bad records are counted and left out.
    ///
    /// # Errors
    ///
    /// The body is not a list.
    pub fn list<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        self.origin.list(&self.bytes, &mut Vec::new()).map(|list| list.rows)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("resource", &self.origin.resource.name)
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
