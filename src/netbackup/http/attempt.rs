//! The attempts of a request: each is sent, read, checked, counted and logged (ARCHITECTURE.md,
//! invariant 7).

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::request::{RequestContext, RequestSpec};
use super::response::{self, ResponseHead};
use crate::netbackup::diagnose::classify::{Phase, classify};
use crate::netbackup::diagnose::hints::{Failure, hint};
use crate::netbackup::error::{Error, ErrorKind};
use crate::netbackup::key_tag::KEY_TAG;
use crate::netbackup::resource::encoded;
use crate::netbackup::stats::{Outcome, RequestRecord};
use crate::netbackup::version::ApiVersion;

const BODY_TARGET: &str = "nbu_otel_agent::netbackup::body";

/// Bytes that are read of the body of a failed response.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// Bytes that are reserved for a body because the server announces them; a page has fewer.
const MAX_RESERVED: usize = 1024 * 1024;

/// Characters of the cause of a failed connection that an error shows.
const MAX_CAUSE: usize = 500;

/// Sends a request, and again as long as a retry may succeed before the deadline. Without
/// `version`, the request carries neither version nor key.
pub(super) async fn send_with_retries(
    context: &RequestContext<'_>,
    spec: &RequestSpec,
    version: Option<ApiVersion>,
) -> Result<(ResponseHead, Vec<u8>), Error> {
    let endpoint = context.endpoint;
    let mut number = 1;
    loop {
        let error = match (Attempt { context, spec, version, number }).run().await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        if !error.is_transient() || number >= endpoint.retry.max_attempts {
            return Err(error);
        }
        let wait = endpoint.retry.wait(number, error.retry_after());
        if Instant::now().checked_add(wait).is_none_or(|then| then >= context.deadline) {
            return Err(error);
        }
        tracing::debug!(
            site = endpoint.server.site,
            resource = spec.resource.name,
            reason = error.kind().label(),
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "retrying"
        );
        endpoint.stats.retried();
        sleep(wait).await;
        number += 1;
    }
}

struct Attempt<'a> {
    context: &'a RequestContext<'a>,
    spec: &'a RequestSpec,
    /// `None` for a ping, which carries neither version nor key.
    version: Option<ApiVersion>,
    /// From 1.
    number: u32,
}

impl Attempt<'_> {
    /// Sends the request, and reads the response.
    async fn run(&self) -> Result<(ResponseHead, Vec<u8>), Error> {
        let connection = &self.context.connection;
        if self.version.is_some() && connection.key_refused_until().is_some() {
            let detail = "not sent: the server rejected the API key recently";
            return Err(self.error(ErrorKind::KeyRefused, detail).with_hint(
                "check apiKey: it may be expired or deleted; a changed key is tried at once",
            ));
        }
        // Held only while the request is in flight.
        let permit = timeout_at(self.context.deadline, connection.in_flight.acquire()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(self.past_deadline("while waiting for another request"));
        };
        let (started, clock) = (SystemTime::now(), Instant::now());
        let left = self.context.deadline.saturating_duration_since(clock);
        if left.is_zero() {
            return Err(self.past_deadline("before the request was sent"));
        }
        let limit = connection.config.timeout.min(left);
        let result = match timeout(limit, self.exchange()).await {
            Ok(result) => result,
            Err(_) if left <= connection.config.timeout => {
                Err(self.past_deadline("before the server responded"))
            }
            Err(_) => Err(self
                .error(ErrorKind::Timeout, format!("no complete response within {limit:?}"))
                .with_hint(hint(&connection.config, Failure::Timeout))),
        };
        drop(permit);
        self.record(result.as_ref().map(|(head, _)| head.status), started, clock.elapsed());
        result
    }

    async fn exchange(&self) -> Result<(ResponseHead, Vec<u8>), Error> {
        let response = self.request().send().await;
        let response = response.map_err(|error| self.failed(error, Phase::Sending))?;
        let head = ResponseHead::new(&response);
        let body = self.read(response, &head).await?;
        self.trace_body(&head, &body);
        let connection = &self.context.connection;
        let is_ping = self.version.is_none();
        match response::check(&head, &body, is_ping, &connection.redactor) {
            Ok(()) => Ok((head, body)),
            Err((kind, detail)) => {
                let redirect = head.redirect.as_deref();
                let failure = Failure::Response { kind, redirect, resource: self.spec.resource };
                Err(self
                    .error(kind, detail)
                    .with_status(head.status)
                    .with_retry_after(head.retry_after)
                    .with_hint(hint(&connection.config, failure)))
            }
        }
    }

    fn request(&self) -> RequestBuilder {
        let connection = &self.context.connection;
        let mut url = connection.config.base_url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        let path = self.path();
        url.set_path(&match &self.spec.member {
            None => format!("{base}{path}"),
            Some(id) => format!("{base}{path}/{id}"),
        });
        url.set_query((!self.spec.query.is_empty()).then_some(self.spec.query.as_str()));
        let method = if self.spec.post.is_some() { Method::POST } else { Method::GET };
        let request = connection.http.request(method, url);
        let Some(version) = self.version else {
            return request.header(ACCEPT, "text/vnd.netbackup+plain, */*;q=0.5");
        };
        let media_type = format!("application/vnd.netbackup+json;version={version}");
        let request = request
            .header(AUTHORIZATION, connection.authorization.clone())
            .header(ACCEPT, &media_type);
        match &self.spec.post {
            Some(json) => request.header(CONTENT_TYPE, &media_type).body(json.clone()),
            None => request,
        }
    }

    /// Returns the path of the resource, with the tag of the key where it takes one.
    fn path(&self) -> Cow<'static, str> {
        let path = self.spec.resource.path;
        match &self.context.connection.key_tag {
            Some(tag) if self.spec.resource.is_of_key() => {
                path.replace(KEY_TAG, &encoded(tag.expose_secret())).into()
            }
            _ => path.into(),
        }
    }

    async fn read(&self, mut response: Response, head: &ResponseHead) -> Result<Vec<u8>, Error> {
        let success = head.is_success();
        let max = if success { self.context.endpoint.max_body } else { MAX_ERROR_BODY };
        let told = response.content_length().and_then(|length| usize::try_from(length).ok());
        let mut body = Vec::with_capacity(told.unwrap_or(0).min(max).min(MAX_RESERVED));
        while let Some(chunk) =
            response.chunk().await.map_err(|error| self.failed(error, Phase::Body))?
        {
            if body.len() + chunk.len() <= max {
                body.extend_from_slice(&chunk);
            } else if success {
                let detail = format!("the body is larger than {max} bytes");
                return Err(self
                    .error(ErrorKind::Body, detail)
                    .with_status(head.status)
                    .with_hint("no API response is that large: check host, port and uri"));
            } else {
                // The beginning is enough to describe the error.
                break;
            }
        }
        Ok(body)
    }

    fn failed(&self, error: reqwest::Error, phase: Phase) -> Error {
        let connection = &self.context.connection;
        let cause = classify(error, phase, &connection.config);
        let detail = connection.redactor.line(&cause.detail, MAX_CAUSE);
        self.error(cause.kind, detail).transient(cause.transient).with_hint(cause.hint)
    }

    fn past_deadline(&self, when: &str) -> Error {
        self.context.past_deadline(self.spec.resource, when)
    }

    fn error(&self, kind: ErrorKind, detail: impl Into<String>) -> Error {
        self.context.endpoint.error(self.spec.resource, kind, detail)
    }

    /// Counts and logs the attempt, and notifies the observer.
    fn record(&self, result: Result<u16, &Error>, started: SystemTime, duration: Duration) {
        let endpoint = self.context.endpoint;
        let outcome = match result {
            Ok(status) => Outcome::Status(status),
            Err(error) => match error.status() {
                Some(status) if error.kind() != ErrorKind::Body => Outcome::Status(status),
                _ => Outcome::Failed(error.kind()),
            },
        };
        let resource = self.spec.resource.name;
        endpoint.stats.record(resource, outcome, duration);
        tracing::debug!(
            site = endpoint.server.site,
            resource,
            status = %outcome.label(),
            ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            page = self.spec.page,
            attempt = self.number,
            "request"
        );
        if let Some(observer) = &endpoint.observer {
            observer.on_request(&RequestRecord {
                site: &endpoint.server.site,
                resource,
                method: if self.spec.post.is_some() { "POST" } else { "GET" },
                outcome,
                started,
                duration,
                attempt: self.number,
            });
        }
    }

    fn trace_body(&self, head: &ResponseHead, body: &[u8]) {
        // The redacted copy is made only if it is logged.
        if tracing::enabled!(target: BODY_TARGET, tracing::Level::TRACE) {
            tracing::trace!(
                target: BODY_TARGET,
                site = self.context.endpoint.server.site,
                resource = self.spec.resource.name,
                status = head.status,
                body = %self.context.connection.redactor.body(body),
                "answer"
            );
        }
    }
}
