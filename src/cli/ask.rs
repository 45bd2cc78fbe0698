//! Requests of commands to an agent that runs on the same machine.

use std::error::Error;
use std::time::Duration;

use rustls::AlertDescription;

use crate::http::{self, Probe};
use crate::net::tls::install_provider;

/// An agent that answers later than this does not live.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// Returns the URL at which the same machine reaches an agent that listens there.
pub(super) fn local(probe: &Probe) -> String {
    let host = match probe.address.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let scheme = if probe.is_tls { "https" } else { "http" };
    format!("{scheme}://{}", http::display(host, probe.address.port))
}

/// Returns a client that takes any certificate: that of the endpoint has its public name.
pub(super) fn client() -> Result<reqwest::Client, reqwest::Error> {
    install_provider();
    reqwest::Client::builder()
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .timeout(REQUEST_TIMEOUT)
        .build()
}

/// Returns true if the server ended the handshake because there was no client certificate.
pub(super) fn wants_certificate(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|cause| {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let tls = tls.or_else(|| cause.downcast_ref::<rustls::Error>());
        matches!(tls, Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)))
    })
}

/// Returns an error with its causes.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| (**error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcard_listener_is_asked_on_loopback() {
        for (host, expected) in [
            ("0.0.0.0", "http://127.0.0.1:9440"),
            ("::", "http://[::1]:9440"),
            ("::1", "http://[::1]:9440"),
            ("10.1.2.3", "http://10.1.2.3:9440"),
        ] {
            let address = http::Address { host: host.to_owned(), port: 9440 };
            assert_eq!(local(&Probe { address, is_tls: false }), expected);
        }
    }
}
