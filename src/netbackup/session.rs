//! The client under a deadline: what it can be asked.

use std::sync::Arc;

use serde::Serialize;
use tokio::time::Instant;

use super::client::Client;
use super::error::{Error, ErrorKind};
use super::http::attempt::Call;
use super::http::connection::Connection;
use super::http::request::Link;
use super::http::response::{Body, Head};
use super::ping::PING;
use super::resource::{Query, Resource, percent_encode};
use super::wire::job_count::{JOB_COUNT, JobCount, JobCountRequest};
use super::wire::{BadRecord, Id};

/// A [`Client`] and the moment after which nothing goes on. Cheap to clone. Futures may be dropped at
/// any point.
#[derive(Debug, Clone)]
pub struct Session {
    pub(super) client: Client,
    pub(super) deadline: Instant,
}

impl Session {
    pub(super) fn new(client: Client, deadline: Instant) -> Self {
        Self { client, deadline }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// When it ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Reads a document.
    pub async fn get(&self, resource: &'static Resource, query: &Query) -> Result<Body, Error> {
        self.body(Call::get(resource, query.encode())).await
    }

    /// Reads one member of a collection, such as `/storage/disk-pools/{id}`.
    pub async fn get_item(
        &self,
        resource: &'static Resource,
        id: &str,
        query: &Query,
    ) -> Result<Body, Error> {
        let mut suffix = String::from("/");
        percent_encode(&mut suffix, id);
        self.body(Call { suffix, ..Call::get(resource, query.encode()) }).await
    }

    /// Sends `question` and reads the answer. For requests that change nothing: it is retried like
    /// any other.
    pub async fn post(
        &self,
        resource: &'static Resource,
        question: &(impl Serialize + Sync),
    ) -> Result<Body, Error> {
        let json = serde_json::to_vec(question).map_err(|error| {
            self.client
                .error(resource, ErrorKind::BadRequest, error.to_string())
                .with_hint("this is a bug in the agent; please report it")
        })?;
        self.body(Call { post: Some(json), ..Call::get(resource, String::new()) }).await
    }

    /// How many jobs `filter` selects (docs/netbackup-api.md#jobs-count).
    pub async fn job_count(&self, filter: &str) -> Result<i64, Error> {
        let body = self.post(&JOB_COUNT, &JobCountRequest::new(filter)).await?;
        Ok(body.read::<JobCount>()?.count())
    }

    /// The error of a resource that the role of the key may not see, where the server itself does
    /// not say so (docs/netbackup-api.md#jobs-empty-without-permission).
    pub fn forbidden(&self, resource: &'static Resource, detail: &str) -> Error {
        let hint = format!("give the role of apiKey the permission {} (VIEW)", resource.permission);
        self.client.error(resource, ErrorKind::Forbidden, detail).with_hint(hint)
    }

    /// Notes a record that came without what it cannot do without, such as a name.
    pub fn note_unreadable(&self, resource: &'static Resource, id: &Id<'_>, problem: &str) {
        let bad = BadRecord::lacking(id, problem);
        let connection = self.client.connection();
        self.client.note_unreadable(resource, &connection.redactor, &[bad]);
    }

    async fn body(&self, call: Call) -> Result<Body, Error> {
        let mut bytes = Vec::new();
        let made_by = self.execute(&call, &mut bytes).await?;
        Ok(Body { client: self.client.clone(), made_by, resource: call.resource, bytes })
    }

    /// Fills `body` with the answer to an authenticated request. Returns the connection over which it
    /// came, whose redactor knows what to hide in it.
    pub(super) async fn execute(
        &self,
        call: &Call,
        body: &mut Vec<u8>,
    ) -> Result<Arc<Connection>, Error> {
        loop {
            let link = Link::new(self);
            if let Some(result) = link.unless_replaced(link.execute(call, body)).await {
                return result.map(|_| link.connection);
            }
        }
    }

    /// A ping: without version and key.
    pub(super) async fn execute_ping(
        &self,
        body: &mut Vec<u8>,
    ) -> Result<(Head, Arc<Connection>), Error> {
        let call = Call::get(&PING, String::new());
        loop {
            let link = Link::new(self);
            if let Some(result) = link.unless_replaced(link.with_retries(&call, None, body)).await {
                return result.map(|head| (head, link.connection));
            }
        }
    }
}
