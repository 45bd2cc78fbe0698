//! Causes of failed connections, found in the chain of sources behind an error of the HTTP and gRPC
//! libraries.

use std::error::Error;
use std::io;

const MAX_LINKS: usize = 32;

/// An error and its sources, outermost first.
pub(crate) struct ErrorChain<'e>(Vec<&'e (dyn Error + 'static)>);

impl<'e> ErrorChain<'e> {
    /// Collects the links, including those inside an `io::Error`: its own `source` skips the error
    /// that it wraps.
    pub(crate) fn new(error: &'e (dyn Error + 'static)) -> Self {
        let mut links = Vec::new();
        let mut next = Some(error);
        while let Some(link) = next
            && links.len() < MAX_LINKS
        {
            links.push(link);
            next = match link.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => link.source(),
            };
        }
        Self(links)
    }

    pub(crate) fn links(&self) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
        self.0.iter().copied()
    }

    /// Returns the TLS error, if TLS failed.
    pub(crate) fn tls(&self) -> Option<&'e rustls::Error> {
        self.links().find_map(|link| link.downcast_ref())
    }

    pub(crate) fn io_kinds(&self) -> impl Iterator<Item = io::ErrorKind> {
        self.links().filter_map(|link| link.downcast_ref::<io::Error>()).map(io::Error::kind)
    }

    /// Returns true if the connection to a proxy failed, before the tunnel through it. The error is
    /// private to hyper-util; its text is stable.
    pub(crate) fn is_before_tunnel(&self) -> bool {
        self.has("tunnel error: failed to create underlying connection")
    }

    /// Returns true if a proxy answered 407 to the request for a tunnel.
    pub(crate) fn is_proxy_authorization(&self) -> bool {
        self.has("tunnel error: proxy authorization required")
    }

    fn has(&self, text: &str) -> bool {
        self.links().any(|link| link.to_string() == text)
    }

    /// Returns the texts of all links, each once: many links only repeat the next one.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for part in self.links().map(ToString::to_string) {
            if part.is_empty() || text.contains(&part) {
                continue;
            }
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
        text
    }

    pub(crate) fn root_cause(&self) -> String {
        self.0.last().map(ToString::to_string).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_includes_the_error_inside_an_io_error() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        let chain = ErrorChain::new(&error);
        assert!(chain.tls().is_some());
        assert_eq!(chain.describe(), "invalid peer certificate: UnknownIssuer");
    }
}
