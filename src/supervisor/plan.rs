//! Prepare: everything that can fail, without touching what runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Supervisor;
use super::resources::resource;
use super::running::SiteChange;
use crate::config::logging::Destination;
use crate::config::{Config, Diagnostic, Loaded};
use crate::http::{BindError, Bound, Listening};
use crate::log::{OpenError, Opened};
use crate::netbackup::{self, Client, Connection};
use crate::poller::RequestSpans;
use crate::state::{self, StateDir};
use crate::telemetry::otlp::{BuildError, Exporter, ExporterHandle, Transport};
use crate::telemetry::source::Source;
use crate::telemetry::traces::Tracing;

/// What a valid configuration could not get.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The endpoint's address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] state::Error),
    /// A client (its TLS material, its proxy).
    #[error(transparent)]
    Client(#[from] netbackup::BuildError),
    /// The OTLP transport.
    #[error(transparent)]
    Otlp(#[from] BuildError),
    /// Something blocks for longer than this.
    #[error(
        "the reload did not finish within {} s and was abandoned: a file system or the name \
         resolution hangs; check the files that the configuration names, and the host name in \
         server.host",
        .0.as_secs()
    )]
    Timeout(Duration),
    /// None of the above.
    #[error("a bug in the agent, please report it: {0}")]
    Bug(String),
}

impl PrepareError {
    /// Returns whether the same configuration may be put in force later, without a change to it.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Bind(_) | Self::State(_) | Self::Timeout(_) => true,
            // The system's certificates can be missing for a while.
            Self::Client(error) => error.setting == "caFile",
            Self::Otlp(error) => matches!(error, BuildError::Tls(_)),
            Self::Bug(_) => false,
        }
    }
}

/// A configuration with everything that it needs and that does not run yet.
pub(super) struct PreparedReload {
    pub(super) config: Config,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) sha256: String,
    /// The log, where it has to be opened.
    pub(super) log: Option<Result<Opened, OpenError>>,
    /// Where state is kept: what is in use already, or newly taken.
    pub(super) state: Option<StateDir>,
    pub(super) listener: Option<Bound>,
    /// Clients of the sites that are new, or whose server is another one.
    pub(super) clients: Vec<Client>,
    /// New connections of sites whose server stays, by site.
    pub(super) connections: BTreeMap<String, Connection>,
    /// The OTLP push, where it is new or changed.
    pub(super) push: Option<OtlpPipeline>,
}

/// An OTLP push that can be started; none is the end of it.
pub(super) struct OtlpPipeline {
    transport: Option<Arc<Transport>>,
}

impl OtlpPipeline {
    /// Starts to push metrics and traces.
    pub(super) fn start(
        self,
        supervisor: &Supervisor,
        config: &Config,
        state: Option<&StateDir>,
    ) -> (Option<ExporterHandle>, Option<Tracing>) {
        let (Some(transport), Some(otlp)) = (self.transport, &config.otlp) else {
            return (None, None);
        };
        let resource = resource(config, state);
        let stats = Arc::clone(supervisor.agent.otlp());
        let tracing = Tracing::new(otlp, &resource, Arc::clone(&transport), Arc::clone(&stats));
        let exporter = otlp.metrics.then(|| {
            let source = Source::new(
                Arc::clone(&supervisor.store),
                Arc::clone(&supervisor.agent),
                config.metrics.cardinality_limit,
            );
            Exporter::spawn(otlp, transport, &resource, Arc::new(source), stats, state)
        });
        (exporter, tracing)
    }
}

/// A valid configuration, and what of it has to be built.
pub(super) struct ReloadPlan {
    loaded: Loaded,
    /// What the log has to be opened at.
    log: Option<Destination>,
    /// What runs is put right: what can be had is, whatever else cannot.
    recovers: bool,
    /// The state directory in use, where the configuration wants the same.
    same_state: Option<StateDir>,
    /// Whether state is kept: where nothing is served, another agent may be running.
    state: bool,
    /// The directories that are taken already, the one in use first.
    directories: Vec<StateDir>,
    /// The identity that the push has.
    identity: Option<String>,
    listener_change: ListenerChange,
    /// How each server is polled now, in the order of the configuration.
    site_changes: Vec<SiteChange>,
    push: bool,
}

/// What to do about the endpoint.
enum ListenerChange {
    /// Nothing: it is right as it is, or not wanted.
    Keep,
    /// To listener_change for the first time.
    Bind,
    /// To listener_change elsewhere, while it still listens here.
    BindAlongside(Listening),
}

impl Supervisor {
    /// What `loaded` needs beyond what runs.
    pub(super) fn plan(&self, loaded: Loaded, recovers: bool) -> ReloadPlan {
        let (config, running) = (&loaded.config, &self.running);
        let listener_change = match running.listening() {
            _ if running.listens_at(&config.http) || !self.serves => ListenerChange::Keep,
            Some(old) => ListenerChange::BindAlongside(old),
            None => ListenerChange::Bind,
        };
        ReloadPlan {
            log: self.log.as_ref().and_then(|log| {
                let before = running.config.as_ref().map(|config| &config.log.destination);
                let wanted = &config.log.destination;
                (before != Some(wanted) || log.is_replaced()).then(|| wanted.clone())
            }),
            recovers,
            same_state: running.state.clone().filter(|_| {
                let before = running.config.as_ref().map(|config| &config.state);
                before == Some(&config.state)
            }),
            state: self.serves,
            directories: running.directories(),
            identity: identity(running.state.as_ref()),
            listener_change,
            site_changes: config.servers.iter().map(|server| running.site_change(server)).collect(),
            push: self.serves && !running.pushes_like(config),
            loaded,
        }
    }
}

impl ReloadPlan {
    /// Builds it. Blocks: it resolves names and reads the system's trust store.
    ///
    /// # Errors
    ///
    /// Where a port, a file, or TLS material cannot be had. Nothing that runs is touched.
    pub(super) fn build(self) -> Result<PreparedReload, PrepareError> {
        let Loaded { config, warnings, sha256, .. } = &self.loaded;
        let log = self.log.as_ref().map(crate::log::open);
        // Before the port: of two agents with one configuration, this names the other.
        let state = self.state_directory()?;
        let listener = match &self.listener_change {
            ListenerChange::Keep => None,
            ListenerChange::Bind => self.tolerated(Bound::bind(&config.http))?,
            ListenerChange::BindAlongside(old) => {
                self.tolerated(Bound::bind_alongside(&config.http, old))?
            }
        };
        let mut clients = Vec::new();
        let mut connections = BTreeMap::new();
        for (server, change) in config.servers.iter().zip(&self.site_changes) {
            match change {
                SiteChange::Unchanged => {}
                SiteChange::Reconnect => {
                    let connection = self.tolerated(Connection::new(server.clone()))?;
                    connections.extend(connection.map(|new| (server.site.clone(), new)));
                }
                SiteChange::Replace => {
                    let client = Client::builder(server.clone()).observer(Arc::new(RequestSpans));
                    clients.extend(self.tolerated(client.build())?);
                }
            }
        }
        let is_another = self.state && identity(state.as_ref()) != self.identity;
        let push = if self.push || is_another { self.tolerated(self.transport())? } else { None };
        let (config, warnings, sha256) = (config.clone(), warnings.clone(), sha256.clone());
        Ok(PreparedReload {
            config,
            warnings,
            sha256,
            log,
            state,
            listener,
            clients,
            connections,
            push,
        })
    }

    /// Where state is kept. One that is in use already is kept where it cannot be had anew.
    fn state_directory(&self) -> Result<Option<StateDir>, PrepareError> {
        let wanted = self.loaded.config.state.directory.as_deref().filter(|_| self.state);
        let Some(path) = wanted else { return Ok(None) };
        match (acquire(path, &self.directories), &self.same_state) {
            (Err(error), Some(same)) => {
                tracing::warn!("{error}; keeping the one that is open");
                Ok(Some(same.clone()))
            }
            (taken, _) => Ok(Some(taken?)),
        }
    }

    fn transport(&self) -> Result<OtlpPipeline, BuildError> {
        let transport = self.loaded.config.otlp.as_ref().map(Transport::new).transpose()?;
        Ok(OtlpPipeline { transport: transport.map(Arc::new) })
    }

    /// Returns nothing for what cannot be had, where that must not keep the rest from being put right.
    fn tolerated<T, E: Into<PrepareError>>(
        &self,
        built: Result<T, E>,
    ) -> Result<Option<T>, PrepareError> {
        match built.map_err(Into::into) {
            Ok(built) => Ok(Some(built)),
            Err(error) if self.recovers => {
                tracing::error!("cannot restart a background task that died; retrying: {error}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The directory at `path`: one of those that are taken, where it is one of them.
fn acquire(path: &Path, taken: &[StateDir]) -> Result<StateDir, state::Error> {
    match taken.iter().find(|directory| directory.is(path)) {
        Some(directory) => Ok(directory.clone()),
        None => StateDir::open(path),
    }
}

fn identity(state: Option<&StateDir>) -> Option<String> {
    state.and_then(StateDir::instance_id).map(str::to_owned)
}
