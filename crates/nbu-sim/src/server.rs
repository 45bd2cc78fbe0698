//! The simulator: what its connections share, and the handle that tests hold.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::HeaderMap;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::faults::Faults;
use crate::http::accept;
use crate::http::log::{Authorization, Log, RequestLog};
use crate::settings::{Release, Settings};
use crate::truth::Truth;
use crate::world::World;
use crate::world::batch::Batch;

/// What the key may do (docs/netbackup-api.md#permissions).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a right of its own")]
pub struct Permissions {
    /// `/admin/jobs`: without it, 200 and no data.
    pub jobs: bool,
    /// `/admin/jobs-count-requests`: without it, 401.
    pub job_counts: bool,
    /// `/storage/storage-units`: without it, 401.
    pub storage: bool,
    /// The resources beside these: without it, 401. [`Simulator::deny`] takes single ones away.
    pub others: bool,
}

impl Permissions {
    /// Everything.
    pub const ALL: Self = Self { jobs: true, job_counts: true, storage: true, others: true };
    /// Nothing: a key that is valid all the same.
    pub const NONE: Self = Self { jobs: false, job_counts: false, storage: false, others: false };
}

impl Default for Permissions {
    fn default() -> Self {
        Self::ALL
    }
}

/// What may change while the server runs.
struct Live {
    api_key: String,
    permissions: Permissions,
    /// RBAC namespaces that the key's role lacks.
    denied: BTreeSet<String>,
    release: Release,
}

/// What all connections share.
pub(crate) struct Shared {
    settings: Settings,
    live: RwLock<Live>,
    world: Arc<RwLock<World>>,
    faults: Faults,
    log: Log,
    stopped: CancellationToken,
}

impl Shared {
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.settings.clock
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn stopped(&self) -> &CancellationToken {
        &self.stopped
    }

    pub(crate) fn release(&self) -> Release {
        self.live.read().unwrap_or_else(PoisonError::into_inner).release
    }

    pub(crate) fn permissions(&self) -> Permissions {
        self.live.read().unwrap_or_else(PoisonError::into_inner).permissions
    }

    /// Whether the key's role has the namespace of a resource that checks no permission itself.
    pub(crate) fn grants(&self, namespace: &str) -> bool {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        namespace.is_empty() || live.permissions.others && !live.denied.contains(namespace)
    }

    /// What the request says in `Authorization`: the key, raw (docs/netbackup-api.md#authentication).
    pub(crate) fn check_key(&self, headers: &HeaderMap) -> Authorization {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        match headers.get("authorization") {
            None => Authorization::Absent,
            Some(value) if value.as_bytes() == live.api_key.as_bytes() => Authorization::Valid,
            Some(_) => Authorization::Invalid,
        }
    }

    /// An absolute address under the server's own name, as links have it; not one that a client used.
    pub(crate) fn absolute(&self, path: &str) -> String {
        format!("https://{}:1556/netbackup{path}", self.settings.name)
    }

    /// Reads the world at the present.
    pub(crate) fn read_world<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        self.catch_up();
        read(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Brings the world to the clock's time.
    fn catch_up(&self) {
        let behind =
            self.world.read().unwrap_or_else(PoisonError::into_inner).is_behind(self.clock());
        if behind {
            self.world.write().unwrap_or_else(PoisonError::into_inner).advance(self.clock());
        }
    }
}

/// A simulated NetBackup primary server that listens on a port of this host. Dropping it stops it.
pub struct Simulator {
    shared: Arc<Shared>,
    addr: SocketAddr,
    tasks: TaskTracker,
}

impl Simulator {
    /// Makes the world and serves it on a free port of 127.0.0.1, on the current tokio runtime.
    ///
    /// # Errors
    /// When no port can be bound, or the TLS material is not usable.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), settings).await
    }

    /// As [`Simulator::start`], on this address.
    ///
    /// # Errors
    /// When the address cannot be bound, or the TLS material is not usable.
    pub async fn start_on(addr: SocketAddr, settings: Settings) -> io::Result<Self> {
        let tls = settings.tls.as_ref().map(|tls| tls.server_config().map(TlsAcceptor::from));
        let tls = tls.transpose()?;
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let (seen, clock) = (settings.clone(), settings.clock.clone());
        // A million jobs take about a second: not on a worker of the runtime.
        let world = tokio::task::spawn_blocking(move || World::new(&seen, &clock))
            .await
            .map_err(io::Error::other)?;
        let live = Live {
            api_key: settings.api_key.clone(),
            permissions: Permissions::ALL,
            denied: BTreeSet::new(),
            release: settings.release,
        };
        let shared = Arc::new(Shared {
            settings,
            live: RwLock::new(live),
            world: Arc::new(RwLock::new(world)),
            faults: Faults::default(),
            log: Log::default(),
            stopped: CancellationToken::new(),
        });
        let tasks = TaskTracker::new();
        tasks.spawn(accept::accept(listener, tls, Arc::clone(&shared), tasks.clone()));
        Ok(Self { shared, addr, tasks })
    }

    /// Where the API is: `http://127.0.0.1:PORT/netbackup`, https with TLS.
    pub fn base_url(&self) -> String {
        let scheme = if self.shared.settings.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/netbackup", self.addr)
    }

    /// The address that is listened on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The settings that it was started with.
    pub fn settings(&self) -> &Settings {
        self.shared.settings()
    }

    /// What is true now.
    pub fn truth(&self) -> Truth {
        self.shared.catch_up();
        let world = self.shared.world.read().unwrap_or_else(PoisonError::into_inner);
        Truth::new(Arc::clone(&self.shared.world), world.now, world.stamp(world.now))
    }

    /// The faults in force.
    pub fn faults(&self) -> &Faults {
        self.shared.faults()
    }

    /// The server's clock.
    pub fn clock(&self) -> &Clock {
        self.shared.clock()
    }

    /// The last requests, oldest first; at most [`crate::LOG_CAPACITY`]. A request enters when it is
    /// answered, or when a fault decides that it never is.
    pub fn requests(&self) -> Vec<RequestLog> {
        self.shared.log.entries()
    }

    /// The keys of the last requests that carried one, valid or not, in the order of their arrival; at
    /// most [`crate::LOG_CAPACITY`]. Requests that are never answered are among them.
    pub fn presented_keys(&self) -> Vec<String> {
        self.shared.log.keys()
    }

    /// Requests that arrived, exactly.
    pub fn request_count(&self) -> u64 {
        self.shared.log.requests()
    }

    /// Connections that were accepted.
    pub fn connections(&self) -> u64 {
        self.shared.log.connections()
    }

    /// From now on only this key is valid.
    pub fn set_api_key(&self, key: impl Into<String>) {
        self.live().api_key = key.into();
    }

    /// From now on the key may do this.
    pub fn set_permissions(&self, permissions: Permissions) {
        self.live().permissions = permissions;
    }

    /// From now on the key's role lacks this RBAC namespace, such as `|STORAGE|TAPE-DEVICES|`.
    pub fn deny(&self, namespace: &str) {
        self.live().denied.insert(namespace.to_owned());
    }

    /// Takes back what [`Simulator::deny`] took away.
    pub fn permit(&self, namespace: &str) {
        self.live().denied.remove(namespace);
    }

    /// Starts jobs beside those that arrive by themselves; returns their jobIds.
    pub fn submit(&self, batch: &Batch) -> RangeInclusive<i64> {
        self.shared.catch_up();
        let mut world = self.shared.world.write().unwrap_or_else(PoisonError::into_inner);
        let first = world.submit(batch);
        let last = i64::try_from(world.jobs.len()).unwrap_or(i64::MAX) - 1;
        World::job_id(first)..=World::job_id(0) + last
    }

    /// Turns the server into another release under the feet of its clients; the jobs stay.
    pub fn upgrade(&self, release: Release) {
        self.live().release = release;
    }

    /// The release that is spoken.
    pub fn release(&self) -> Release {
        self.shared.release()
    }

    /// Stops the server: its port is free and its connections are closed when this returns.
    pub async fn stop(self) {
        self.shared.stopped.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn live(&self) -> std::sync::RwLockWriteGuard<'_, Live> {
        self.shared.live.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.stopped.cancel();
    }
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").field("addr", &self.addr).finish_non_exhaustive()
    }
}
