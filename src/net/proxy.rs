//! The proxy of a server.

use secrecy::SecretString;

/// A proxy; its address may carry credentials, so it is a secret as a whole.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// The address as the configuration gives it.
    pub url: SecretString,
    /// Host and port, fit for messages.
    pub display: String,
}
