//! The client of one server: everything that lives as long as its settings.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::config::Config;
use super::error::{BuildError, Error, Server};
use super::negotiate::Negotiation;
use super::ping::Ping;
use super::redact::Redactor;
use super::retry::RetryPolicy;
use super::route::Route;
use super::session::Session;
use super::stats::{RequestObserver, Stats, StatsSnapshot};
use super::transport;
use super::version::ApiVersion;

/// Bodies larger than this are an error, bytes after decompression.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// The longest time for which a key is not presented.
const LONGEST_BACKOFF: Duration = Duration::from_secs(365 * 24 * 3600);

/// The client of one primary server. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Shared>);

/// What the clones and sessions share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) server: Arc<Server>,
    pub(super) http: reqwest::Client,
    pub(super) route: Route,
    pub(super) authorization: HeaderValue,
    pub(super) redactor: Redactor,
    pub(super) retry: RetryPolicy,
    pub(super) max_body: usize,
    pub(super) observer: Option<Arc<dyn RequestObserver>>,
    pub(super) stats: Stats,
    pub(super) in_flight: Semaphore,
    pub(super) negotiation: Negotiation,
    key_refused: Mutex<Option<Instant>>,
}

/// Makes a [`Client`] with other than the default behaviour.
pub struct ClientBuilder {
    config: Config,
    retry: RetryPolicy,
    max_body: usize,
    observer: Option<Arc<dyn RequestObserver>>,
}

impl ClientBuilder {
    /// Other waits between attempts.
    #[must_use]
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Another limit on the size of a body, bytes after decompression.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Somebody who hears of every attempt.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn RequestObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Does everything that can fail about the settings, and no network I/O.
    pub fn build(self) -> Result<Client, BuildError> {
        let Self { config, retry, max_body, observer } = self;
        let http = transport::build(&config)?;
        let authorization = transport::authorization(&config)?;
        Ok(Client(Arc::new(Shared {
            server: Arc::new(Server { site: config.site.clone(), base: base_label(&config) }),
            redactor: Redactor::new(&config.api_key),
            route: Route::of(&config, |name| std::env::var_os(name)),
            in_flight: Semaphore::new(
                config.max_concurrent_requests.clamp(1, Semaphore::MAX_PERMITS),
            ),
            negotiation: Negotiation::default(),
            stats: Stats::default(),
            key_refused: Mutex::new(None),
            http,
            authorization,
            retry,
            max_body,
            observer,
            config,
        })))
    }
}

impl Client {
    /// A client with the default behaviour. Does everything that can fail about the settings, and no
    /// network I/O.
    pub fn new(config: Config) -> Result<Self, BuildError> {
        Self::builder(config).build()
    }

    /// A client with other than the default behaviour.
    pub fn builder(config: Config) -> ClientBuilder {
        ClientBuilder { config, retry: RetryPolicy::default(), max_body: MAX_BODY, observer: None }
    }

    /// The client under a deadline: no request, wait or walk of the session goes on beyond it.
    pub fn with_deadline(&self, deadline: Instant) -> Session {
        Session::new(self.clone(), deadline)
    }

    /// The site's name.
    pub fn site(&self) -> &str {
        &self.0.server.site
    }

    /// The base address without credentials.
    pub fn base(&self) -> &str {
        &self.0.server.base
    }

    /// The version that requests carry: the configured one, otherwise the negotiated one, `None`
    /// before there was a negotiation.
    pub fn version(&self) -> Option<ApiVersion> {
        self.0.config.api_version.or_else(|| self.0.negotiation.current())
    }

    /// [`Session::ping`] under the timeout of one request.
    pub async fn ping(&self) -> Result<Ping, Error> {
        // A little beyond the timeout of the request, so that it is that which is told.
        let limit = self.0.config.timeout + Duration::from_secs(1);
        self.with_deadline(Instant::now() + limit).ping().await
    }

    /// Does not present the key for `backoff`: authenticated requests fail at once with
    /// [`super::ErrorKind::KeyRefused`]. Ping still works.
    pub fn refuse_key(&self, backoff: Duration) {
        // A clock can't hold just any moment, and a back-off too long for it must not be none.
        let until = Instant::now() + backoff.min(LONGEST_BACKOFF);
        *self.0.key_refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// Until when the key is not presented; `None` when it is.
    pub fn key_refused_until(&self) -> Option<Instant> {
        let mut refused = self.0.key_refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = refused.filter(|until| Instant::now() < *until);
        *refused
    }

    /// What was counted since the client was made.
    pub fn stats(&self) -> StatsSnapshot {
        self.0.stats.snapshot()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("site", &self.site())
            .field("base", &self.base())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("site", &self.config.site).finish_non_exhaustive()
    }
}

/// The base address without user, password, query and trailing slash.
fn base_label(config: &Config) -> String {
    let url = &config.base_url;
    format!("{}{}", url.origin().ascii_serialization(), url.path().trim_end_matches('/'))
}
