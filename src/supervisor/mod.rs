//! The supervisor: it owns the lives of everything else. Boot is its first reload, from nothing.
//!
//! A reload is two steps. Prepare may fail and touches nothing: it reads, validates, compares with
//! what runs, and builds what changed. Commit cannot fail: it stops what went or changed, swaps the
//! configuration, and starts what is new.

mod commit;
mod plan;
mod resources;
mod signals;
pub mod systemd;
pub mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Environment, Loaded, SafeConfig};
use crate::http;
use crate::log::Log;
use crate::snapshot::Store;
use crate::telemetry::agent::AgentState;
use crate::telemetry::otlp::stats::OtlpStats;
use crate::telemetry::renderer::Renderer;

pub use commit::Change;
pub use signals::{Signal, Signals};

use commit::Running;

/// How long the end may take: SIGTERM promises 10 s.
const FAREWELL: Duration = Duration::from_secs(8);

/// How often the supervisor looks whether everything still runs.
const INSPECTION: Duration = Duration::from_secs(10);

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, read anew at each reload.
    File(PathBuf),
    /// A text that does not change, for the demo and the tests.
    Text(String),
}

impl Source {
    fn load(&self, environment: &dyn Environment) -> Result<Loaded, config::Errors> {
        match self {
            Self::File(path) => config::load(path, environment),
            Self::Text(text) => {
                config::from_text(text, std::path::Path::new("built-in"), environment)
            }
        }
    }
}

/// Why a configuration could not be put in force. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It is wrong.
    #[error("{0}")]
    Config(#[from] config::Errors),
    /// It is right, but cannot be had here and now.
    #[error(transparent)]
    Prepare(#[from] plan::PrepareError),
}

/// Starts, changes and stops everything.
pub struct Supervisor {
    source: Source,
    environment: Arc<dyn Environment + Send + Sync>,
    log: Option<Log>,
    store: Arc<Store>,
    agent: Arc<AgentState>,
    renderer: Arc<Renderer>,
    state: Arc<http::State>,
    safe: Option<SafeConfig>,
    running: Running,
    stop: CancellationToken,
    rendering: JoinHandle<()>,
    /// Whether it listens and pushes, or polls only.
    serves: bool,
}

impl Supervisor {
    /// A supervisor that runs nothing yet. Needs a runtime. Without a log, the configuration's
    /// settings of the log are left alone.
    pub fn new(
        source: Source,
        environment: Arc<dyn Environment + Send + Sync>,
        log: Option<Log>,
    ) -> Self {
        let store = Store::new();
        let agent = AgentState::new(Arc::new(OtlpStats::default()));
        let renderer = Renderer::new(Arc::clone(&store), Arc::clone(&agent));
        let stop = CancellationToken::new();
        let rendering = tokio::spawn(Arc::clone(&renderer).run(store.subscribe(), stop.clone()));
        let state = Arc::new(http::State {
            renderer: Arc::clone(&renderer),
            store: Arc::clone(&store),
            agent: Arc::clone(&agent),
            metrics_path: arc_swap::ArcSwap::from_pointee(String::new()),
            ready: std::sync::atomic::AtomicBool::new(false),
        });
        Self {
            source,
            environment,
            log,
            store,
            agent,
            renderer,
            state,
            safe: None,
            running: Running::default(),
            stop,
            rendering,
            serves: true,
        }
    }

    /// The same, but it neither listens nor pushes: for commands that poll and print.
    #[must_use]
    pub fn polling_only(mut self) -> Self {
        self.serves = false;
        self
    }

    /// Reads the configuration and puts it in force; the first time, that is the start. `trigger`
    /// says who asked, for the metrics.
    ///
    /// # Errors
    ///
    /// Where the configuration is wrong or cannot be put in force. What ran before runs on.
    pub async fn reload(&mut self, trigger: &'static str) -> Result<Vec<Change>, ReloadError> {
        let verdict = self.try_reload().await;
        let result = match &verdict {
            Ok(changes) if changes.is_empty() => "unchanged",
            Ok(_) => "applied",
            Err(_) => "rejected",
        };
        self.agent.update_config(|state| {
            *state.reloads.entry((trigger, result)).or_default() += 1;
            // A success is told by the commit, before the endpoint serves.
            if let Err(error) = &verdict {
                state.last_ok = false;
                state.last_error = Some(error.to_string());
            }
        });
        match &verdict {
            Ok(changes) => {
                let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
                tracing::info!(trigger, result, changes = changes.join(", "), "configuration");
            }
            // At the start nothing runs yet, and the command says it.
            Err(_) if trigger == "start" => {}
            Err(error) => {
                tracing::error!(
                    trigger,
                    result,
                    "configuration not taken, nothing changed: {error}"
                );
            }
        }
        verdict
    }

    async fn try_reload(&mut self) -> Result<Vec<Change>, ReloadError> {
        let loaded = self.source.load(self.environment.as_ref())?;
        let plan = self.prepare(loaded)?;
        Ok(self.commit(plan).await)
    }

    /// The configuration in force, once there is one.
    pub fn config(&self) -> Option<Arc<config::Config>> {
        self.safe.as_ref().map(SafeConfig::get)
    }

    /// What the sites look like.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Makes the exposition.
    pub fn renderer(&self) -> &Arc<Renderer> {
        &self.renderer
    }

    /// The address of the endpoint, once it is bound.
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.running.address()
    }

    /// Serves reloads until a signal says to end. A second one ends at once.
    pub async fn run(mut self, mut signals: Signals) {
        let mut inspection = tokio::time::interval(INSPECTION);
        loop {
            let signal = tokio::select! {
                signal = signals.next() => signal,
                _ = inspection.tick() => {
                    if self.running.is_damaged() {
                        tracing::error!("a task ended that should run: it is started anew");
                        let _ = self.reload("recovery").await;
                    }
                    continue;
                }
            };
            match signal {
                Signal::Reload => {
                    // The verdict is logged and counted; what ran before runs on.
                    let _ = self.reload("sighup").await;
                }
                Signal::End(name) => {
                    tracing::info!(signal = name, "ending; a second signal ends at once");
                    break;
                }
                Signal::EndNow => break,
            }
        }
        let farewell = async {
            tokio::select! {
                () = self.shutdown() => tracing::info!("ended"),
                () = signals.end_now() => tracing::warn!("ended at once, as a second signal asked"),
            }
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!("ended without waiting for what still hangs");
        }
    }

    /// Stops everything: pollers first, then a last OTLP export, then the endpoint.
    pub async fn shutdown(mut self) {
        self.state.ready.store(false, Relaxed);
        self.running.stop().await;
        self.stop.cancel();
        let _ = self.rendering.await;
    }
}
