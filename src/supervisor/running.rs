//! The parts that run, and their comparison with a configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::{Config, SafeConfig};
use crate::http::{self, Listening};
use crate::netbackup;
use crate::poller::Poller;
use crate::slp::Exchange;
use crate::snapshot::Snapshot;
use crate::state::{StateDir, WeakStateDir};
use crate::telemetry::otlp::ExporterHandle;
use crate::telemetry::traces::{Tracer, Tracing};

/// Time for the last OTLP export at a stop or a change.
pub(super) const FINAL_EXPORT_TIMEOUT: Duration = Duration::from_secs(4);

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

/// Parts that run, and the configuration in force.
#[derive(Default)]
pub(super) struct Running {
    config: Arc<SafeConfig>,
    pub(super) sites: BTreeMap<Arc<str>, Site>,
    pub(super) server: Option<(http::Server, SocketAddr)>,
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

    /// Returns the endpoint's listeners, if it has some, and those that are still closing.
    pub(super) fn listening(&self) -> Option<Listening> {
        let (server, _) = self.server.as_ref()?;
        let mut all = self.closing.clone();
        all.add(server.listening());
        Some(all)
    }

    /// Replaces the endpoint; the old one stops.
    pub(super) fn replace_server(&mut self, server: http::Server, address: SocketAddr) {
        if let Some((old, _)) = self.server.replace((server, address)) {
            // Its port may be wanted again before it is closed.
            self.closing.add(old.listening());
            tokio::spawn(old.stop());
        }
    }

    /// Returns the address of the endpoint, once it is bound.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(|(_, address)| *address)
    }

    /// Returns whether the endpoint listens at the address of this configuration.
    pub(super) fn listens_at(&self, wanted: &http::Config) -> bool {
        self.server.as_ref().is_some_and(|(server, _)| !server.is_dead())
            && self.config().is_some_and(|config| config.http.same_address(wanted))
    }

    /// Returns whether the OTLP push is as this configuration wants it.
    pub(super) fn pushes_like(&self, wanted: &Config) -> bool {
        let dead = self.otlp.as_ref().is_some_and(ExporterHandle::is_dead)
            || self.tracing.as_ref().is_some_and(Tracing::is_dead);
        !dead
            && self.config().is_some_and(|config| {
                config.metrics == wanted.metrics
                // They make the identity of this agent.
                && config.http.same_address(&wanted.http)
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

    /// Keeps state in this directory from now on.
    pub(super) fn keep_state(&mut self, state: Option<StateDir>) {
        if self.state == state {
            return;
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
    pub(super) fn site_change(&self, server: &netbackup::Config) -> SiteChange {
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
        if let Some((server, _)) = self.server.take() {
            server.stop().await;
        }
    }
}

/// Ends pollers, all at once.
pub(super) async fn end(sites: Vec<Site>) {
    futures_util::future::join_all(sites.into_iter().map(|site| site.poller.ended())).await;
}
