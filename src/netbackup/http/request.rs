//! One request over one connection, with its version and its retries. Where the connection is replaced
//! before it ended, it is made anew over the next one.

use std::sync::Arc;

use tokio::time::{Instant, sleep};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::attempt::{Attempt, Call};
use super::connection::Connection;
use super::response::Head;
use crate::netbackup::client::Client;
use crate::netbackup::error::Error;
use crate::netbackup::session::Session;
use crate::netbackup::version::ApiVersion;

/// A request's hold on the connection that was in force when it began.
pub(crate) struct Link<'s> {
    pub(crate) client: &'s Client,
    pub(crate) connection: Arc<Connection>,
    pub(crate) deadline: Instant,
    /// Who replaces the connection waits for these.
    _request: TaskTrackerToken,
}

impl<'s> Link<'s> {
    pub(crate) fn new(session: &'s Session) -> Self {
        let connection = session.client.connection();
        let request = connection.requests.token();
        Self { client: &session.client, connection, deadline: session.deadline, _request: request }
    }

    /// What `request` gives; `None` where the connection was replaced before it ended. Over a
    /// connection that was replaced already, it does not begin.
    pub(crate) async fn unless_replaced<T>(&self, request: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.connection.replaced.cancelled() => None,
            result = request => Some(result),
        }
    }

    /// An authenticated request: with the version of the server, and after a 406 once more with
    /// another.
    pub(crate) async fn execute(&self, call: &Call, body: &mut Vec<u8>) -> Result<Head, Error> {
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

    /// A request, repeated while that can mend it (ARCHITECTURE.md, invariant 7).
    pub(crate) async fn with_retries(
        &self,
        call: &Call,
        version: Option<ApiVersion>,
        body: &mut Vec<u8>,
    ) -> Result<Head, Error> {
        let shared = &self.client.0;
        let mut number = 1;
        loop {
            let error = match (Attempt { link: self, call, version, number }).run(body).await {
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
                "retrying"
            );
            shared.stats.retried();
            sleep(wait).await;
            number += 1;
        }
    }
}
