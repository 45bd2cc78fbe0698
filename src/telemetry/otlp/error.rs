//! Errors of an export, in words that serve both the operator and the metrics.

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::net::failure::ErrorChain;
use crate::net::tls::TlsError;

/// Why an export failed: a closed set, since it becomes a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Refused,
    Dns,
    Connection,
    Timeout,
    /// The TLS handshake failed, on either side.
    Tls,
    Unavailable,
    ResourceExhausted,
    InvalidArgument,
    /// The receiver does not take this signal.
    Unimplemented,
    Unauthenticated,
    PermissionDenied,
    TooLarge,
    /// A redirect, which is not followed.
    HttpRedirect,
    Http404,
    /// Any other refusal of the request.
    Http4xx,
    /// Any other failure of the receiver.
    Http5xx,
    /// Success, with a body that is no answer of an OTLP receiver.
    NotOtlp,
    Other,
    /// The metrics could not be collected: nothing was sent.
    Collect,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Dns => "dns",
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Unavailable => "unavailable",
            Self::ResourceExhausted => "resource_exhausted",
            Self::InvalidArgument => "invalid_argument",
            Self::Unimplemented => "unimplemented",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::TooLarge => "too_large",
            Self::HttpRedirect => "http_redirect",
            Self::Http404 => "http_404",
            Self::Http4xx => "http_4xx",
            Self::Http5xx => "http_5xx",
            Self::NotOtlp => "not_otlp",
            Self::Other => "other",
            Self::Collect => "collect",
        }
    }

    /// Returns true if the receiver does not take the signal, whatever is in it.
    pub const fn is_unsupported(self) -> bool {
        matches!(self, Self::Unimplemented | Self::Http404)
    }

    /// Returns true if the request may have been taken all the same: its answer is missing, or comes from
    /// something in between, or from a receiver that broke off.
    const fn leaves_doubt(self) -> bool {
        use Kind::{Connection, Http5xx, Other, Timeout, Unavailable};
        matches!(self, Connection | Timeout | Unavailable | Http5xx | Other)
    }

    /// Returns true if no answer of the receiver came: a proxy on the way may be why.
    pub(super) const fn concerns_the_way(self) -> bool {
        matches!(self, Self::Refused | Self::Dns | Self::Connection | Self::Timeout | Self::Tls)
    }

    /// Returns true if it concerns this request only: the others of the export are worth sending.
    pub const fn concerns_one_request(self) -> bool {
        matches!(self, Self::InvalidArgument | Self::TooLarge | Self::Http4xx)
    }
}

/// A request that was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    pub kind: Kind,
    /// True if the same request may be accepted a little later.
    pub retryable: bool,
    /// The wait that the receiver asks for.
    pub retry_after: Option<Duration>,
    /// True if the receiver may have taken the request all the same.
    pub in_doubt: bool,
    /// Fit for a log once the transport hands it out: without secrets, on one line, bounded.
    pub message: String,
}

impl SendError {
    pub fn new(kind: Kind, retryable: bool, message: &str) -> Self {
        let in_doubt = kind.leaves_doubt();
        Self { kind, retryable, retry_after: None, in_doubt, message: message.to_owned() }
    }

    /// Describes a connection that could not be made or broke. Another try helps unless TLS failed:
    /// the certificates will be the same.
    pub(super) fn connection(error: &(dyn Error + 'static), unknown: Kind) -> Self {
        let chain = ErrorChain::new(error);
        let kind = connection_kind(&chain).unwrap_or(unknown);
        // The certificate may be the proxy's and not the receiver's.
        let peer =
            if kind == Kind::Tls && chain.is_before_tunnel() { "TLS to the proxy: " } else { "" };
        Self::new(kind, kind != Kind::Tls, &format!("{peer}{}", chain.root_cause()))
    }

    pub fn deadline() -> Self {
        Self::new(Kind::Timeout, true, "no response within the deadline")
    }
}

/// Settings that no transport can be made of.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// `endpoint` is without credentials.
    #[error("endpoint {endpoint}: {reason}")]
    Endpoint { endpoint: String, reason: String },
    /// Names the header; its value is not shown.
    #[error("header {0:?}: not a valid name or value")]
    Header(String),
    #[error("TLS: {0}")]
    Tls(String),
}

impl From<TlsError> for BuildError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error.to_string())
    }
}

/// Returns the kind of a failed connection; `None` if no link of the chain tells it.
fn connection_kind(chain: &ErrorChain<'_>) -> Option<Kind> {
    chain.tls().map(|_| Kind::Tls).or_else(|| chain.links().find_map(link_kind))
}

fn link_kind(link: &(dyn Error + 'static)) -> Option<Kind> {
    // A connection that does not answer its keep-alive ends with hyper's.
    let timed_out = link.downcast_ref().is_some_and(hyper::Error::is_timeout);
    if timed_out || link.is::<tokio::time::error::Elapsed>() {
        return Some(Kind::Timeout);
    }
    // hyper-util's error for this is private; its text is stable.
    if link.to_string().contains("dns error") {
        return Some(Kind::Dns);
    }
    match link.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::ConnectionRefused => Some(Kind::Refused),
        io::ErrorKind::TimedOut => Some(Kind::Timeout),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cause_is_found_inside_an_io_error() {
        let tls = io::Error::other(rustls::Error::DecryptError);
        assert_eq!(connection_kind(&ErrorChain::new(&tls)), Some(Kind::Tls));
        let refused = io::Error::other(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(connection_kind(&ErrorChain::new(&refused)), Some(Kind::Refused));
        assert_eq!(connection_kind(&ErrorChain::new(&io::Error::other("who knows"))), None);
    }
}
