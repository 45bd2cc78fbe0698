//! The client of a primary server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::config::Config;
use super::error::{BuildError, Server};
use super::http::connection::Connection;
use super::http::endpoint::Endpoint;
use super::http::version_cache::VersionCache;
use super::resource::Resource;
use super::stats::{RequestObserver, Stats, StatsSnapshot};
use super::unreadable::UnreadableRecords;
use super::version::ApiVersion;
use crate::net::address::without_credentials;
use crate::net::retry::RetryPolicy;

/// Larger bodies are an error, bytes after decompression.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// The client of a primary server. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Endpoint>);

/// The settings and the behaviour of a [`Client`] to be made.
pub struct ClientBuilder {
    config: Config,
    retry: RetryPolicy,
    max_body: usize,
    observer: Option<Arc<dyn RequestObserver>>,
}

impl ClientBuilder {
    /// Sets the waits between attempts.
    #[must_use]
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets the limit on the size of a body, bytes after decompression.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets the observer of all attempts.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn RequestObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Makes the client, without network I/O.
    ///
    /// # Errors
    ///
    /// The settings are not usable.
    pub fn build(self) -> Result<Client, BuildError> {
        let Self { config, retry, max_body, observer } = self;
        let base = without_credentials(&config.base_url);
        let server = Server { site: config.site.clone(), base };
        Ok(Client(Arc::new(Endpoint {
            server: Arc::new(server),
            connection: ArcSwap::from_pointee(Connection::new(config)?),
            versions: VersionCache::default(),
            retry,
            max_body,
            observer,
            stats: Stats::default(),
            unreadable: UnreadableRecords::default(),
        })))
    }
}

impl Client {
    /// Makes a client with the default behaviour, without network I/O.
    ///
    /// # Errors
    ///
    /// The settings are not usable.
    pub fn new(config: Config) -> Result<Self, BuildError> {
        Self::builder(config).build()
    }

    /// Returns a builder with the default behaviour.
    pub fn builder(config: Config) -> ClientBuilder {
        ClientBuilder { config, retry: RetryPolicy::default(), max_body: MAX_BODY, observer: None }
    }

    /// Returns the name of the site.
    pub fn site(&self) -> &str {
        &self.0.server.site
    }

    /// Returns the base address without credentials.
    pub fn base(&self) -> &str {
        &self.0.server.base
    }

    /// Returns the API version that requests carry: the configured one, otherwise the negotiated one;
    /// `None` before the first negotiation.
    pub fn version(&self) -> Option<ApiVersion> {
        self.0.connection().config.api_version.or_else(|| self.0.versions.current())
    }

    /// Suspends the key for `backoff`: authenticated requests fail at once with
    /// [`super::ErrorKind::KeyRefused`]. Pings still work.
    pub fn refuse_key(&self, backoff: Duration) {
        self.0.connection().refuse_key(backoff);
    }

    /// Returns the end of the back-off of the key; `None` if it is not suspended.
    pub fn key_refused_until(&self) -> Option<Instant> {
        self.0.connection().key_refused_until()
    }

    /// Puts another connection to the same server in force, for all clones and sessions. Statistics
    /// continue, and so does the known version of the server, unless the configured one changed; a
    /// changed key is not suspended. Requests in progress are dropped and restarted over the new
    /// connection: when this returns, nothing is sent over the old one any more.
    pub async fn replace(&self, mut connection: Connection) {
        let before = self.0.connection();
        debug_assert!(before.config.same_server(&connection.config), "another server");
        connection.inherit(&before);
        let version = connection.config.api_version;
        self.0.connection.store(Arc::new(connection));
        if version != before.config.api_version {
            self.0.versions.clear();
        }
        before.retire().await;
    }

    /// Returns the number of records of a resource that could not be decoded, each counted once.
    pub fn unreadable(&self, resource: &'static Resource) -> u64 {
        self.0.unreadable.count(resource.name)
    }

    /// Returns the time of the last successful request.
    pub(crate) fn last_success(&self) -> Option<Instant> {
        self.0.stats.last_success()
    }

    /// Returns the statistics since the client was made.
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
