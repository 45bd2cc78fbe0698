//! The supervisor: it owns the lives of everything else. Boot is its first reload, from nothing.
//!
//! A reload is two steps. Prepare may fail and touches nothing: it reads, validates, compares with
//! what runs, and builds what changed. Commit cannot fail: it stops what went or changed, swaps the
//! configuration, and starts what is new.

mod address;
mod blocking;
mod commit;
mod credentials;
mod election;
mod error;
mod pipeline;
mod prepare;
mod reloader;
mod requests;
mod retry;
mod run;
mod running;
mod signals;
mod sites;
mod systemd;
mod tasks;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Diff, Environment, Fingerprints};
use crate::http;
use crate::log::Log;
use crate::reload::Trigger;
use crate::snapshot::Store;
use crate::telemetry::otlp::stats::OtlpStats;
use crate::telemetry::prometheus::renderer::Renderer;
use crate::telemetry::self_metrics::SelfMetrics;

pub use error::ReloadError;
pub use reloader::Source;

pub(crate) use address::{HealthCheck, health_check_in_force, own_health_check_in_force};
pub(crate) use signals::Signals;

use address::AddressServer;
use blocking::{Blocking, RELOAD_TIMEOUT};
use reloader::Reloader;
use requests::{Inbox, Senders};
use retry::Retry;
use running::Running;
use tasks::{Restarts, Task};
use watch::Watcher;

/// Time between two comparisons of files, before a configuration is in force.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Starts, changes and stops everything.
pub struct Supervisor {
    reloader: Reloader,
    inbox: Inbox,
    senders: Senders,
    restarts: Restarts,
    address: Option<AddressServer>,
    watcher: Option<Watcher>,
    stop: CancellationToken,
    rendering: JoinHandle<()>,
}

impl Supervisor {
    /// Returns a supervisor that runs nothing yet. Needs a runtime. Without a log, the
    /// configuration's settings of the log are ignored.
    pub fn new(
        source: Source,
        environment: Arc<dyn Environment + Send + Sync>,
        log: Option<Log>,
    ) -> Self {
        let (senders, inbox) = Inbox::new();
        let running = Running::default();
        let services = services(&senders, running.safe_config());
        let stop = CancellationToken::new();
        let rendering = tasks::render(&services.renderer, &services.store, &stop);
        let reloader = Reloader {
            source,
            environment,
            log,
            services,
            running,
            retry: Retry::default(),
            blocking: Blocking::new(RELOAD_TIMEOUT, CancellationToken::new()),
            serves: true,
            last_read: Fingerprints::new(),
            last_valid: None,
        };
        Self {
            reloader,
            inbox,
            senders,
            restarts: Restarts::default(),
            address: None,
            watcher: None,
            stop,
            rendering,
        }
    }

    /// Returns the same supervisor, but it neither listens nor pushes: for commands that poll and
    /// print.
    #[must_use]
    pub(crate) fn polling_only(mut self) -> Self {
        self.reloader.serves = false;
        self
    }

    /// Returns the same supervisor, but these signals abandon a reload that hangs (in a resolver, in
    /// a file system).
    #[must_use]
    pub(crate) fn with_shutdown(mut self, signals: &Signals) -> Self {
        self.reloader.blocking = Blocking::new(RELOAD_TIMEOUT, signals.ending());
        self
    }

    /// Reads the configuration and puts it in force; the first time, that is the start. Returns the
    /// changes. Samples of a server that is gone are no longer served when it returns.
    ///
    /// # Errors
    ///
    /// If the configuration is invalid or cannot be put in force. Nothing changes then.
    pub async fn reload(&mut self, trigger: Trigger) -> Result<Diff, ReloadError> {
        let result = self.reloader.reload(trigger).await;
        if result.is_ok() {
            self.publish_address();
        }
        self.update_watcher();
        result
    }

    /// Tells `healthcheck` whom to ask.
    fn publish_address(&mut self) {
        let (Source::File(path), true) = (&self.reloader.source, self.reloader.serves) else {
            return;
        };
        if self.address.as_ref().is_none_or(AddressServer::is_dead) {
            self.address = Some(AddressServer::spawn(path));
        }
        if let Some(server) = &self.address {
            server.set(self.reloader.running.health_check());
        }
    }

    /// Starts to watch the files of the configuration, if it comes from files.
    fn start_watcher(&mut self) {
        if let Source::File(_) = self.reloader.source {
            self.watcher = Some(Watcher::spawn(self.senders.watch.clone()));
            self.update_watcher();
        }
    }

    /// Tells the watcher which files were read last.
    fn update_watcher(&self) {
        if let Some(watcher) = &self.watcher {
            let every = self.config().map_or(CHECK_INTERVAL, |config| config.check_interval);
            watcher.set(self.reloader.last_read.clone(), every);
        }
    }

    /// Returns the configuration in force, once there is one.
    pub fn config(&self) -> Option<Arc<Config>> {
        self.reloader.running.config()
    }

    /// Returns the store of snapshots.
    pub fn store(&self) -> &Arc<Store> {
        &self.reloader.services.store
    }

    /// Returns the renderer of the exposition.
    pub fn renderer(&self) -> &Arc<Renderer> {
        &self.reloader.services.renderer
    }

    /// Returns the address of the endpoint, once it is bound.
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.reloader.running.address()
    }

    /// Stops everything: pollers first, then a last OTLP export, then the endpoint.
    pub async fn shutdown(mut self) {
        self.reloader.services.ready.store(false, Relaxed);
        self.reloader.running.stop().await;
        self.stop.cancel();
        let _ = self.rendering.await;
    }
}

fn services(senders: &Senders, settings: Arc<dyn http::Settings>) -> Arc<http::State> {
    let store = Store::new();
    let agent = SelfMetrics::new(Arc::new(OtlpStats::default()));
    agent.supervise(Task::ALL.map(Task::as_str), crate::log::dropped_lines);
    agent.expect_refusals(http::REFUSALS);
    let renderer = Renderer::new(Arc::clone(&store), Arc::clone(&agent));
    Arc::new(http::State {
        renderer,
        store,
        agent,
        settings,
        ready: AtomicBool::new(false),
        tenure: ArcSwap::default(),
        reload: senders.http.clone(),
        guard: http::Guard::default(),
    })
}
