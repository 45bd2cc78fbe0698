//! The parts that run, and their comparison with a configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::address::HealthCheck;
use crate::config::{Config, SafeConfig};
use crate::election::{Election, Office, Standing};
use crate::http::{self, Listening};
use crate::netbackup;
use crate::poller::Poller;
use crate::slp::Exchange;
use crate::snapshot::Snapshot;
use crate::state::{StateDir, WeakStateDir};
use crate::telemetry::otlp::{ExporterHandle, OtlpStats};
use crate::telemetry::traces::{Tracer, Tracing};

/// Time for the last OTLP export at a stop or a change.
pub(super) const FINAL_EXPORT_TIMEOUT: Duration = Duration::from_secs(4);

/// Time in which a Lease is given back.
pub(super) const RESIGN_TIMEOUT: Duration = Duration::from_secs(2);

/// Time between two looks whether a directory is given back.
const RELEASE_INTERVAL: Duration = Duration::from_millis(20);

pub(super) struct Site {
    pub(super) config: netbackup::Config,
    pub(super) poller: Poller,
    pub(super) latest: watch::Receiver<Arc<Snapshot>>,
}

/// Change of a site that a configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SiteChange {
    /// The site is polled with the same settings.
    Unchanged,
    /// The server is the same, with other settings.
    Reconnect,
    /// The site is new, its server is another one, or its poller died.
    Replace,
}

/// A listener that is served.
pub(super) struct Endpoint {
    pub(super) server: http::Server,
    /// As the configuration has it.
    pub(super) wanted: http::Address,
    pub(super) address: SocketAddr,
}

impl Endpoint {
    pub(super) fn is_dead(&self) -> bool {
        self.server.is_dead()
    }

    /// Returns true if it serves this address.
    pub(super) fn is_at(&self, wanted: &http::Address) -> bool {
        !self.is_dead() && self.wanted == *wanted
    }
}

/// Parts that run, and the configuration in force.
#[derive(Default)]
pub(super) struct Running {
    config: Arc<SafeConfig>,
    /// The candidate, where agents take turns.
    pub(super) election: Option<Election>,
    /// The standing by which the parts run.
    pub(super) standing: Standing,
    /// The standing for which the parts could not be had.
    pub(super) refused: Option<Standing>,
    pub(super) sites: BTreeMap<Arc<str>, Site>,
    pub(super) endpoint: Option<Endpoint>,
    /// The listener for health checks alone, if there is one.
    pub(super) health: Option<Endpoint>,
    /// Listeners of earlier endpoints, for as long as they may be open.
    pub(super) closing: Listening,
    pub(super) otlp: Option<ExporterHandle>,
    pub(super) tracing: Option<Tracing>,
    pub(super) tracer: Tracer,
    /// Meeting place of the sites.
    pub(super) exchange: Exchange,
    /// The state directory, if there is one.
    pub(super) state: Option<StateDir>,
    /// Previously used state directories whose locks may still be held.
    pub(super) states_before: Vec<WeakStateDir>,
}

impl Running {
    /// Returns the configuration in force, once there is one.
    pub(super) fn config(&self) -> Option<Arc<Config>> {
        self.config.get()
    }

    pub(super) fn set_config(&mut self, config: Arc<Config>) {
        self.config.swap(config);
    }

    /// Returns the holder of the configuration in force.
    pub(super) fn safe_config(&self) -> Arc<SafeConfig> {
        Arc::clone(&self.config)
    }

    /// Returns the listeners that are open, and those that are still closing; none before the first.
    pub(super) fn listening(&self) -> Option<Listening> {
        let mut open = self.endpoint.iter().chain(&self.health).peekable();
        open.peek()?;
        let mut all = self.closing.clone();
        open.for_each(|endpoint| all.add(endpoint.server.listening()));
        Some(all)
    }

    /// Replaces the endpoint, or ends it; the old one stops.
    pub(super) fn replace_endpoint(&mut self, new: Option<Endpoint>) {
        let old = std::mem::replace(&mut self.endpoint, new);
        self.close(old);
    }

    /// Replaces the listener for health checks, or ends it; the old one stops.
    pub(super) fn replace_health(&mut self, new: Option<Endpoint>) {
        let old = std::mem::replace(&mut self.health, new);
        self.close(old);
    }

    fn close(&mut self, old: Option<Endpoint>) {
        if let Some(Endpoint { server, .. }) = old {
            // Its port may be wanted again before it is closed.
            self.closing.add(server.listening());
            tokio::spawn(server.stop());
        }
    }

    /// Returns the address of the endpoint, once it is bound.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.endpoint.as_ref().map(|endpoint| endpoint.address)
    }

    /// Returns where health is asked for, once something is bound, or a configuration without an endpoint is in
    /// force.
    pub(super) fn health_check(&self) -> Option<HealthCheck> {
        let config = self.config()?;
        let (endpoint, is_tls) = match (&self.health, &self.endpoint) {
            (Some(health), _) => (health, false),
            (None, Some(endpoint)) => (endpoint, config.http.web.tls.is_some()),
            (None, None) => return (!config.http.enabled).then_some(HealthCheck::PushOnly),
        };
        let (host, port) = (endpoint.address.ip().to_string(), endpoint.address.port());
        Some(HealthCheck::At(http::Probe { address: http::Address { host, port }, is_tls }))
    }

    /// Returns the office of this agent by a configuration: a new candidate begins as a standby.
    pub(super) fn office_by(&self, wanted: &Config) -> Office {
        match (&wanted.election, &self.election) {
            (None, _) => Office::default(),
            (Some(wanted), Some(election)) if election.config == *wanted && !election.is_dead() => {
                election.office()
            }
            (Some(_), _) => Office::none(),
        }
    }

    /// Waits until the directories that were used before are given back, by pollers and a push that end.
    pub(super) async fn states_released(&self, limit: Duration) {
        let started = Instant::now();
        let is_held = || self.states_before.iter().any(|earlier| earlier.upgrade().is_some());
        while is_held() && started.elapsed() < limit {
            tokio::time::sleep(RELEASE_INTERVAL).await;
        }
    }

    /// Waits until the standing is neither the one by which the parts run, nor one for which they cannot be had.
    pub(super) async fn election_changed(&self) {
        match &self.election {
            Some(election) => election.changed(&[Some(self.standing), self.refused]).await,
            None => std::future::pending().await,
        }
    }

    /// Returns whether the OTLP push is as this configuration and standing want it.
    pub(super) fn pushes_like(&self, wanted: &Config, standing: Standing) -> bool {
        if !standing.leads() {
            return self.otlp.is_none() && self.tracing.is_none();
        }
        let dead = self.otlp.as_ref().is_some_and(ExporterHandle::is_dead)
            || self.tracing.as_ref().is_some_and(Tracing::is_dead);
        !dead
            && self.standing == standing
            && self.config().is_some_and(|config| {
                config.metrics.cardinality_limit == wanted.metrics.cardinality_limit
                // They make the identity of this agent.
                && config.http.address == wanted.http.address
                && match (&config.otlp, &wanted.otlp) {
                    (None, None) => true,
                    (Some(now), Some(then)) => now.same_as(then),
                    _ => false,
                }
            })
    }

    /// Returns the state directories that this process has locked.
    pub(super) fn directories(&self) -> Vec<StateDir> {
        let before = self.states_before.iter().filter_map(WeakStateDir::upgrade);
        self.state.iter().cloned().chain(before).collect()
    }

    /// Keeps state in this directory from now on. The push of before keeps the old one no longer.
    pub(super) fn keep_state(&mut self, state: Option<StateDir>, push: &Arc<OtlpStats>) {
        if self.state == state {
            return;
        }
        if let Some(before) = &self.state {
            let (push, before) = (Arc::clone(push), before.downgrade());
            tokio::spawn(async move { push.forget_directory(before).await });
        }
        if let Some(directory) = &state {
            tracing::info!(directory = %directory.path().display(), "state directory opened");
        } else {
            tracing::info!("state directory closed; state is no longer saved");
        }
        if let Some(before) = std::mem::replace(&mut self.state, state) {
            self.states_before.push(before.downgrade());
        }
        self.states_before.retain(|earlier| earlier.upgrade().is_some());
    }

    /// Returns the change of a site whose server is to be polled with these settings.
    pub(super) fn site_change(&self, server: &netbackup::Config, standing: Standing) -> SiteChange {
        if standing.term() != self.standing.term() {
            // What a poller of an earlier term remembers is older than what another agent has saved since.
            return SiteChange::Replace;
        }
        match self.sites.get(server.site.as_str()) {
            Some(site) if site.poller.is_dead() => SiteChange::Replace,
            Some(site) if site.config.same_as(server) => SiteChange::Unchanged,
            Some(site) if site.config.same_server(server) => SiteChange::Reconnect,
            _ => SiteChange::Replace,
        }
    }

    /// Stops all parts: pollers first, so that the last export has their last samples.
    pub(super) async fn stop(&mut self) {
        end(std::mem::take(&mut self.sites).into_values().collect()).await;
        let (otlp, tracing) = (self.otlp.take(), self.tracing.take());
        let push = async {
            if let Some(otlp) = otlp {
                // The exporter logs and counts the result.
                let _ = otlp.shutdown(FINAL_EXPORT_TIMEOUT).await;
            }
        };
        let trace = async {
            if let Some(tracing) = tracing {
                tracing.shutdown(FINAL_EXPORT_TIMEOUT).await;
            }
        };
        tokio::join!(push, trace);
        // The one that takes over need not wait for connections that drain: they show no sites any more.
        let resign = async {
            if let Some(election) = self.election.take() {
                election.resign(RESIGN_TIMEOUT).await;
            }
        };
        let open = self.endpoint.take().into_iter().chain(self.health.take());
        let close = futures_util::future::join_all(open.map(|endpoint| endpoint.server.stop()));
        tokio::join!(resign, close);
    }
}

/// Ends pollers, all at once.
pub(super) async fn end(sites: Vec<Site>) {
    futures_util::future::join_all(sites.into_iter().map(|site| site.poller.ended())).await;
}
