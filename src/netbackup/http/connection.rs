//! What follows from those settings of a client that a reload may change under it: one object, made
//! before it is needed and then put in place of the one before (ADR 8).

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::transport;
use crate::net::proxy::Proxy;
use crate::net::redact::Redactor;
use crate::netbackup::config::Config;
use crate::netbackup::diagnose::hints::Route;
use crate::netbackup::error::BuildError;

/// The longest time for which a key is not presented.
const LONGEST_BACKOFF: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long requests of a replaced connection may take to be dropped: they are as soon as their tasks
/// run. One whose task looks elsewhere sends nothing either.
const PATIENCE: Duration = Duration::from_secs(1);

/// The way to a server: key, pool, TLS, proxy, limits. It never changes; a changed setting makes
/// another one.
pub struct Connection {
    pub(crate) config: Config,
    pub(crate) http: reqwest::Client,
    pub(crate) route: Route,
    pub(crate) authorization: HeaderValue,
    pub(crate) redactor: Redactor,
    pub(crate) in_flight: Semaphore,
    refused: Mutex<Option<Instant>>,
    /// Cancelled when another one is in force.
    pub(crate) replaced: CancellationToken,
    /// Requests that may still send something over it.
    pub(crate) requests: TaskTracker,
}

impl Connection {
    /// Does everything that can fail about the settings, and no network I/O.
    ///
    /// # Errors
    ///
    /// Where no client can be made of the settings.
    pub fn new(config: Config) -> Result<Self, BuildError> {
        Ok(Self {
            http: transport::build(&config)?,
            authorization: transport::authorization(&config)?,
            redactor: redactor(&config),
            route: Route::of(&config),
            in_flight: Semaphore::new(
                config.max_concurrent_requests.clamp(1, Semaphore::MAX_PERMITS),
            ),
            refused: Mutex::new(None),
            replaced: CancellationToken::new(),
            requests: TaskTracker::new(),
            config,
        })
    }

    /// The settings that it was made of.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Does not present the key for `backoff`.
    pub(crate) fn refuse_key(&self, backoff: Duration) {
        // A clock can't hold just any moment, and a back-off too long for it must not be none.
        let until = Instant::now() + backoff.min(LONGEST_BACKOFF);
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// Until when the key is not presented; `None` when it is.
    pub(crate) fn key_refused_until(&self) -> Option<Instant> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = refused.filter(|until| Instant::now() < *until);
        *refused
    }

    /// Takes over what is known of the key, where it is the same.
    pub(crate) fn inherit(&mut self, before: &Self) {
        if self.config.api_key.expose_secret() == before.config.api_key.expose_secret() {
            self.refused = Mutex::new(before.key_refused_until());
        }
    }

    /// Drops the requests that are under way, and waits until none can send anything any more.
    pub(crate) async fn retire(&self) {
        self.replaced.cancel();
        self.requests.close();
        // What it waits for can do no harm: no error to tell.
        let _ = timeout(PATIENCE, self.requests.wait()).await;
    }
}

/// Knows what must not be shown of the settings.
fn redactor(config: &Config) -> Redactor {
    let redactor = Redactor::default().with_secret(&config.api_key);
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
