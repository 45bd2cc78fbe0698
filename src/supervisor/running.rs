//! What runs, and how it compares with what a configuration wants.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::Config;
use crate::http::{self, Listening};
use crate::netbackup;
use crate::poller::Poller;
use crate::snapshot::Snapshot;
use crate::state::{StateDir, WeakStateDir};
use crate::telemetry::otlp::ExporterHandle;
use crate::telemetry::traces::{Tracer, Tracing};

/// How long the last OTLP export may take at a stop or a change.
pub(super) const FINAL_EXPORT_TIMEOUT: Duration = Duration::from_secs(4);

/// One site that is polled.
pub(super) struct Site {
    pub(super) config: netbackup::Config,
    pub(super) poller: Poller,
    pub(super) latest: watch::Receiver<Arc<Snapshot>>,
}

/// How a server that is wanted is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SiteChange {
    /// With just these settings.
    Unchanged,
    /// The same server, with other settings.
    Reconnect,
    /// Not at all: the site is new, its server is another one, or its poller ended.
    Replace,
}

/// Everything that runs.
#[derive(Default)]
pub(super) struct Running {
    pub(super) config: Option<Arc<Config>>,
    pub(super) sites: BTreeMap<Arc<str>, Site>,
    pub(super) server: Option<(http::Server, SocketAddr)>,
    /// Listeners of earlier endpoints, for as long as they may be open.
    pub(super) closing: Listening,
    pub(super) otlp: Option<ExporterHandle>,
    pub(super) tracing: Option<Tracing>,
    pub(super) tracer: Tracer,
    /// Where state is kept, if anywhere.
    pub(super) state: Option<StateDir>,
    /// Where it was kept, for as long as something may not have let go of it.
    pub(super) states_before: Vec<WeakStateDir>,
}

impl Running {
    /// The endpoint's listeners, where it has some, and those that are still closing.
    pub(super) fn listening(&self) -> Option<Listening> {
        let (server, _) = self.server.as_ref()?;
        let mut all = self.closing.clone();
        all.add(server.listening());
        Some(all)
    }

    /// Puts another endpoint in the place of the one that serves, which ends.
    pub(super) fn replace_server(&mut self, server: http::Server, address: SocketAddr) {
        if let Some((old, _)) = self.server.replace((server, address)) {
            // Its port may be wanted again before it is closed.
            self.closing.add(old.listening());
            tokio::spawn(old.stop());
        }
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(|(_, address)| *address)
    }

    /// Whether the endpoint listens where this configuration wants it.
    pub(super) fn listens_at(&self, wanted: &http::Config) -> bool {
        self.server.as_ref().is_some_and(|(server, _)| !server.is_dead())
            && self.config.as_ref().is_some_and(|config| config.http.same_address(wanted))
    }

    /// Whether the push is as this configuration wants it.
    pub(super) fn pushes_like(&self, wanted: &Config) -> bool {
        let dead = self.otlp.as_ref().is_some_and(ExporterHandle::is_dead)
            || self.tracing.as_ref().is_some_and(Tracing::is_dead);
        !dead
            && self.config.as_ref().is_some_and(|config| {
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

    /// The directories that this process has taken.
    pub(super) fn directories(&self) -> Vec<StateDir> {
        let before = self.states_before.iter().filter_map(WeakStateDir::upgrade);
        self.state.iter().cloned().chain(before).collect()
    }

    /// State is kept there from now on.
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

    /// Whether and how this server is polled.
    pub(super) fn site_change(&self, server: &netbackup::Config) -> SiteChange {
        match self.sites.get(server.site.as_str()) {
            Some(site) if site.poller.is_dead() => SiteChange::Replace,
            Some(site) if site.config.same_as(server) => SiteChange::Unchanged,
            Some(site) if site.config.same_server(server) => SiteChange::Reconnect,
            _ => SiteChange::Replace,
        }
    }

    /// Stops everything: pollers first, so that the last export is the last word.
    pub(super) async fn stop(&mut self) {
        end(std::mem::take(&mut self.sites).into_values().collect()).await;
        let otlp = self.otlp.take();
        let push = async {
            if let Some(otlp) = otlp {
                // How it went is logged and counted by the exporter.
                let _ = otlp.shutdown(FINAL_EXPORT_TIMEOUT).await;
            }
        };
        let tracing = self.tracing.take();
        let trace = async {
            if let Some(tracing) = tracing {
                tracing.shutdown(FINAL_EXPORT_TIMEOUT).await;
            }
        };
        let server = self.server.take();
        let serve = async {
            if let Some((server, _)) = server {
                server.stop().await;
            }
        };
        tokio::join!(push, trace);
        serve.await;
    }
}

/// Ends pollers, all at once.
pub(super) async fn end(sites: Vec<Site>) {
    futures_util::future::join_all(sites.into_iter().map(|site| site.poller.ended())).await;
}
