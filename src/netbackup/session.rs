//! The client under a deadline: the requests that collectors make.

use tokio::time::Instant;

use super::client::Client;
use super::error::{Error, ErrorKind};
use super::http::body::Body;
use super::http::negotiate::{send, version};
use super::http::request::{RequestContext, RequestSpec};
use super::resource::{Query, Resource, encoded};
use super::version::ApiVersion;
use super::wire::job_count::{JOB_COUNT, JobCount, job_count_request};
use super::wire::{BadRecord, Id};

/// A [`Client`] and the deadline of its requests. Cheap to clone. Its futures may be dropped at any
/// point.
#[derive(Debug, Clone)]
pub struct Session {
    client: Client,
    deadline: Instant,
}

impl Client {
    /// Returns a session: none of its requests, waits and pagers continues after the deadline.
    pub fn with_deadline(&self, deadline: Instant) -> Session {
        Session { client: self.clone(), deadline }
    }
}

impl Session {
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns the API version that requests carry: configured, known, or negotiated now.
    pub async fn version(&self) -> Result<ApiVersion, Error> {
        loop {
            let context = RequestContext::new(&self.client.0, self.deadline);
            if let Some(result) = context.unless_replaced(version(&context)).await {
                return result;
            }
        }
    }

    pub async fn get(&self, resource: &'static Resource, query: &Query) -> Result<Body, Error> {
        self.execute(&RequestSpec::get(resource, query.encode())).await
    }

    /// Gets the record with an id.
    pub async fn get_member(&self, resource: &'static Resource, id: &str) -> Result<Body, Error> {
        let spec = RequestSpec::get(resource, String::new());
        self.execute(&RequestSpec { member: Some(encoded(id)), ..spec }).await
    }

    /// Counts the jobs that `filter` selects (docs/netbackup-api.md#jobs-count).
    pub async fn job_count(&self, filter: &str) -> Result<i64, Error> {
        let json = job_count_request(filter).to_string().into_bytes();
        let spec = RequestSpec::get(&JOB_COUNT, String::new());
        let body = self.execute(&RequestSpec { post: Some(json), ..spec }).await?;
        Ok(body.read::<JobCount<'_>>()?.count())
    }

    /// Returns the error of a missing permission that the server itself does not report
    /// (docs/netbackup-api.md#jobs-empty-without-permission).
    pub(crate) fn forbidden(&self, resource: &'static Resource, detail: &str) -> Error {
        let error = self.error(resource, ErrorKind::Forbidden, detail);
        match resource.permission {
            Some(permission) => {
                error.with_hint(format!("give the role of apiKey the permission {permission}"))
            }
            None => error,
        }
    }

    /// Counts a record that was decoded but lacks a required value, such as a name.
    pub(crate) fn note_unreadable(&self, resource: &'static Resource, id: &Id<'_>, problem: &str) {
        let connection = self.client.0.connection();
        let record = BadRecord::lacking(id, problem);
        self.client.0.note_unreadable(resource, &connection.redactor, &[record]);
    }

    /// Makes a request, and again if the connection is replaced meanwhile.
    pub(super) async fn execute(&self, spec: &RequestSpec) -> Result<Body, Error> {
        loop {
            let context = RequestContext::new(&self.client.0, self.deadline);
            if let Some(result) = context.unless_replaced(send(&context, spec)).await {
                return Ok(Body::new(context, spec.resource, result?));
            }
        }
    }

    pub(crate) fn error(
        &self,
        resource: &'static Resource,
        kind: ErrorKind,
        detail: impl Into<String>,
    ) -> Error {
        self.client.0.error(resource, kind, detail)
    }
}
