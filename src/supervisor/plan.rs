//! Prepare: everything that can fail, without touching what runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Supervisor;
use super::resources::resource;
use super::running::Polled;
use crate::config::{Config, Diagnostic, Loaded};
use crate::http::{BindError, Bound, Listening};
use crate::log::{OpenError, Opened};
use crate::netbackup::{self, Client, Connection};
use crate::poller::RequestSpans;
use crate::state::{self, Directory};
use crate::telemetry::otlp::{BuildError, Exporter, ExporterHandle, Transport};
use crate::telemetry::source::Source;
use crate::telemetry::traces::Tracing;

/// What a valid configuration could not get.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The endpoint's address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The log file.
    #[error(transparent)]
    Log(#[from] OpenError),
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
        "the reload did not end within {} s and is given up: a file system or the resolver hangs; \
         check the files that the configuration names, and the name in server.host",
        .0.as_secs()
    )]
    Timeout(Duration),
    /// None of the above.
    #[error("a bug in the agent, please report it: {0}")]
    Bug(String),
}

/// A configuration with everything that it needs and that does not run yet.
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) sha256: String,
    pub(super) log: Option<Opened>,
    /// Where state is kept: what is in use already, or newly taken.
    pub(super) state: Option<Directory>,
    pub(super) listener: Option<Bound>,
    /// Clients of the sites that are new, or whose server is another one.
    pub(super) clients: Vec<Client>,
    /// New connections of sites whose server stays, by site.
    pub(super) connections: BTreeMap<String, Connection>,
    /// The OTLP push, where it is new or changed.
    pub(super) push: Option<Push>,
}

/// An OTLP push that can be started; none is the end of it.
pub(super) struct Push {
    transport: Option<Arc<Transport>>,
}

impl Push {
    /// Starts to push metrics and traces.
    pub(super) fn start(
        self,
        supervisor: &Supervisor,
        config: &Config,
        state: Option<&Directory>,
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
            Exporter::spawn(otlp, transport, &resource, Arc::new(source), stats)
        });
        (exporter, tracing)
    }
}

/// A valid configuration, and what of it has to be built.
pub(super) struct Need {
    loaded: Loaded,
    log: bool,
    /// Whether state is kept: where nothing is served, another agent may be running.
    state: bool,
    /// The directories that are taken already, the one in use first.
    directories: Vec<Directory>,
    /// The identity that the push has.
    identity: Option<String>,
    listen: Listen,
    /// How each server is polled now, in the order of the configuration.
    polled: Vec<Polled>,
    push: bool,
}

/// What to do about the endpoint.
enum Listen {
    /// Nothing: it is right as it is, or not wanted.
    Nothing,
    /// To listen for the first time.
    Plainly,
    /// To listen elsewhere, while it still listens here.
    Beside(Listening),
}

impl Supervisor {
    /// What `loaded` needs beyond what runs.
    pub(super) fn need(&self, loaded: Loaded) -> Need {
        let (config, running) = (&loaded.config, &self.running);
        let listen = match running.listening() {
            _ if running.listens_at(&config.http) || !self.serves => Listen::Nothing,
            Some(old) => Listen::Beside(old),
            None => Listen::Plainly,
        };
        Need {
            log: self.log.is_some(),
            state: self.serves,
            directories: running.directories(),
            identity: identity(running.state.as_ref()),
            listen,
            polled: config.servers.iter().map(|server| running.polled(server)).collect(),
            push: self.serves && !running.pushes_like(config),
            loaded,
        }
    }
}

impl Need {
    /// Builds it. Blocks: it resolves names and reads the system's trust store.
    ///
    /// # Errors
    ///
    /// Where a port, a file, or TLS material cannot be had. Nothing that runs is touched.
    pub(super) fn build(self) -> Result<Plan, PrepareError> {
        let Loaded { config, warnings, sha256, .. } = self.loaded;
        let log = self.log.then(|| crate::log::open(&config.log.destination)).transpose()?;
        // Before the port: of two agents with one configuration, this names the other.
        let wanted = config.state.directory.as_deref().filter(|_| self.state);
        let state = wanted.map(|path| take(path, &self.directories)).transpose()?;
        let listener = match &self.listen {
            Listen::Nothing => None,
            Listen::Plainly => Some(Bound::bind(&config.http)?),
            Listen::Beside(old) => Some(Bound::bind_beside(&config.http, old)?),
        };
        let mut clients = Vec::new();
        let mut connections = BTreeMap::new();
        for (server, polled) in config.servers.iter().zip(self.polled) {
            match polled {
                Polled::So => {}
                Polled::Otherwise => {
                    connections.insert(server.site.clone(), Connection::new(server.clone())?);
                }
                Polled::Not => {
                    let client = Client::builder(server.clone()).observer(Arc::new(RequestSpans));
                    clients.push(client.build()?);
                }
            }
        }
        let is_another = self.state && identity(state.as_ref()) != self.identity;
        let push = if self.push || is_another {
            let transport = config.otlp.as_ref().map(Transport::new).transpose()?;
            Some(Push { transport: transport.map(Arc::new) })
        } else {
            None
        };
        Ok(Plan { config, warnings, sha256, log, state, listener, clients, connections, push })
    }
}

/// The directory at `path`: one of those that are taken, where it is one of them.
fn take(path: &Path, taken: &[Directory]) -> Result<Directory, state::Error> {
    match taken.iter().find(|directory| directory.is(path)) {
        Some(directory) => Ok(directory.clone()),
        None => Directory::open(path),
    }
}

fn identity(state: Option<&Directory>) -> Option<String> {
    state.and_then(Directory::instance_id).map(str::to_owned)
}
