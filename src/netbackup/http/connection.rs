//! The replaceable part of a client: key, TLS, proxy, timeouts and limits. Immutable; a reload swaps
//! in a new one (ADR 8).

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::transport;
use crate::net::proxy::Proxy;
use crate::net::redact::Redactor;
use crate::net::verifier::ShownCertificate;
use crate::netbackup::config::Config;
use crate::netbackup::error::BuildError;
use crate::netbackup::key_tag::key_tag;

const MAX_BACKOFF: Duration = Duration::from_secs(365 * 24 * 3600);

/// The longest wait for the requests of a replaced connection, which end as soon as their tasks are
/// polled. A task that is not polled sends nothing either.
const RETIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection pool with its key, its limits, and the rules for its errors.
pub struct Connection {
    pub(crate) config: Config,
    pub(super) http: reqwest::Client,
    pub(crate) shown: ShownCertificate,
    pub(super) authorization: HeaderValue,
    /// `None` if the key has none.
    pub(crate) key_tag: Option<SecretString>,
    pub(crate) redactor: Redactor,
    pub(super) in_flight: Semaphore,
    refused: Mutex<Option<Instant>>,
    /// Cancelled when another connection is in force.
    pub(super) replaced: CancellationToken,
    /// Requests that may still send something over it.
    pub(super) requests: TaskTracker,
}

impl Connection {
    /// Makes the connection pool, without network I/O.
    pub fn new(config: Config) -> Result<Self, BuildError> {
        let (shown, key_tag) = (ShownCertificate::default(), key_tag(&config.api_key));
        Ok(Self {
            http: transport::build(&config, &shown)?,
            shown,
            authorization: transport::authorization(&config)?,
            redactor: redactor(&config, key_tag.as_ref()),
            key_tag,
            in_flight: Semaphore::new(
                config.max_concurrent_requests.clamp(1, Semaphore::MAX_PERMITS),
            ),
            refused: Mutex::new(None),
            replaced: CancellationToken::new(),
            requests: TaskTracker::new(),
            config,
        })
    }

    /// Suspends authenticated requests for `backoff`.
    pub(crate) fn refuse_key(&self, backoff: Duration) {
        // A sum that overflows the clock would panic.
        let until = Instant::now() + backoff.min(MAX_BACKOFF);
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// Returns the end of the back-off of the key; `None` if it is not suspended.
    pub(crate) fn key_refused_until(&self) -> Option<Instant> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = refused.filter(|until| Instant::now() < *until);
        *refused
    }

    pub(crate) fn has_key_of(&self, other: &Self) -> bool {
        self.config.api_key.expose_secret() == other.config.api_key.expose_secret()
    }

    /// Takes over the back-off of an unchanged key.
    pub(crate) fn inherit(&mut self, before: &Self) {
        if self.has_key_of(before) {
            self.refused = Mutex::new(before.key_refused_until());
        }
    }

    /// Cancels the requests in progress, and waits until none can send anything any more.
    pub(crate) async fn retire(&self) {
        self.replaced.cancel();
        self.requests.close();
        // A request that is still there sends nothing: the timeout is no error.
        let _ = timeout(RETIRE_TIMEOUT, self.requests.wait()).await;
    }
}

fn redactor(config: &Config, key_tag: Option<&SecretString>) -> Redactor {
    let mut redactor = Redactor::default().with_secret(&config.api_key);
    if let Some(tag) = key_tag {
        // Whether it is padded or not.
        redactor = redactor.with_secret(&tag.expose_secret().trim_end_matches('=').into());
    }
    match config.proxy.as_ref().and_then(Proxy::address) {
        Some(proxy) => redactor.with_address(&proxy),
        None => redactor,
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("site", &self.config.site).finish_non_exhaustive()
    }
}
