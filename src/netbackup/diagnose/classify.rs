//! Classification of requests that got no complete response: name resolution, connection, proxy, TLS,
//! or a body that broke off.

use std::io;

use super::hints::{Failure, hint, is_https};
use super::tls::not_pinned;
use crate::net::failure::ErrorChain;
use crate::netbackup::config::Config;
use crate::netbackup::error::ErrorKind;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) kind: ErrorKind,
    /// The error and its sources, without addresses.
    pub(crate) detail: String,
    pub(crate) hint: String,
    pub(crate) transient: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before the head of the response.
    Sending,
    /// While the body was read.
    Body,
}

/// Classifies an error of the HTTP library by all links of its chain.
pub(crate) fn classify(error: reqwest::Error, phase: Phase, config: &Config) -> Cause {
    // The address contains the filter, which contains names of clients.
    let error = error.without_url();
    let chain = ErrorChain::new(&error);
    let mut detail = chain.describe();
    let (kind, failure, transient) = if let Some(error) = chain.tls() {
        let in_tunnel = !chain.is_before_tunnel();
        if let Some(fault) = not_pinned(error) {
            detail = fault.to_string();
        }
        (ErrorKind::Tls, Failure::Tls { error, in_tunnel }, false)
    } else if chain.is_proxy_authorization() {
        (ErrorKind::Proxy, Failure::ProxyCredentials, false)
    } else if error.is_dns() {
        (ErrorKind::Dns, Failure::Dns, true)
    } else if error.is_timeout() {
        (ErrorKind::Timeout, Failure::Unreachable, true)
    } else if phase == Phase::Body {
        // A connection that broke may hold the next time; a wrong encoding stays wrong.
        let garbled = chain
            .io_kinds()
            .any(|kind| matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput));
        detail = if garbled {
            format!("the body does not match its Content-Encoding ({detail})")
        } else {
            format!("the body was cut off ({detail})")
        };
        (ErrorKind::Body, Failure::Body, !garbled)
    } else if chain.io_kinds().any(|kind| kind == io::ErrorKind::ConnectionRefused) {
        (ErrorKind::Connect, Failure::Refused, true)
    } else if !is_https(config) {
        (ErrorKind::Connect, Failure::PlainHttp, true)
    } else if !error.is_connect() || chain.io_kinds().any(is_hang_up) {
        (ErrorKind::Connect, Failure::ConnectionLost, true)
    } else {
        (ErrorKind::Connect, Failure::Unreachable, true)
    };
    Cause { kind, detail, hint: hint(config, failure), transient }
}

/// Returns true if the other side closed an established connection.
fn is_hang_up(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}
