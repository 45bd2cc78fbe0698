//! Hints for failed TLS handshakes.

use rustls::{AlertDescription as Alert, CertificateError, Error};

use crate::net::tls::KEY_KINDS;
use crate::net::verifier::NotPinned;

/// Returns the fault of a certificate that was verified, as far as that was asked for, and is not pinned.
pub(super) fn not_pinned(error: &Error) -> Option<&NotPinned> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => other.0.downcast_ref(),
        _ => None,
    }
}

/// Returns what to check after a failed handshake with `peer`, the server or a proxy.
pub(super) fn tls_hint(error: &Error, peer: &str) -> String {
    if let Some(NotPinned(shown)) = not_pinned(error) {
        return format!(
            "if the certificate of {peer} was renewed, add {shown} to serverCertFingerprints; otherwise somebody may be in between"
        );
    }
    match error {
        Error::InvalidCertificate(problem) => certificate_hint(problem, peer),
        Error::InvalidMessage(_) => {
            format!("check scheme and port: {peer} does not use TLS on this port")
        }
        Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::AccessDenied,
        ) => format!("{peer} rejects the client certificate: check certFile and keyFile"),
        Error::AlertReceived(_) => format!(
            "{peer} aborted the TLS handshake: check its TLS versions, its ciphers and the key of \
             its certificate (supported: {KEY_KINDS}; not P-521)"
        ),
        _ => names_hint(peer),
    }
}

fn names_hint(peer: &str) -> String {
    format!("check caFile, and the host names in the certificate of {peer}")
}

fn certificate_hint(problem: &CertificateError, peer: &str) -> String {
    // Newer variants differ in their names, not in their content.
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
        _ => names_hint(peer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_fault_has_its_own_hint() {
        let hint = |error| tls_hint(&Error::InvalidCertificate(error), "the server");
        assert!(hint(CertificateError::UnknownIssuer).contains("caFile"));
        assert!(hint(CertificateError::NotValidForName).contains("names"));
        assert!(hint(CertificateError::Expired).contains("expired"));
        let unsupported = CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: Vec::new(),
            supported_algorithms: Vec::new(),
        };
        assert!(hint(unsupported).contains("not P-521"));
        let alert = Error::AlertReceived(Alert::HandshakeFailure);
        let aborted = tls_hint(&alert, "the server");
        assert!(aborted.contains("not P-521"), "{aborted}");
    }
}
