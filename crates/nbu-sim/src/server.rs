//! The simulator: the handle that tests hold.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, PoisonError};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::faults::Faults;
use crate::http::accept;
use crate::http::log::RequestLog;
use crate::resources;
use crate::settings::{Release, Settings};
use crate::shared::{Permissions, Shared};
use crate::truth::Truth;
use crate::world::World;
use crate::world::batch::Batch;
use crate::world::names::Names;

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
    /// Fails if no port can be bound, if the TLS material is not usable, if `rows` names no list, or a script no
    /// disk pool.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), settings).await
    }

    /// Does the same as [`Simulator::start`], on this address.
    ///
    /// # Errors
    /// Fails if the address cannot be bound, if the TLS material is not usable, if `rows` names no list, or a script no
    /// disk pool.
    pub async fn start_on(addr: SocketAddr, settings: Settings) -> io::Result<Self> {
        resources::check(&settings.rows).map_err(io::Error::other)?;
        let tls = settings.tls.as_ref().map(|tls| tls.server_config().map(TlsAcceptor::from));
        let tls = tls.transpose()?;
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let (seen, clock) = (settings.clone(), settings.clock.clone());
        // A million jobs take about a second: not on a worker of the runtime.
        let world = tokio::task::spawn_blocking(move || {
            let names = Names::new(&seen);
            if let Some(pool) = names.disk.stray(&seen.pool_scripts) {
                return Err(io::Error::other(format!("a script names no disk pool: {pool:?}")));
            }
            let lists = resources::lists(&seen, &names);
            Ok(World::new(&seen, &clock, names, lists))
        })
        .await
        .map_err(io::Error::other)??;
        let shared = Arc::new(Shared::new(settings, world));
        let tasks = TaskTracker::new();
        tasks.spawn(accept::accept(listener, tls, Arc::clone(&shared), tasks.clone()));
        Ok(Self { shared, addr, tasks })
    }

    /// Returns the address of the API: `http://127.0.0.1:PORT/netbackup`, https with TLS.
    pub fn base_url(&self) -> String {
        let scheme = if self.shared.settings().tls.is_some() { "https" } else { "http" };
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

    /// Returns the truth of the present instant.
    pub fn truth(&self) -> Truth {
        let shared = self.shared.world();
        let world = shared.read().unwrap_or_else(PoisonError::into_inner);
        Truth::new(Arc::clone(shared), world.now, world.stamp(world.now))
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
        self.shared.log().entries()
    }

    /// The keys of the last requests that carried one, valid or not, in the order of their arrival; at
    /// most [`crate::LOG_CAPACITY`]. Requests that are never answered are among them.
    pub fn presented_keys(&self) -> Vec<String> {
        self.shared.log().keys()
    }

    /// Requests that arrived, exactly.
    pub fn request_count(&self) -> u64 {
        self.shared.log().requests()
    }

    /// Connections that were accepted.
    pub fn connections(&self) -> u64 {
        self.shared.log().connections()
    }

    /// From now on only this key is valid.
    pub fn set_api_key(&self, key: impl Into<String>) {
        self.shared.live().api_key = key.into();
    }

    /// From now on the server says that the key expires then: Unix milliseconds. Nothing comes of it.
    pub fn set_api_key_expiry(&self, at_ms: i64) {
        self.shared.live().api_key_expiry = at_ms;
    }

    /// Returns when the key expires, Unix milliseconds; `None` if it has not the form of a key that can.
    pub fn api_key_expiry(&self) -> Option<i64> {
        let (key, expiry) = self.shared.api_key();
        resources::api_key::tag(&key).map(|_| expiry)
    }

    /// From now on the key may do this.
    pub fn set_permissions(&self, permissions: Permissions) {
        self.shared.live().permissions = permissions;
    }

    /// From now on the key's role lacks this RBAC namespace, such as `|STORAGE|TAPE-DEVICES|`.
    pub fn deny(&self, namespace: &str) {
        self.shared.live().denied.insert(namespace.to_owned());
    }

    /// Takes back what [`Simulator::deny`] took away.
    pub fn permit(&self, namespace: &str) {
        self.shared.live().denied.remove(namespace);
    }

    /// Starts jobs beside those that arrive by themselves; returns their jobIds, each parent's before those of its
    /// children.
    pub fn submit(&self, batch: &Batch) -> RangeInclusive<i64> {
        let mut world = self.shared.world().write().unwrap_or_else(PoisonError::into_inner);
        let first = world.submit(batch);
        let last = i64::try_from(world.jobs.len()).unwrap_or(i64::MAX) - 1;
        World::job_id(first)..=World::job_id(0) + last
    }

    /// Sets diskPoolState of a pool from now on: UP, DOWN or TRANSIENT. UP and DOWN set its volumes, too. Returns
    /// false if there is no such pool.
    pub fn set_disk_pool_state(&self, pool: &str, state: &'static str) -> bool {
        let mut world = self.shared.world().write().unwrap_or_else(PoisonError::into_inner);
        let named = world.names.disk.pools.iter_mut().filter(|known| *known.name == *pool);
        named.map(|pool| pool.set_state(state)).count() > 0
    }

    /// Sets storageServerState of a server from now on: UP or DOWN. Returns false if there is no such server.
    pub fn set_storage_server_state(&self, server: &str, state: &'static str) -> bool {
        let mut world = self.shared.world().write().unwrap_or_else(PoisonError::into_inner);
        let named = world.names.disk.servers.iter_mut().filter(|known| *known.name == *server);
        named.map(|server| server.state = state).count() > 0
    }

    /// From now on the images under an SLP that replicates go to `target` too, also those that were replicated
    /// before. Both must have one clock; a server that receives must not replicate.
    pub fn replicate_to(&self, target: &Self) {
        target.shared.receive_replicas_of(&self.shared);
    }

    /// Turns the server into another release under the feet of its clients; the jobs stay.
    pub fn upgrade(&self, release: Release) {
        self.shared.live().release = release;
    }

    /// The release that is spoken.
    pub fn release(&self) -> Release {
        self.shared.release()
    }

    /// Stops the server: its port is free and its connections are closed when this returns.
    pub async fn stop(self) {
        self.shared.stopped().cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.stopped().cancel();
    }
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").field("addr", &self.addr).finish_non_exhaustive()
    }
}
