//! The settings of the client of a primary server.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::version::ApiVersion;
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
    /// Accept any certificate; test systems only.
    pub insecure_skip_verify: bool,
    /// PEM bundle of the private CA, already read; no other CA is trusted.
    pub ca: Option<PemFile>,
    /// The system's CAs, trusted without `ca`. If absent, they are read when they are needed.
    pub roots: Option<SystemRoots>,
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
            && self.insecure_skip_verify == other.insecure_skip_verify
            && self.ca == other.ca
            && self.roots == other.roots
            && self.identity == other.identity
            && self.proxy == other.proxy
            && self.timeout == other.timeout
            && self.max_concurrent_requests == other.max_concurrent_requests
    }

    /// Returns true if both name the same site and address, so that cached data stays valid.
    pub fn same_server(&self, other: &Self) -> bool {
        self.site == other.site && self.base_url == other.base_url
    }
}
