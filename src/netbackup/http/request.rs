//! A request to be made, and the connection that it is made over.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::connection::Connection;
use crate::netbackup::client::Endpoint;
use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::resource::{PING, Resource};

const DEADLINE_HINT: &str =
    "the server is slow, or there is a lot of data: increase collectionInterval";

/// A request, ready to be sent as often as necessary.
#[derive(Debug)]
pub(crate) struct RequestSpec {
    pub(crate) resource: &'static Resource,
    /// The id of the one record that is asked for, after the path; encoded.
    pub(crate) member: Option<String>,
    /// Encoded.
    pub(crate) query: String,
    /// The JSON of a POST; `None` for a GET.
    pub(crate) post: Option<Vec<u8>>,
    /// The number of the page, from 1.
    pub(crate) page: u32,
}

impl RequestSpec {
    pub(crate) fn get(resource: &'static Resource, query: String) -> Self {
        Self { resource, member: None, query, post: None, page: 1 }
    }

    pub(crate) fn ping() -> Self {
        Self::get(&PING, String::new())
    }

    /// Returns true for a ping, which carries neither version nor key.
    pub(super) fn is_ping(&self) -> bool {
        *self.resource == PING
    }
}

/// The context of a request: its server, its deadline, and the connection that was in force when it
/// started.
pub(crate) struct RequestContext<'e> {
    pub(super) endpoint: &'e Arc<Endpoint>,
    pub(super) connection: Arc<Connection>,
    pub(super) deadline: Instant,
    /// `Client::replace` waits until all tokens of the old connection are dropped.
    _request: TaskTrackerToken,
}

impl<'e> RequestContext<'e> {
    pub(crate) fn new(endpoint: &'e Arc<Endpoint>, deadline: Instant) -> Self {
        let connection = endpoint.connection();
        let request = connection.requests.token();
        Self { endpoint, connection, deadline, _request: request }
    }

    /// Awaits `request`; returns `None` if the connection is replaced before it ends. Does not poll
    /// it if the connection was replaced already.
    pub(crate) async fn unless_replaced<T>(&self, request: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.connection.replaced.cancelled() => None,
            result = request => Some(result),
        }
    }

    /// Makes an error of the collector's deadline, which passed `when`.
    pub(super) fn past_deadline(&self, resource: &'static Resource, when: &str) -> Error {
        let detail = format!("the collector's deadline passed {when}");
        self.endpoint.error(resource, ErrorKind::Deadline, detail).with_hint(DEADLINE_HINT)
    }
}
