//! One attempt: a request out, an answer in, counted and told.

use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, Response};
use tokio::time::{Instant, timeout, timeout_at};

use super::request::Link;
use super::response::{self, Head};
use crate::net::redact::Redactor;
use crate::netbackup::diagnose::classify::{self, Phase};
use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::resource::Resource;
use crate::netbackup::stats::{Outcome, RequestRecord};
use crate::netbackup::version::ApiVersion;

/// Where `--trace` shows bodies.
const BODY_TARGET: &str = "nbu_otel_agent::netbackup::body";

/// Bodies of answers that are no success are read up to here, bytes.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// Characters of a failed connection's cause that an error shows.
const MAX_CAUSE: usize = 500;

/// What to check when a collector ran out of time.
pub(crate) const DEADLINE_HINT: &str =
    "the server is slow, or there is a lot of data: increase collectionInterval";

/// A request, ready to be made as often as it takes.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) resource: &'static Resource,
    /// Appended to the resource's path, encoded.
    pub(crate) suffix: String,
    /// Encoded.
    pub(crate) query: String,
    /// JSON of a POST; a GET without.
    pub(crate) post: Option<Vec<u8>>,
    /// The page of a walk, from 1.
    pub(crate) page: u32,
}

impl Call {
    pub(crate) fn get(resource: &'static Resource, query: String) -> Self {
        Self { resource, suffix: String::new(), query, post: None, page: 1 }
    }

    fn method(&self) -> Method {
        if self.post.is_some() { Method::POST } else { Method::GET }
    }
}

/// One attempt of a call.
pub(crate) struct Attempt<'a> {
    pub(crate) link: &'a Link<'a>,
    pub(crate) call: &'a Call,
    /// `None` for a ping, which carries neither version nor key.
    pub(crate) version: Option<ApiVersion>,
    pub(crate) number: u32,
}

impl Attempt<'_> {
    /// Fills `body` with that of a successful answer.
    pub(crate) async fn run(&self, body: &mut Vec<u8>) -> Result<Head, Error> {
        let connection = &self.link.connection;
        if self.version.is_some() && connection.key_refused_until().is_some() {
            return Err(self
                .error(ErrorKind::KeyRefused, "not sent: the server rejected the API key recently")
                .with_hint(
                    "check apiKey: it may be expired or deleted; a changed key is tried at once",
                ));
        }
        // Held while the request is in flight and not while anything waits.
        let Ok(Ok(permit)) = timeout_at(self.link.deadline, connection.in_flight.acquire()).await
        else {
            return Err(self.past_deadline("while waiting for another request"));
        };
        let (started, clock) = (SystemTime::now(), Instant::now());
        let left = self.link.deadline.saturating_duration_since(clock);
        if left.is_zero() {
            return Err(self.past_deadline("before the request was sent"));
        }
        let limit = connection.config.timeout.min(left);
        let result = match timeout(limit, self.exchange(body)).await {
            Ok(result) => result,
            Err(_) if left <= connection.config.timeout => {
                Err(self.past_deadline("before the server responded"))
            }
            Err(_) => Err(self.timed_out(limit)),
        };
        drop(permit);
        self.tell(&result, started, clock.elapsed());
        result
    }

    async fn exchange(&self, body: &mut Vec<u8>) -> Result<Head, Error> {
        body.clear();
        let response = self.request().send().await.map_err(|e| self.failed(e, Phase::Sending))?;
        let head = Head::of(&response);
        self.read(response, &head, body).await?;
        self.trace_body(&head, body);
        let connection = &self.link.connection;
        let ping = self.version.is_none();
        response::check(&head, body, ping, &connection.redactor).map_err(|fault| {
            let server = &self.link.client.0.server;
            fault.into_error(server, self.call.resource, &head, &connection.route)
        })?;
        Ok(head)
    }

    fn request(&self) -> reqwest::RequestBuilder {
        let connection = &self.link.connection;
        let mut url = connection.config.base_url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{}{}", self.call.resource.path, self.call.suffix));
        url.set_query((!self.call.query.is_empty()).then_some(self.call.query.as_str()));
        let request = connection.http.request(self.call.method(), url);
        let Some(version) = self.version else {
            return request.header(ACCEPT, "text/vnd.netbackup+plain, */*;q=0.5");
        };
        let media_type = format!("application/vnd.netbackup+json;version={version}");
        let request = request
            .header(AUTHORIZATION, connection.authorization.clone())
            .header(ACCEPT, &media_type);
        match &self.call.post {
            Some(json) => request.header(CONTENT_TYPE, &media_type).body(json.clone()),
            None => request,
        }
    }

    async fn read(
        &self,
        mut response: Response,
        head: &Head,
        body: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let most = if head.is_success() { self.link.client.0.max_body } else { MAX_ERROR_BODY };
        while let Some(chunk) =
            response.chunk().await.map_err(|error| self.failed(error, Phase::Body))?
        {
            if body.len() + chunk.len() <= most {
                body.extend_from_slice(&chunk);
            } else if head.is_success() {
                let detail = format!("the body is larger than {most} bytes");
                return Err(self
                    .error(ErrorKind::Body, detail)
                    .with_status(head.status)
                    .with_hint("no API response is that large: check host, port and uri"));
            } else {
                // Enough to say what is wrong.
                break;
            }
        }
        Ok(())
    }

    fn failed(&self, error: reqwest::Error, phase: Phase) -> Error {
        let cause = classify::classify(error, phase, &self.link.connection.route);
        let detail = self.link.connection.redactor.line(&cause.detail, MAX_CAUSE);
        self.error(cause.kind, detail).transient(cause.transient).with_hint(cause.hint)
    }

    fn timed_out(&self, limit: Duration) -> Error {
        self.error(ErrorKind::Timeout, format!("no complete response within {limit:?}"))
            .with_hint(self.link.connection.route.slow())
    }

    fn past_deadline(&self, when: &str) -> Error {
        self.error(ErrorKind::Deadline, format!("the collector's deadline passed {when}"))
            .with_hint(DEADLINE_HINT)
    }

    fn error(&self, kind: ErrorKind, detail: impl Into<String>) -> Error {
        self.link.client.error(self.call.resource, kind, detail)
    }

    /// Counts, logs and reports the attempt.
    fn tell(&self, result: &Result<Head, Error>, started: SystemTime, duration: Duration) {
        let shared = &self.link.client.0;
        let outcome = match result {
            Ok(head) => Outcome::Status(head.status),
            Err(error) => match error.status() {
                Some(status) if error.kind() != ErrorKind::Body => Outcome::Status(status),
                _ => Outcome::Failed(error.kind()),
            },
        };
        let resource = self.call.resource.name;
        shared.stats.record(resource, outcome, duration);
        tracing::debug!(
            site = shared.server.site,
            resource,
            status = %outcome.label(),
            ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            page = self.call.page,
            attempt = self.number,
            "request"
        );
        if let Some(observer) = &shared.observer {
            observer.on_request(&RequestRecord {
                site: &shared.server.site,
                resource,
                method: if self.call.post.is_some() { "POST" } else { "GET" },
                outcome,
                started,
                duration,
                attempt: self.number,
            });
        }
    }

    fn trace_body(&self, head: &Head, body: &[u8]) {
        // The redacted copy is made only where somebody reads it.
        if tracing::enabled!(target: BODY_TARGET, tracing::Level::TRACE) {
            let redactor: &Redactor = &self.link.connection.redactor;
            tracing::trace!(
                target: BODY_TARGET,
                site = self.link.client.0.server.site,
                resource = self.call.resource.name,
                status = head.status,
                body = %redactor.body(body),
                "answer"
            );
        }
    }
}
