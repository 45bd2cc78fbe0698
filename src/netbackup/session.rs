//! The client under a deadline: requests with their retries and their version.

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::call::{Attempt, Call};
use super::client::Client;
use super::cursor::CursorWalk;
use super::error::{Error, ErrorKind};
use super::offset::OffsetWalk;
use super::reply::{Body, Head};
use super::resource::{Query, Resource, percent_encode};
use super::version::ApiVersion;
use super::wire::job_count::{JOB_COUNT, JobCount, JobCountRequest};

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
            self.error(resource, ErrorKind::BadRequest, error.to_string())
                .with_hint("this is a mistake of the agent: report it")
        })?;
        self.body(Call { post: Some(json), ..Call::get(resource, String::new()) }).await
    }

    /// How many jobs `filter` selects (contract, section 1.8).
    pub async fn job_count(&self, filter: &str) -> Result<i64, Error> {
        let body = self.post(&JOB_COUNT, &JobCountRequest::new(filter)).await?;
        Ok(body.read::<JobCount>()?.count())
    }

    /// Walks a list that pages by cursor.
    pub fn cursor_walk(&self, resource: &'static Resource, query: &Query) -> CursorWalk {
        CursorWalk::new(self.clone(), resource, query)
    }

    /// Walks a list that pages by offset.
    pub fn offset_walk(&self, resource: &'static Resource, query: &Query) -> OffsetWalk {
        OffsetWalk::new(self.clone(), resource, query)
    }

    /// The error of a resource that the role of the key may not see, where the server itself does
    /// not say so (contract, section 1.2).
    pub fn forbidden(&self, resource: &'static Resource, detail: &str) -> Error {
        let hint = format!("give the role of apiKey the permission {} (VIEW)", resource.permission);
        self.error(resource, ErrorKind::Forbidden, detail).with_hint(hint)
    }

    async fn body(&self, call: Call) -> Result<Body, Error> {
        let mut bytes = Vec::new();
        self.execute(&call, &mut bytes).await?;
        Ok(Body { client: self.client.clone(), resource: call.resource, bytes })
    }

    /// An authenticated request: with the version of the server, and after a 406 once more with
    /// another.
    pub(super) async fn execute(&self, call: &Call, body: &mut Vec<u8>) -> Result<Head, Error> {
        let version = self.version().await?;
        let refusal = match self.with_retries(call, Some(version), body).await {
            Err(error) if error.status() == Some(406) => error,
            result => return result,
        };
        let other = self.renegotiate(version, refusal).await?;
        let result = self.with_retries(call, Some(other), body).await;
        if matches!(&result, Err(error) if error.status() == Some(406)) {
            // The other version is no better for this resource: leave the rest with the old one.
            self.client.0.negotiation.restore(other, version);
        }
        result
    }

    /// A request, repeated while that can mend it (design, invariant 7).
    pub(super) async fn with_retries(
        &self,
        call: &Call,
        version: Option<ApiVersion>,
        body: &mut Vec<u8>,
    ) -> Result<Head, Error> {
        let shared = &self.client.0;
        let mut number = 1;
        loop {
            let attempt =
                Attempt { client: &self.client, call, version, number, deadline: self.deadline };
            let error = match attempt.run(body).await {
                Ok(head) => return Ok(head),
                Err(error) => error,
            };
            if !error.is_transient() || number >= shared.retry.max_attempts {
                return Err(error);
            }
            let wait = shared.retry.wait(number, error.retry_after());
            if Instant::now().checked_add(wait).is_none_or(|then| then >= self.deadline) {
                return Err(error);
            }
            tracing::debug!(
                site = shared.server.site,
                resource = call.resource.name,
                reason = error.kind().label(),
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "trying again"
            );
            shared.stats.retried();
            sleep(wait).await;
            number += 1;
        }
    }

    pub(super) fn error(
        &self,
        resource: &'static Resource,
        kind: ErrorKind,
        detail: impl Into<String>,
    ) -> Error {
        Error::new(&self.client.0.server, resource, kind, detail)
    }
}
