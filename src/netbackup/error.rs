//! What can go wrong with a server, said so that an operator knows what to do next.
//!
//! No error carries the API key, a filter, or an address with a query.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::resource::Resource;

/// The kind of a failure; [`ErrorKind::label`] is stable and fit for a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// The host name does not resolve.
    Dns,
    /// No connection, or it broke before the answer began.
    Connect,
    /// The TLS handshake failed or the certificate is not accepted.
    Tls,
    /// No complete answer within the configured timeout of one request, or 408.
    Timeout,
    /// The collector's own deadline passed.
    Deadline,
    /// 401: a bad key, or no permission (docs/netbackup-api.md#authentication).
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404 or 410: not in this release.
    NotFound,
    /// 405, 406 or 415, or a version that this agent cannot speak.
    Version,
    /// Another 4xx: a filter or parameter that the server does not take.
    BadRequest,
    /// 429.
    RateLimited,
    /// 500, 501 and other unexpected answers of the server.
    ServerError,
    /// 503: "The server is busy", and 425.
    Busy,
    /// 502, 504, 413 or 431: something between here and the server.
    Gateway,
    /// 407: the proxy wants credentials.
    Proxy,
    /// 3xx: not followed, since it would carry the key elsewhere.
    Redirect,
    /// A body that is not what the API answers: HTML, empty, cut, too large, not JSON.
    Body,
    /// A list that does not end or does not advance.
    Paging,
    /// The key was refused lately and is not presented again yet; nothing was sent.
    KeyRefused,
}

impl ErrorKind {
    /// A stable short name.
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

    /// Of the status of an answer that is not a success.
    pub(super) const fn of_status(status: u16) -> Self {
        match status {
            300..=399 => Self::Redirect,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 | 410 => Self::NotFound,
            405 | 406 | 415 => Self::Version,
            407 => Self::Proxy,
            408 => Self::Timeout,
            // By 413, 425 and 431 proxies refuse what they take a moment later.
            413 | 431 | 502 | 504 => Self::Gateway,
            425 | 503 => Self::Busy,
            429 => Self::RateLimited,
            400..=499 => Self::BadRequest,
            _ => Self::ServerError,
        }
    }

    /// Whether trying again can mend it. A cut body says so itself.
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

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Which server an error is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// The site's name.
    pub(super) site: String,
    /// The base address without credentials.
    pub(super) base: String,
}

/// A request or a walk that failed. Cheap to clone.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.describe())]
pub struct Error(Arc<Failure>);

#[derive(Debug, Clone)]
struct Failure {
    server: Arc<Server>,
    resource: &'static Resource,
    kind: ErrorKind,
    status: Option<u16>,
    detail: String,
    hint: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    transient: bool,
}

impl Error {
    /// `detail` must be free of secrets.
    pub(super) fn new(
        server: &Arc<Server>,
        resource: &'static Resource,
        kind: ErrorKind,
        detail: impl Into<String>,
    ) -> Self {
        Self(Arc::new(Failure {
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

    fn change(mut self, change: impl FnOnce(&mut Failure)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    pub(super) fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.change(|failure| failure.hint = Some(hint.into()))
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        self.change(|failure| failure.status = Some(status))
    }

    pub(super) fn with_retry_after(self, wait: Option<Duration>) -> Self {
        self.change(|failure| failure.retry_after = wait)
    }

    pub(super) fn transient(self, transient: bool) -> Self {
        self.change(|failure| failure.transient = transient)
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the key, or the role that it has, is why.
    pub fn is_denial(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unauthorized | ErrorKind::Forbidden)
    }

    /// The HTTP status, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The resource that was asked.
    pub fn resource(&self) -> &'static Resource {
        self.0.resource
    }

    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether an immediate further attempt could succeed.
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// How long the server asks to wait, capped by nothing yet.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    fn describe(&self) -> String {
        let Failure { server, resource, detail, hint, .. } = &*self.0;
        let mut text =
            format!("site {:?} ({}), {}: {detail}", server.site, server.base, resource.path);
        if let Some(hint) = hint {
            text.push_str(": ");
            text.push_str(hint);
        }
        text
    }
}

/// Settings that no client can be made of; found before any request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("site {site:?}: {setting}: {problem}")]
pub struct BuildError {
    /// The site's name.
    pub site: String,
    /// The setting at fault, by its name in the configuration.
    pub setting: &'static str,
    /// What is wrong with it, never its value.
    pub problem: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    static JOBS: Resource =
        Resource { name: "jobs", path: "/admin/jobs", permission: "", max_limit: 100 };

    #[test]
    fn an_error_names_site_address_resource_cause_and_remedy() {
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
    fn only_what_a_retry_can_mend_is_transient() {
        let transient: Vec<u16> =
            (300..600).filter(|status| ErrorKind::of_status(*status).is_transient()).collect();
        assert_eq!(transient, [408, 413, 425, 429, 431, 502, 503, 504]);
    }
}
