//! What the client of one primary server needs to know.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::version::ApiVersion;
use crate::net::proxy::Proxy;
use crate::net::roots::SystemRoots;
use crate::net::tls::{Identity, PemFile};

/// Settings of one primary server.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name that its series carry; unique.
    pub site: String,
    /// Base address with the path prefix and without a trailing slash, such as
    /// `https://primary.example.com:1556/netbackup`.
    pub base_url: url::Url,
    /// The API key, sent raw in `Authorization` (docs/netbackup-api.md#authentication).
    pub api_key: SecretString,
    /// The version to speak, where the file names one; detected otherwise.
    pub api_version: Option<ApiVersion>,
    /// Accept any certificate. Only for laboratories.
    pub insecure_skip_verify: bool,
    /// PEM bundle of the private CA, already read; it alone is trusted.
    pub ca: Option<PemFile>,
    /// The system's CAs, which are trusted without `ca`; read when they are needed where absent.
    pub roots: Option<SystemRoots>,
    /// Client certificate and key for mutual TLS, already read.
    pub identity: Option<Identity>,
    /// The proxy on the way to this server, from the configuration or the environment.
    pub proxy: Option<Proxy>,
    /// Deadline of one request, connecting included.
    pub timeout: Duration,
    /// Requests in flight to this server at once, over all collectors; at least 1.
    pub max_concurrent_requests: usize,
}

impl Config {
    /// Whether a client of the one would do for the other.
    pub fn same_as(&self, other: &Self) -> bool {
        self.same_server(other)
            && self.api_key.expose_secret() == other.api_key.expose_secret()
            && self.api_version == other.api_version
            && self.insecure_skip_verify == other.insecure_skip_verify
            && self.ca == other.ca
            && self.roots == other.roots
            && Identity::same(self.identity.as_ref(), other.identity.as_ref())
            && Proxy::same(self.proxy.as_ref(), other.proxy.as_ref())
            && self.timeout == other.timeout
            && self.max_concurrent_requests == other.max_concurrent_requests
    }

    /// Whether both speak of the same site at the same address: what was cached from it stays true.
    pub fn same_server(&self, other: &Self) -> bool {
        self.site == other.site && self.base_url == other.base_url
    }
}
