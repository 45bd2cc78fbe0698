//! The client of one server: what lives as long as the server stays the same, and the connection that
//! is in force.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::config::Config;
use super::error::{BuildError, Error, ErrorKind, Server};
use super::http::connection::Connection;
use super::http::negotiate::Negotiation;
use super::ping::Ping;
use super::resource::Resource;
use super::session::Session;
use super::stats::{RequestObserver, Stats, StatsSnapshot};
use super::unreadable::UnreadableRecords;
use super::version::ApiVersion;
use super::wire::BadRecord;
use crate::net::redact::Redactor;
use crate::net::retry::RetryPolicy;

/// Bodies larger than this are an error, bytes after decompression.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// The client of one primary server. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Shared>);

/// What the clones and sessions share.
pub(super) struct Shared {
    pub(super) server: Arc<Server>,
    pub(super) connection: ArcSwap<Connection>,
    pub(super) retry: RetryPolicy,
    pub(super) max_body: usize,
    pub(super) observer: Option<Arc<dyn RequestObserver>>,
    pub(super) stats: Stats,
    unreadable: UnreadableRecords,
    pub(super) negotiation: Negotiation,
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
        let server = Server { site: config.site.clone(), base: base_label(&config) };
        let connection = Connection::new(config)?;
        Ok(Client(Arc::new(Shared {
            server: Arc::new(server),
            connection: ArcSwap::from_pointee(connection),
            negotiation: Negotiation::default(),
            stats: Stats::default(),
            unreadable: UnreadableRecords::default(),
            retry,
            max_body,
            observer,
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
        self.connection().config.api_version.or_else(|| self.0.negotiation.current())
    }

    /// [`Session::ping`] under the timeout of one request.
    pub async fn ping(&self) -> Result<Ping, Error> {
        // A little beyond the timeout of the request, so that it is that which is told.
        let limit = self.connection().config.timeout + Duration::from_secs(1);
        self.with_deadline(Instant::now() + limit).ping().await
    }

    /// Does not present the key for `backoff`: authenticated requests fail at once with
    /// [`super::ErrorKind::KeyRefused`]. Ping still works.
    pub fn refuse_key(&self, backoff: Duration) {
        self.connection().refuse_key(backoff);
    }

    /// Until when the key is not presented; `None` when it is.
    pub fn key_refused_until(&self) -> Option<Instant> {
        self.connection().key_refused_until()
    }

    /// Puts another connection to the same server in force, for all clones and sessions. Everything
    /// that is counted goes on, and so does what is known of the server's version, unless the
    /// configured one changed; a changed key is not refused. Requests under way are dropped and made
    /// anew over the new connection: when this returns, nothing is sent over the old one any more.
    pub async fn replace(&self, mut connection: Connection) {
        let before = self.connection();
        debug_assert!(before.config.same_server(&connection.config), "another server");
        connection.inherit(&before);
        let version = connection.config.api_version;
        self.0.connection.store(Arc::new(connection));
        if version != before.config.api_version {
            self.0.negotiation.forget();
        }
        before.retire().await;
    }

    pub(super) fn connection(&self) -> Arc<Connection> {
        self.0.connection.load_full()
    }

    /// An error of a request to this server.
    pub(super) fn error(
        &self,
        resource: &'static Resource,
        kind: ErrorKind,
        detail: impl Into<String>,
    ) -> Error {
        Error::new(&self.0.server, resource, kind, detail)
    }

    /// Notes records of a list that could not be read.
    pub(super) fn note_unreadable(
        &self,
        resource: &'static Resource,
        redactor: &Redactor,
        bad: &[BadRecord],
    ) {
        self.0.unreadable.note(self.site(), resource.name, redactor, bad);
    }

    /// Returns how many records of a resource could not be read, each counted once.
    pub fn unreadable(&self, resource: &'static Resource) -> u64 {
        self.0.unreadable.count(resource.name)
    }

    /// Returns when a request succeeded last.
    pub fn last_success(&self) -> Option<Instant> {
        self.0.stats.last_success()
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
