//! The proxy of a server.

use secrecy::{ExposeSecret as _, SecretString};

/// A proxy; its address may carry credentials, so it is a secret as a whole.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// The address as the configuration gives it.
    pub url: SecretString,
    /// Host and port, fit for messages.
    pub display: String,
}

impl Proxy {
    /// Returns true if the connection to the proxy itself is TLS.
    pub(crate) fn speaks_tls(&self) -> bool {
        let url = self.url.expose_secret().trim_start();
        url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }
}
