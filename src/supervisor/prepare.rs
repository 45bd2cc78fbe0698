//! Prepare: the part of a reload that can fail. Nothing that runs is touched.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::PrepareError;
use super::pipeline::OtlpPipeline;
use super::running::{Endpoint, Running, SiteChange};
use crate::config::{Config, Diagnostic, Loaded};
use crate::election::Office;
use crate::http::{self, Bound, Listening};
use crate::log::{Destination, Log, OpenError, Opened};
use crate::netbackup::{Client, Connection};
use crate::poller::RequestSpans;
use crate::state::StateDir;

/// A configuration with everything that it needs and that does not run yet.
pub(super) struct PreparedReload {
    pub(super) config: Config,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) sha256: String,
    /// The office of this agent, for which the other parts are.
    pub(super) office: Office,
    /// The log, if it had to be opened.
    pub(super) log: Option<Result<Opened, OpenError>>,
    /// The state directory: the one in use, or a new one.
    pub(super) state: Option<StateDir>,
    pub(super) listener: Option<Bound>,
    /// The listener for health checks, if it is new.
    pub(super) health: Option<Bound>,
    /// Clients of the sites that are new, or whose server is another one.
    pub(super) clients: Vec<Client>,
    /// New connections of sites whose server stays, by site.
    pub(super) connections: BTreeMap<String, Connection>,
    /// The OTLP push, if it is new or changed.
    pub(super) push: Option<OtlpPipeline>,
}

impl PreparedReload {
    /// Returns what a standby runs by the configuration in force: nothing has to be had for it.
    pub(super) fn of_standby(config: Config, sha256: String) -> Self {
        Self {
            config,
            warnings: Vec::new(),
            sha256,
            office: Office::none(),
            log: None,
            state: None,
            listener: None,
            health: None,
            clients: Vec::new(),
            connections: BTreeMap::new(),
            push: Some(OtlpPipeline::none()),
        }
    }
}

/// A valid configuration and the list of parts that differ from what is running.
pub(super) struct ReloadPlan {
    loaded: Loaded,
    office: Office,
    /// Destination of the log, if it has to be opened.
    log: Option<Destination>,
    /// Dead tasks are restarted: one part that cannot be had must not keep the others from it.
    recovers: bool,
    /// The state directory in use, if the configuration wants the same.
    same_state: Option<StateDir>,
    /// Listen, push and open the state directory; false for one-shot commands, which must not lock it.
    serves: bool,
    /// The directories that this process has locked, the one in use first.
    directories: Vec<StateDir>,
    /// The instance id of the current push.
    identity: Option<String>,
    listener_change: ListenerChange,
    health_change: ListenerChange,
    /// In the order of the configuration.
    site_changes: Vec<SiteChange>,
    push: bool,
}

/// Change of a listener.
enum ListenerChange {
    /// The listener is right as it is, or not wanted.
    Keep,
    Bind,
    /// Bind another address while these listeners still serve.
    BindAlongside(Listening),
}

impl ReloadPlan {
    /// Compares a configuration with what runs.
    pub(super) fn new(
        loaded: Loaded,
        running: &Running,
        log: Option<&Log>,
        serves: bool,
        recovers: bool,
    ) -> Self {
        let (config, before) = (&loaded.config, running.config());
        // A command that polls and prints takes no turns.
        let office = if serves { running.office_by(config) } else { Office::default() };
        let standing = office.standing;
        let change = |now: Option<&Endpoint>, wanted: Option<&http::Address>| {
            let stays = |wanted| now.is_some_and(|endpoint| endpoint.is_at(wanted));
            match (wanted, running.listening()) {
                (Some(wanted), Some(old)) if serves && !stays(wanted) => {
                    ListenerChange::BindAlongside(old)
                }
                (Some(_), None) if serves => ListenerChange::Bind,
                _ => ListenerChange::Keep,
            }
        };
        let listener_change = change(running.endpoint.as_ref(), config.http.listens());
        let health_change = change(running.health.as_ref(), config.http.health.as_ref());
        let wanted = &config.log.destination;
        let opens_log = |log: &&Log| {
            log.is_replaced()
                || before.as_ref().is_none_or(|before| before.log.destination != *wanted)
        };
        let same_state = running.standing == standing
            && before.as_ref().is_some_and(|before| before.state == config.state);
        Self {
            office,
            log: log.filter(opens_log).map(|_| wanted.clone()),
            recovers,
            same_state: running.state.clone().filter(|_| same_state),
            serves,
            directories: running.directories(),
            identity: identity(running.state.as_ref()),
            listener_change,
            health_change,
            site_changes: config.servers.iter().map(|s| running.site_change(s, standing)).collect(),
            push: serves && !running.pushes_like(config, standing),
            loaded,
        }
    }

    /// Builds the parts. Blocks: it resolves names and reads the system's trust store.
    ///
    /// # Errors
    ///
    /// If a port, a file, or TLS material cannot be had.
    pub(super) fn build(self) -> Result<PreparedReload, PrepareError> {
        let config = &self.loaded.config;
        let log = self.log.as_ref().map(crate::log::open);
        // Before the port: of two agents with one configuration, this names the other.
        let state = self.state_directory()?;
        let listener = self.bind(&self.listener_change, config.http.listens())?;
        let health = self.bind(&self.health_change, config.http.health.as_ref())?;
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
        let is_another = self.serves && identity(state.as_ref()) != self.identity;
        let mut push =
            if self.push || is_another { self.tolerated(OtlpPipeline::new(config))? } else { None };
        if !self.office.standing.leads() {
            // They were made to find what is missing before they are needed.
            clients.clear();
            connections.clear();
            push = push.map(|_| OtlpPipeline::none());
        }
        let Loaded { config, warnings, sha256, .. } = self.loaded;
        Ok(PreparedReload {
            config,
            warnings,
            sha256,
            office: self.office,
            log,
            state,
            listener,
            health,
            clients,
            connections,
            push,
        })
    }

    fn bind(
        &self,
        change: &ListenerChange,
        wanted: Option<&http::Address>,
    ) -> Result<Option<Bound>, PrepareError> {
        match (change, wanted) {
            (ListenerChange::Bind, Some(wanted)) => self.tolerated(Bound::bind(wanted)),
            (ListenerChange::BindAlongside(old), Some(wanted)) => {
                self.tolerated(Bound::bind_alongside(wanted, old))
            }
            _ => Ok(None),
        }
    }

    /// Opens the state directory. The one in use is kept if it cannot be opened again.
    fn state_directory(&self) -> Result<Option<StateDir>, PrepareError> {
        let wanted = &self.loaded.config.state;
        let keeps = self.serves && self.office.standing.leads();
        let Some(path) = wanted.directory.as_deref().filter(|_| keeps) else {
            return Ok(None);
        };
        let owner = wanted.owner(self.office.standing.term());
        let acquired = StateDir::acquire(path, owner, &self.directories);
        match (acquired, &self.same_state) {
            (Err(error), Some(same)) => {
                tracing::warn!("{error}; keeping the one that is open");
                Ok(Some(same.clone()))
            }
            (acquired, _) => Ok(Some(acquired?)),
        }
    }

    /// Returns nothing for a part that cannot be had if dead tasks are restarted.
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

fn identity(state: Option<&StateDir>) -> Option<String> {
    state.and_then(StateDir::instance_id).map(str::to_owned)
}
