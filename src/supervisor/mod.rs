//! The supervisor: it owns the lives of everything else. Boot is its first reload, from nothing.
//!
//! A reload is two steps. Prepare may fail and touches nothing: it reads, validates, compares with
//! what runs, and builds what changed. Commit cannot fail: it stops what went or changed, swaps the
//! configuration, and starts what is new.

mod address;
mod blocking;
mod commit;
mod credentials;
mod outcome;
mod plan;
mod requests;
mod resources;
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

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, Diff, Environment, Files, Kept, Loaded, SafeConfig};
use crate::http;
use crate::log::Log;
use crate::snapshot::Store;
use crate::telemetry::agent::AgentState;
use crate::telemetry::otlp::stats::OtlpStats;
use crate::telemetry::renderer::Renderer;

pub use address::address_in_force;
pub use outcome::ReloadError;
pub use requests::{Trigger, Verdict};
pub use signals::{Signal, Signals};

use address::AddressServer;
use blocking::{Blocking, RELOAD_TIMEOUT};
use requests::{Inbox, Senders};
use retry::Retry;
use running::Running;
use tasks::{Restarts, Task};
use watch::Watcher;

/// How often files are compared where no configuration says so.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// How long the log may take to be opened.
const LOG_TIMEOUT: Duration = Duration::from_secs(5);

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
    inbox: Inbox,
    senders: Senders,
    /// What the last attempt to load the configuration read.
    last_read: Files,
    /// The last configuration that was valid.
    last_valid: Option<Arc<Kept>>,
    /// The next attempt to put a valid configuration in force.
    retry: Retry,
    restarts: Restarts,
    address: Option<AddressServer>,
    watcher: Option<Watcher>,
    /// The process was told to end: no reload is begun or waited for.
    ending: CancellationToken,
    stop: CancellationToken,
    rendering: JoinHandle<()>,
    blocking: Blocking,
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
        agent.update_config(|state| {
            // Complete from the start, so that the first of its kind shows in a rate.
            for trigger in Trigger::ALL {
                let verdicts =
                    Verdict::ALL.map(|verdict| ((trigger.as_str(), verdict.as_str()), 0));
                state.reloads.extend(verdicts);
            }
        });
        agent.supervise(Task::ALL.map(Task::as_str), crate::log::dropped_lines);
        let renderer = Renderer::new(Arc::clone(&store), Arc::clone(&agent));
        let stop = CancellationToken::new();
        let rendering = tasks::render(&renderer, &store, &stop);
        let (senders, inbox) = Inbox::new();
        let state = Arc::new(http::State {
            renderer: Arc::clone(&renderer),
            store: Arc::clone(&store),
            agent: Arc::clone(&agent),
            metrics_path: arc_swap::ArcSwap::from_pointee(String::new()),
            ready: std::sync::atomic::AtomicBool::new(false),
            reload: senders.http.clone(),
            lifecycle: std::sync::atomic::AtomicBool::new(false),
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
            inbox,
            senders,
            last_read: Files::new(),
            last_valid: None,
            retry: Retry::default(),
            restarts: Restarts::default(),
            address: None,
            watcher: None,
            ending: CancellationToken::new(),
            stop,
            rendering,
            blocking: Blocking::new(RELOAD_TIMEOUT),
            serves: true,
        }
    }

    /// The same, but it neither listens nor pushes: for commands that poll and print.
    #[must_use]
    pub fn polling_only(mut self) -> Self {
        self.serves = false;
        self
    }

    /// The same, and a reload that hangs (in a resolver, in a file system) is given up once these
    /// signals ask for the end.
    #[must_use]
    pub fn with_shutdown(mut self, signals: &Signals) -> Self {
        self.ending = signals.ending();
        self
    }

    /// Reads the configuration and puts it in force; the first time, that is the start. Returns what
    /// it changed. What was cached from a server that changed is not served any more when it returns.
    ///
    /// # Errors
    ///
    /// Where the configuration is wrong or cannot be put in force. What ran before runs on.
    pub async fn reload(&mut self, trigger: Trigger) -> Result<Diff, ReloadError> {
        let result = self.try_reload(trigger).await;
        if matches!(result, Err(ReloadError::Ending)) {
            return result;
        }
        self.plan_retry(trigger, &result);
        self.watch();
        self.log_verdict(trigger, &result);
        result
    }

    async fn try_reload(&mut self, trigger: Trigger) -> Result<Diff, ReloadError> {
        let deadline = self.blocking.deadline();
        let recovers = trigger == Trigger::Recovery;
        let loaded = match self.config() {
            // What is in force is put right, whatever the files say by now.
            Some(config) if recovers => self.reuse_current(&config),
            _ => self.load(deadline).await?,
        };
        let diff = config::diff(self.config().as_deref(), &loaded.config);
        let valid = self.config().is_some().then(|| loaded.clone());
        let plan = self.plan(loaded, recovers);
        let built = self.blocking.run(deadline, &self.ending, move || plan.build()).await;
        match built.and_then(|built| Ok(built?)) {
            Ok(prepared) => Box::pin(self.commit(prepared, trigger, Verdict::of(&diff))).await,
            Err(error) => {
                if !recovers && valid.is_some() {
                    Box::pin(self.take_credentials(valid, deadline)).await;
                }
                return Err(error);
            }
        }
        Ok(diff)
    }

    /// Reads the configuration, and notes what was read.
    async fn load(&mut self, deadline: Instant) -> Result<Loaded, ReloadError> {
        let (source, environment) = (self.source.clone(), Arc::clone(&self.environment));
        let read = move || source.load(environment.as_ref());
        match self.blocking.run(deadline, &self.ending, read).await? {
            Ok(loaded) => {
                self.last_read = loaded.watched();
                self.last_valid = Some(Arc::clone(&loaded.kept));
                Ok(loaded)
            }
            Err(errors) => {
                self.last_read = errors.watched();
                Box::pin(self.take_credentials(None, deadline)).await;
                Err(errors.into())
            }
        }
    }

    /// The configuration in force, as if it was read again.
    fn reuse_current(&self, config: &Config) -> Loaded {
        Loaded {
            config: config.clone(),
            warnings: Vec::new(),
            sha256: self.agent.config().sha256,
            files: self.last_read.clone(),
            places: config::Files::new(),
            kept: self.last_valid.clone().unwrap_or_default(),
        }
    }

    /// Starts to watch the files of the configuration, where it comes from files.
    fn start_watcher(&mut self) {
        if let Source::File(_) = self.source {
            self.watcher = Some(Watcher::spawn(self.senders.watch.clone()));
            self.watch();
        }
    }

    /// Opens the log anew, at the place that is in force. Bounded: a file system may hang.
    async fn reopen_log(&self) {
        let (Some(log), Some(config)) = (&self.log, self.config()) else { return };
        let destination = config.log.destination.clone();
        let open = move || crate::log::open(&destination);
        let deadline = Instant::now() + LOG_TIMEOUT;
        if let Ok(opened) = self.blocking.run(deadline, &self.ending, open).await {
            log.redirect(opened);
        }
    }

    /// Tells the watcher which files were read last.
    fn watch(&self) {
        if let Some(watcher) = &self.watcher {
            let every = self.config().map_or(CHECK_INTERVAL, |config| config.check_interval);
            watcher.set(self.last_read.clone(), every);
        }
    }

    /// The configuration in force, once there is one.
    pub fn config(&self) -> Option<Arc<Config>> {
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

    /// Stops everything: pollers first, then a last OTLP export, then the endpoint.
    pub async fn shutdown(mut self) {
        self.state.ready.store(false, Relaxed);
        self.running.stop().await;
        self.stop.cancel();
        let _ = self.rendering.await;
    }
}
