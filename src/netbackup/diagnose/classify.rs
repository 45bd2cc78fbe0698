//! What a failed exchange was: name resolution, connection, proxy, TLS, or a body that broke off.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;

use rustls::CertificateError;

use super::hints::{DNS, REFUSED, Route, UNREACHABLE};
use crate::net::tls::KEY_KINDS;
use crate::netbackup::error::ErrorKind;

/// A link of the chain while the connection to a proxy is made, before the tunnel through it.
const NO_TUNNEL: &str = "tunnel error: failed to create underlying connection";

/// What is known of a failure without an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) kind: ErrorKind,
    /// Texts of the chain, outermost first, without addresses.
    pub(crate) detail: String,
    pub(crate) hint: Cow<'static, str>,
    pub(crate) transient: bool,
}

/// When the failure came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before the head of the answer.
    Sending,
    /// While the body was read.
    Body,
}

/// Looks through the whole chain of sources.
pub(crate) fn classify(error: reqwest::Error, phase: Phase, route: &Route) -> Cause {
    // The address has the filter in it, and with it names of clients.
    let error = error.without_url();
    let chain = chain(&error);
    let detail = describe(&chain);
    if let Some(tls) = chain.iter().find_map(|link| link.downcast_ref::<rustls::Error>()) {
        let peer = route.tls_peer(!chain.iter().any(|link| link.to_string() == NO_TUNNEL));
        let hint = tls_hint(tls, &peer).into();
        return Cause { kind: ErrorKind::Tls, detail, hint, transient: false };
    }
    if wants_credentials(&chain) {
        let hint = route.credentials();
        return Cause { kind: ErrorKind::Proxy, detail, hint, transient: false };
    }
    if error.is_dns() {
        let hint = route.unreachable(DNS);
        return Cause { kind: ErrorKind::Dns, detail, hint, transient: true };
    }
    if error.is_timeout() {
        let hint = route.unreachable(UNREACHABLE);
        return Cause { kind: ErrorKind::Timeout, detail, hint, transient: true };
    }
    if phase == Phase::Body {
        return body_cause(&chain, &detail, route);
    }
    let hint = if io_kinds(&chain).any(|kind| kind == io::ErrorKind::ConnectionRefused) {
        route.unreachable(REFUSED)
    } else if !route.is_https() {
        route.unreachable("check host, port and scheme (NetBackup uses https)")
    } else if !error.is_connect() || io_kinds(&chain).any(is_hang_up) {
        route.lost()
    } else {
        route.unreachable(UNREACHABLE)
    };
    Cause { kind: ErrorKind::Connect, detail, hint, transient: true }
}

/// A proxy's 407 to the request for a tunnel, which has no type that could be asked for.
fn wants_credentials(chain: &[&(dyn StdError + 'static)]) -> bool {
    chain.iter().any(|link| link.to_string() == "tunnel error: proxy authorization required")
}

/// The other side ended a connection that there was.
fn is_hang_up(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

/// A connection that broke may hold next time; an encoding that is wrong stays wrong.
fn body_cause(chain: &[&(dyn StdError + 'static)], detail: &str, route: &Route) -> Cause {
    let garbled = io_kinds(chain)
        .any(|kind| matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput));
    let detail = if garbled {
        format!("the body does not match its Content-Encoding ({detail})")
    } else {
        format!("the body was cut off ({detail})")
    };
    Cause { kind: ErrorKind::Body, detail, hint: route.broken(), transient: !garbled }
}

fn io_kinds<'a>(
    chain: &'a [&(dyn StdError + 'static)],
) -> impl Iterator<Item = io::ErrorKind> + 'a {
    chain.iter().filter_map(|link| link.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// All links, those inside an `io::Error` included: its own `source` skips what it wraps.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    const LONGEST: usize = 32;
    let mut links = Vec::new();
    let mut next = Some(error);
    while let Some(link) = next
        && links.len() < LONGEST
    {
        links.push(link);
        next = match link.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => link.source(),
        };
    }
    links
}

/// The chain's texts, each said once: many links only repeat the next one.
fn describe(chain: &[&(dyn StdError + 'static)]) -> String {
    let mut text = String::new();
    for link in chain {
        let said = link.to_string();
        if said.is_empty() || text.contains(&said) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&said);
    }
    text
}

/// Says what to do about a handshake that failed with `peer`, the server or the proxy.
fn tls_hint(error: &rustls::Error, peer: &str) -> String {
    use rustls::AlertDescription as Alert;

    match error {
        rustls::Error::InvalidCertificate(problem) => certificate_hint(problem, peer),
        rustls::Error::InvalidMessage(_) => {
            format!("check scheme and port: {peer} does not use TLS on this port")
        }
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::AccessDenied,
        ) => format!("{peer} rejects the client certificate: check certFile and keyFile"),
        rustls::Error::AlertReceived(_) => format!(
            "{peer} aborted the TLS handshake: check its TLS versions, its ciphers and the key of \
             its certificate (supported: {KEY_KINDS}; not P-521)"
        ),
        _ => format!("check caFile, and the host names in the certificate of {peer}"),
    }
}

fn certificate_hint(problem: &CertificateError, peer: &str) -> String {
    // The names that newer variants have are what tells them apart, not their content.
    let name = format!("{problem:?}");
    match problem {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("check host: the certificate of {peer} is for other names")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the certificate of {peer} has expired, or this machine's clock is wrong")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate of {peer} is not valid yet, or this machine's clock is wrong")
        }
        CertificateError::UnknownIssuer => format!(
            "check caFile: it must contain the CA that signed the certificate of {peer} (download \
             NetBackup's from /security/cacert); with caFile, no other CA is trusted"
        ),
        _ if name.starts_with("UnsupportedSignatureAlgorithm") => format!(
            "the certificate of {peer}, or of a CA above it, has an unsupported key (supported: \
             {KEY_KINDS}; not P-521)"
        ),
        _ if name.contains("CaUsedAsEndEntity") => format!(
            "the certificate of {peer} is a CA certificate (CA:TRUE), which a server must not \
             use: install a server certificate signed by that CA, and put the CA into caFile"
        ),
        _ => format!("check caFile, and the host names in the certificate of {peer}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_io_error_wraps_is_seen() {
        let tls = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let error = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        let links = chain(&error);
        assert!(links.iter().any(|link| link.is::<rustls::Error>()));
        assert_eq!(describe(&links), "invalid peer certificate: UnknownIssuer");
    }

    #[test]
    fn each_fault_of_a_certificate_has_its_remedy() {
        let hint = |error| tls_hint(&rustls::Error::InvalidCertificate(error), "the server");
        assert!(hint(CertificateError::UnknownIssuer).contains("caFile"));
        assert!(hint(CertificateError::NotValidForName).contains("names"));
        assert!(hint(CertificateError::Expired).contains("expired"));
        let unsupported = CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: Vec::new(),
            supported_algorithms: Vec::new(),
        };
        assert!(hint(unsupported).contains("not P-521"));
        let alert = rustls::AlertDescription::HandshakeFailure;
        let ended = tls_hint(&rustls::Error::AlertReceived(alert), "the server");
        assert!(ended.contains("not P-521"), "{ended}");
    }
}
