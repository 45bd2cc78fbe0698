//! The state that the connections of a simulator share.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use axum::http::HeaderMap;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::faults::Faults;
use crate::http::log::{Authorization, Log};
use crate::settings::{Release, Settings};
use crate::world::World;

/// The rights of the key (docs/netbackup-api.md#permissions).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a right of its own")]
pub struct Permissions {
    /// `/admin/jobs`: without it, 200 and no data.
    pub jobs: bool,
    /// `/admin/jobs-count-requests`: without it, 401.
    pub job_counts: bool,
    /// `/storage/storage-units`: without it, 401.
    pub storage: bool,
    /// The resources beside these: without it, 401. [`crate::Simulator::deny`] takes single ones away.
    pub others: bool,
}

impl Permissions {
    /// All rights.
    pub const ALL: Self = Self { jobs: true, job_counts: true, storage: true, others: true };
    /// No rights; the key is still valid.
    pub const NONE: Self = Self { jobs: false, job_counts: false, storage: false, others: false };
}

impl Default for Permissions {
    fn default() -> Self {
        Self::ALL
    }
}

/// Time for which a key is valid from its creation, milliseconds.
pub(crate) const KEY_VALIDITY_MS: i64 = 365 * 24 * 3_600_000;

/// The settings that may change while the server runs.
pub(crate) struct Live {
    pub(crate) api_key: String,
    /// The time at which it is said to expire, which nothing comes of: Unix milliseconds.
    pub(crate) api_key_expiry: i64,
    pub(crate) permissions: Permissions,
    /// RBAC namespaces that the key's role lacks.
    pub(crate) denied: BTreeSet<String>,
    pub(crate) release: Release,
}

/// The state that all connections share.
pub(crate) struct Shared {
    settings: Settings,
    live: RwLock<Live>,
    world: Arc<RwLock<World>>,
    /// The servers whose images are replicated to this one: their worlds go with this one's.
    origins: RwLock<Vec<Arc<Shared>>>,
    faults: Faults,
    log: Log,
    stopped: CancellationToken,
}

impl Shared {
    pub(crate) fn new(settings: Settings, world: World) -> Self {
        let live = Live {
            api_key: settings.api_key.clone(),
            api_key_expiry: settings.clock.now_ms() + KEY_VALIDITY_MS,
            permissions: Permissions::ALL,
            denied: BTreeSet::new(),
            release: settings.release,
        };
        Self {
            settings,
            live: RwLock::new(live),
            world: Arc::new(RwLock::new(world)),
            origins: RwLock::default(),
            faults: Faults::default(),
            log: Log::default(),
            stopped: CancellationToken::new(),
        }
    }

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

    /// Returns the key that is valid, and when it expires.
    pub(crate) fn api_key(&self) -> (String, i64) {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        (live.api_key.clone(), live.api_key_expiry)
    }

    pub(crate) fn permissions(&self) -> Permissions {
        self.live.read().unwrap_or_else(PoisonError::into_inner).permissions
    }

    /// Returns true if the key's role has the namespace of a resource that checks no permission itself.
    pub(crate) fn grants(&self, namespace: &str) -> bool {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        namespace.is_empty() || live.permissions.others && !live.denied.contains(namespace)
    }

    /// Checks the `Authorization` of a request: the key, raw (docs/netbackup-api.md#authentication).
    pub(crate) fn check_key(&self, headers: &HeaderMap) -> Authorization {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        match headers.get("authorization") {
            None => Authorization::Absent,
            Some(value) if value.as_bytes() == live.api_key.as_bytes() => Authorization::Valid,
            Some(_) => Authorization::Invalid,
        }
    }

    /// Returns an absolute address under the server's own name, as links have it; not one that a client used.
    pub(crate) fn absolute(&self, path: &str) -> String {
        format!("https://{}:1556/netbackup{path}", self.settings.name)
    }

    /// Reads the world at the present.
    pub(crate) fn read_world<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        self.catch_up();
        read(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the world at the present.
    pub(crate) fn world(&self) -> &Arc<RwLock<World>> {
        self.catch_up();
        &self.world
    }

    /// Returns the settings that may change.
    pub(crate) fn live(&self) -> RwLockWriteGuard<'_, Live> {
        self.live.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the images of `origin` are replicated to this server.
    pub(crate) fn receive_replicas_of(&self, origin: &Arc<Self>) {
        let name = self.settings.name.as_str().into();
        origin.world.write().unwrap_or_else(PoisonError::into_inner).slp.target = Some(name);
        let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
        world.origins.push(Arc::clone(&origin.world));
        self.origins.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(origin));
    }

    /// Brings the world to the clock's time.
    fn catch_up(&self) {
        for origin in &*self.origins.read().unwrap_or_else(PoisonError::into_inner) {
            origin.catch_up();
        }
        let behind =
            self.world.read().unwrap_or_else(PoisonError::into_inner).is_behind(self.clock());
        if behind {
            self.world.write().unwrap_or_else(PoisonError::into_inner).advance(self.clock());
        }
    }
}
