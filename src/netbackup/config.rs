//! The settings of the client of a primary server.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::version::ApiVersion;
use crate::net::address::is_loopback;
use crate::net::fingerprint::Fingerprint;
use crate::net::proxy::Proxy;
use crate::net::roots::SystemRoots;
use crate::net::tls::{Identity, PemFile};

/// The settings of a primary server.
#[derive(Debug, Clone)]
pub struct Config {
    /// The value of the `site` label of its series; unique.
    pub site: String,
    /// Base address with the path prefix and without a trailing slash, such as
    /// `https://primary.example.com:1556/netbackup`.
    pub base_url: url::Url,
    /// The API key, sent raw in `Authorization` (docs/netbackup-api.md#authentication).
    pub api_key: SecretString,
    pub api_version: Option<ApiVersion>,
    /// The key may be sent in clear text: nobody warns of it.
    pub allow_plain_text: bool,
    /// Verify neither chain nor name of the certificate; `fingerprints` count all the same.
    pub insecure_skip_verify: bool,
    /// PEM bundle of the private CA, already read; no other CA is trusted.
    pub ca: Option<PemFile>,
    /// The system's CAs, trusted without `ca`. If absent, they are read when they are needed.
    pub roots: Option<SystemRoots>,
    /// Fingerprints of which the server's certificate must have one; any may be, if there are none.
    pub fingerprints: Vec<Fingerprint>,
    /// Client certificate and key for mutual TLS, already read.
    pub identity: Option<Identity>,
    /// The proxy on the way to this server, from the configuration or the environment.
    pub proxy: Option<Proxy>,
    pub timeout: Duration,
    /// Concurrent requests to this server, over all collectors; at least 1.
    pub max_concurrent_requests: usize,
}

impl Config {
    /// Returns true if a client of the one can serve the other.
    pub fn same_as(&self, other: &Self) -> bool {
        self.same_server(other)
            && self.api_key.expose_secret() == other.api_key.expose_secret()
            && self.api_version == other.api_version
            && self.allow_plain_text == other.allow_plain_text
            && self.insecure_skip_verify == other.insecure_skip_verify
            && self.ca == other.ca
            && self.roots == other.roots
            && self.fingerprints == other.fingerprints
            && self.identity == other.identity
            && self.proxy == other.proxy
            && self.timeout == other.timeout
            && self.max_concurrent_requests == other.max_concurrent_requests
    }

    /// Returns true if the key is sent in clear text over a network, and nobody said that it may.
    pub(crate) fn sends_key_in_clear_text(&self) -> bool {
        let stays_here = self.base_url.host_str().is_some_and(is_loopback);
        self.base_url.scheme() == "http" && !stays_here && !self.allow_plain_text
    }

    /// Returns true if both name the same site and address, so that cached data stays valid.
    pub fn same_server(&self, other: &Self) -> bool {
        self.site == other.site && self.base_url == other.base_url
    }
}
