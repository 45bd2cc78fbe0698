//! Commit: what runs is changed to what was prepared. Nothing here can fail.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use super::Supervisor;
use super::plan::{Plan, Push};
use super::sites::{Site, end};
use crate::config::{Config, SafeConfig};
use crate::http;
use crate::telemetry::otlp::ExporterHandle;
use crate::telemetry::traces::{Tracer, Tracing};

/// How long the last OTLP export may take at a stop or a change.
const LAST_EXPORT: Duration = Duration::from_secs(4);

/// One thing that a reload changed. Secrets appear by their key only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A site that was not polled before.
    SiteAdded(String),
    /// A site that is not polled any more.
    SiteRemoved(String),
    /// A site that is polled with other settings.
    SiteChanged(String),
    /// The endpoint's address or path.
    Endpoint,
    /// The OTLP push.
    Otlp,
    /// Anything else.
    Settings,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SiteAdded(site) => write!(f, "site {site} added"),
            Self::SiteRemoved(site) => write!(f, "site {site} removed"),
            Self::SiteChanged(site) => write!(f, "site {site} changed"),
            Self::Endpoint => f.write_str("endpoint changed"),
            Self::Otlp => f.write_str("opentelemetry changed"),
            Self::Settings => f.write_str("settings changed"),
        }
    }
}

/// Everything that runs.
#[derive(Default)]
pub(super) struct Running {
    pub(super) config: Option<Arc<Config>>,
    pub(super) sites: BTreeMap<Arc<str>, Site>,
    server: Option<(http::Server, SocketAddr)>,
    otlp: Option<ExporterHandle>,
    tracing: Option<Tracing>,
    pub(super) tracer: Tracer,
}

impl Running {
    /// Whether something ended that should run.
    pub(super) fn is_damaged(&self) -> bool {
        self.sites.values().any(|site| site.poller.is_dead())
            || self.otlp.as_ref().is_some_and(ExporterHandle::is_dead)
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(|(_, address)| *address)
    }

    /// Whether the endpoint listens where this configuration wants it.
    pub(super) fn listens_at(&self, wanted: &http::Config) -> bool {
        self.server.is_some()
            && self.config.as_ref().is_some_and(|config| config.http.same_address(wanted))
    }

    /// Whether the push is as this configuration wants it.
    pub(super) fn pushes_like(&self, wanted: &Config) -> bool {
        let dead = self.otlp.as_ref().is_some_and(ExporterHandle::is_dead);
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

    /// Stops everything: pollers first, so that the last export is the last word.
    pub(super) async fn stop(&mut self) {
        end(std::mem::take(&mut self.sites).into_values().collect()).await;
        let otlp = self.otlp.take();
        let push = async {
            if let Some(otlp) = otlp {
                // How it went is logged and counted by the exporter.
                let _ = otlp.shutdown(LAST_EXPORT).await;
            }
        };
        let tracing = self.tracing.take();
        let trace = async {
            if let Some(tracing) = tracing {
                tracing.shutdown(LAST_EXPORT).await;
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

impl Supervisor {
    pub(super) async fn commit(&mut self, plan: Plan) -> Vec<Change> {
        let mut changes = Vec::new();
        let config = Arc::new(plan.config);
        if let (Some(log), Some(opened)) = (&self.log, plan.log) {
            log.apply(&config.log, opened);
        }
        // In the log that the configuration wants.
        for warning in &plan.warnings {
            tracing::warn!("{warning}");
        }
        if let Some(push) = plan.push {
            if self.running.otlp.is_some() || config.otlp.is_some() {
                changes.push(Change::Otlp);
            }
            self.replace_push(&config, push);
        }
        self.replace_sites(&config, plan.clients, plan.connections, &mut changes).await;
        self.renderer.set_limit(config.metrics.cardinality_limit);
        self.agent.set_extent(self.running.sites.len(), config.metrics.cardinality_limit);
        self.state.metrics_path.store(Arc::new(config.http.metrics_path.clone()));
        let before = self.running.config.replace(Arc::clone(&config));
        if changes.is_empty() && before.as_deref().is_none_or(|before| !same_rest(before, &config))
        {
            changes.push(Change::Settings);
        }
        match &self.safe {
            Some(safe) => drop(safe.swap(Arc::clone(&config))),
            None => self.safe = Some(SafeConfig::new(Arc::clone(&config))),
        }
        let hash = plan.sha256;
        self.agent.update_config(|state| {
            state.sha256 = hash;
            state.last_ok = true;
            state.last_error = None;
            state.last_success = Some(SystemTime::now());
        });
        self.state.ready.store(true, Relaxed);
        self.renderer.render_off_thread().await;
        if let Some((bound, address)) = plan.listener {
            tracing::info!(%address, path = config.http.metrics_path, "listening");
            let server = bound.serve(Arc::clone(&self.state));
            if let Some((old, _)) = self.running.server.replace((server, address)) {
                tokio::spawn(old.stop());
            }
            changes.push(Change::Endpoint);
        }
        changes
    }

    fn replace_push(&mut self, config: &Config, push: Push) {
        if let Some(old) = self.running.otlp.take() {
            // Its last export runs on its own; the new push does not wait for it.
            tokio::spawn(old.shutdown(LAST_EXPORT));
        }
        let (otlp, tracing) = push.start(self, config);
        self.running.otlp = otlp;
        self.running.tracer.set(tracing.as_ref());
        if let Some(old) = std::mem::replace(&mut self.running.tracing, tracing) {
            tokio::spawn(old.shutdown(LAST_EXPORT));
        }
    }
}

/// Whether what is neither site, endpoint nor push is the same.
fn same_rest(before: &Config, now: &Config) -> bool {
    before.log == now.log
        && before.http == now.http
        && before.metrics == now.metrics
        && before.polling == now.polling
        && before.collectors == now.collectors
}
