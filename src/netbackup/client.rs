//! The client of a primary server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::config::Config;
use super::error::{BuildError, Error, ErrorKind, Server};
use super::http::connection::Connection;
use super::http::version_cache::VersionCache;
use super::resource::Resource;
use super::stats::{RequestObserver, Stats, StatsSnapshot};
use super::unreadable::UnreadableRecords;
use super::version::ApiVersion;
use super::wire::BadRecord;
use crate::net::address::without_credentials;
use crate::net::fingerprint::Fingerprint;
use crate::net::redact::Redactor;
use crate::net::retry::RetryPolicy;

/// The client of a primary server. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Endpoint>);

/// The state that the clones and sessions of a client share: the server, the connection in force, and
/// the records of past requests.
pub(crate) struct Endpoint {
    pub(super) server: Arc<Server>,
    connection: ArcSwap<Connection>,
    pub(super) versions: VersionCache,
    pub(super) retry: RetryPolicy,
    /// Larger bodies are an error, bytes after decompression.
    pub(super) max_body: usize,
    pub(super) observer: Option<Arc<dyn RequestObserver>>,
    pub(super) stats: Stats,
    unreadable: UnreadableRecords,
}

impl Endpoint {
    pub(super) fn connection(&self) -> Arc<Connection> {
        self.connection.load_full()
    }

    pub(super) fn error(
        &self,
        resource: &'static Resource,
        kind: ErrorKind,
        detail: impl Into<String>,
    ) -> Error {
        Error::new(&self.server, resource, kind, detail)
    }

    /// Counts records that could not be decoded, and logs the first of them.
    pub(super) fn note_unreadable(
        &self,
        resource: &'static Resource,
        redactor: &Redactor,
        bad: &[BadRecord],
    ) {
        self.unreadable.note(&self.server.site, resource.name, redactor, bad);
    }
}

/// The settings and the behaviour of a [`Client`] to be made.
pub struct ClientBuilder {
    config: Config,
    retry: RetryPolicy,
    max_body: usize,
    observer: Option<Arc<dyn RequestObserver>>,
}

impl ClientBuilder {
    #[must_use]
    pub fn retry_policy(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Sets the limit on the size of a body, bytes after decompression.
    #[must_use]
    pub fn max_body(self, max_body: usize) -> Self {
        Self { max_body, ..self }
    }

    #[must_use]
    pub fn observer(self, observer: Arc<dyn RequestObserver>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Makes the client, without network I/O.
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
    pub fn builder(config: Config) -> ClientBuilder {
        let max_body = 64 * 1024 * 1024;
        ClientBuilder { config, retry: RetryPolicy::default(), max_body, observer: None }
    }

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

    pub(crate) fn sends_key_in_clear_text(&self) -> bool {
        self.0.connection().config.sends_key_in_clear_text()
    }

    /// Returns the fingerprint of the certificate that the server showed last, whether it was accepted or not; `None`
    /// before a handshake.
    pub(crate) fn shown_certificate(&self) -> Option<Fingerprint> {
        self.0.connection().shown.fingerprint()
    }

    /// Returns false for the resource of the key itself if the key has no tag, by which to ask for it.
    pub fn can_ask(&self, resource: &Resource) -> bool {
        !resource.is_of_key() || self.0.connection().key_tag.is_some()
    }

    /// Returns true if the key in force is that of `connection`.
    pub(crate) fn has_key_of(&self, connection: &Connection) -> bool {
        self.0.connection().has_key_of(connection)
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

    pub(crate) fn last_success(&self) -> Option<Instant> {
        self.0.stats.last_success()
    }

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
