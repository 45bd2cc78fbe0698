//! Prepare: everything that can fail, without touching what runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Supervisor;
use super::resources::resource;
use super::sites::Polled;
use crate::config::{Config, Diagnostic, Loaded};
use crate::http::{BindError, Bound};
use crate::log::{OpenError, Opened};
use crate::netbackup::{self, Client, Connection};
use crate::poller::RequestSpans;
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
    /// A client (its TLS material, its proxy).
    #[error(transparent)]
    Client(#[from] netbackup::BuildError),
    /// The OTLP transport.
    #[error(transparent)]
    Otlp(#[from] BuildError),
}

/// A configuration with everything that it needs and that does not run yet.
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) sha256: String,
    pub(super) log: Option<Opened>,
    pub(super) listener: Option<(Bound, SocketAddr)>,
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
    ) -> (Option<ExporterHandle>, Option<Tracing>) {
        let (Some(transport), Some(otlp)) = (self.transport, &config.otlp) else {
            return (None, None);
        };
        let resource = resource(config);
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

impl Supervisor {
    /// Builds what `loaded` needs beyond what runs.
    ///
    /// # Errors
    ///
    /// Where a port, a file, or TLS material cannot be had. Nothing that runs is touched.
    pub(super) fn prepare(&self, loaded: Loaded) -> Result<Plan, PrepareError> {
        let config = loaded.config;
        let running = &self.running;
        let log = match &self.log {
            Some(_) => Some(crate::log::open(&config.log.destination)?),
            None => None,
        };
        let listener = if running.listens_at(&config.http) || !self.serves {
            None
        } else {
            let bound = Bound::bind(&config.http)?;
            let address = bound.address();
            Some((bound, address))
        };
        let mut clients = Vec::new();
        let mut connections = BTreeMap::new();
        for server in &config.servers {
            match running.polled(server) {
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
        let push = if running.pushes_like(&config) || !self.serves {
            None
        } else {
            let transport = config.otlp.as_ref().map(Transport::new).transpose()?;
            Some(Push { transport: transport.map(Arc::new) })
        };
        Ok(Plan {
            warnings: loaded.warnings,
            sha256: loaded.sha256,
            log,
            listener,
            clients,
            connections,
            push,
            config,
        })
    }
}
