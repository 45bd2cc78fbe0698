//! A server as its requests see it.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::connection::Connection;
use super::version_cache::VersionCache;
use crate::net::redact::Redactor;
use crate::net::retry::RetryPolicy;
use crate::netbackup::error::{Error, ErrorKind, Server};
use crate::netbackup::resource::Resource;
use crate::netbackup::stats::{RequestObserver, Stats};
use crate::netbackup::unreadable::UnreadableRecords;
use crate::netbackup::wire::BadRecord;

/// The state that the clones and sessions of a client share: the server, the connection in force, and
/// the records of past requests.
pub(crate) struct Endpoint {
    pub(crate) server: Arc<Server>,
    pub(crate) connection: ArcSwap<Connection>,
    pub(crate) versions: VersionCache,
    pub(crate) retry: RetryPolicy,
    /// Larger bodies are an error, bytes after decompression.
    pub(crate) max_body: usize,
    pub(crate) observer: Option<Arc<dyn RequestObserver>>,
    pub(crate) stats: Stats,
    pub(crate) unreadable: UnreadableRecords,
}

impl Endpoint {
    /// Returns the connection in force.
    pub(crate) fn connection(&self) -> Arc<Connection> {
        self.connection.load_full()
    }

    /// Makes an error of a request to this server.
    pub(crate) fn error(
        &self,
        resource: &'static Resource,
        kind: ErrorKind,
        detail: impl Into<String>,
    ) -> Error {
        Error::new(&self.server, resource, kind, detail)
    }

    /// Counts records that could not be decoded, and logs the first of them.
    pub(crate) fn note_unreadable(
        &self,
        resource: &'static Resource,
        redactor: &Redactor,
        bad: &[BadRecord],
    ) {
        self.unreadable.note(&self.server.site, resource.name, redactor, bad);
    }
}
