//! Errors of requests: the failure, and what an administrator should check.
//!
//! No error carries the API key, a filter, or an address with a query.

use std::sync::Arc;
use std::time::Duration;

use super::resource::Resource;

/// The kind of a failure; [`ErrorKind::label`] is stable and fit for a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    Dns,
    /// The connection failed, or broke before the response began.
    Connect,
    /// The TLS handshake failed or the certificate is not accepted.
    Tls,
    /// The timeout of the request passed before a complete response, or 408.
    Timeout,
    /// The collector's own deadline passed.
    Deadline,
    /// 401: an invalid key, or no permission (docs/netbackup-api.md#authentication).
    Unauthorized,
    Forbidden,
    /// 404 or 410: not in this release.
    NotFound,
    /// 405, 406 or 415, or a version that this agent cannot speak.
    Version,
    /// Another 4xx: a filter or parameter that the server does not support.
    BadRequest,
    RateLimited,
    /// 500, 501 and other unexpected responses of the server.
    ServerError,
    /// 503: "The server is busy", and 425.
    Busy,
    /// 502, 504, 413 or 431: a gateway or proxy in front of the server.
    Gateway,
    /// 407: the proxy requires credentials.
    Proxy,
    /// 3xx: not followed, because that would send the key elsewhere.
    Redirect,
    /// The body is not one of the API: HTML, empty, cut off, too large, not JSON.
    Body,
    /// A list that does not end or does not advance.
    Paging,
    /// The server rejected the key recently; nothing was sent.
    KeyRefused,
}

impl ErrorKind {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Deadline => "deadline",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Version => "version",
            Self::BadRequest => "bad_request",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::Busy => "busy",
            Self::Gateway => "gateway",
            Self::Proxy => "proxy",
            Self::Redirect => "redirect",
            Self::Body => "body",
            Self::Paging => "paging",
            Self::KeyRefused => "key_refused",
        }
    }

    /// Returns the kind of a response with a status other than success.
    pub(super) const fn of_status(status: u16) -> Self {
        match status {
            300..=399 => Self::Redirect,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 | 410 => Self::NotFound,
            405 | 406 | 415 => Self::Version,
            407 => Self::Proxy,
            408 => Self::Timeout,
            // Proxies reject requests with 413, 425 and 431 that they accept a moment later.
            413 | 431 | 502 | 504 => Self::Gateway,
            425 | 503 => Self::Busy,
            429 => Self::RateLimited,
            400..=499 => Self::BadRequest,
            _ => Self::ServerError,
        }
    }

    /// Returns true if a retry may succeed. Truncated bodies set this on the error itself.
    const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Dns
                | Self::Connect
                | Self::Timeout
                | Self::RateLimited
                | Self::Gateway
                | Self::Busy
        )
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) site: String,
    /// The base address without credentials.
    pub(super) base: String,
}

/// The error of a request or a pager. Cheap to clone.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.describe())]
pub struct Error(Arc<ErrorDetails>);

#[derive(Debug, Clone)]
struct ErrorDetails {
    server: Arc<Server>,
    resource: &'static Resource,
    kind: ErrorKind,
    status: Option<u16>,
    detail: String,
    hint: Option<String>,
    retry_after: Option<Duration>,
    transient: bool,
}

impl Error {
    /// Makes an error; `detail` must not contain secrets.
    pub(super) fn new(
        server: &Arc<Server>,
        resource: &'static Resource,
        kind: ErrorKind,
        detail: impl Into<String>,
    ) -> Self {
        Self(Arc::new(ErrorDetails {
            server: Arc::clone(server),
            resource,
            kind,
            status: None,
            detail: detail.into(),
            hint: None,
            retry_after: None,
            transient: kind.is_transient(),
        }))
    }

    fn change(mut self, change: impl FnOnce(&mut ErrorDetails)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        self.change(|details| details.hint = Some(hint.into()))
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        self.change(|details| details.status = Some(status))
    }

    pub(super) fn with_retry_after(self, wait: Option<Duration>) -> Self {
        self.change(|details| details.retry_after = wait)
    }

    pub(super) fn transient(self, transient: bool) -> Self {
        self.change(|details| details.transient = transient)
    }

    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns true if the key or its role is the cause.
    pub fn is_denial(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unauthorized | ErrorKind::Forbidden)
    }

    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    pub fn resource(&self) -> &'static Resource {
        self.0.resource
    }

    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Returns true if a retry may succeed (ARCHITECTURE.md, invariant 7).
    pub(super) fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// Returns the wait that the server asks for, not yet capped.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    fn describe(&self) -> String {
        let ErrorDetails { server, resource, detail, hint, .. } = &*self.0;
        let mut text =
            format!("site {:?} ({}), {}: {detail}", server.site, server.base, resource.path);
        if let Some(hint) = hint {
            text.push_str(": ");
            text.push_str(hint);
        }
        text
    }
}

/// The error of settings that are not usable, found before any request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("site {site:?}: {setting}: {problem}")]
pub struct BuildError {
    pub site: String,
    /// The setting at fault, by its name in the configuration.
    pub setting: &'static str,
    /// The fault, never the value.
    pub problem: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    static JOBS: Resource =
        Resource { name: "jobs", path: "/admin/jobs", permission: None, max_limit: 100 };

    #[test]
    fn error_names_site_address_resource_cause_and_hint() {
        let server = Arc::new(Server { site: "paris".into(), base: "https://nbu:1556/n".into() });
        let error = Error::new(&server, &JOBS, ErrorKind::Unauthorized, "401 Unauthorized")
            .with_status(401)
            .with_hint("check apiKey");
        assert_eq!(
            error.to_string(),
            r#"site "paris" (https://nbu:1556/n), /admin/jobs: 401 Unauthorized: check apiKey"#
        );
        assert_eq!((error.kind().label(), error.status()), ("unauthorized", Some(401)));
    }

    #[test]
    fn transient_statuses_are_those_worth_a_retry() {
        let transient: Vec<u16> =
            (300..600).filter(|status| ErrorKind::of_status(*status).is_transient()).collect();
        assert_eq!(transient, [408, 413, 425, 429, 431, 502, 503, 504]);
    }
}
