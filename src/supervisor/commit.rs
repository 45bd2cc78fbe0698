//! Commit: what runs is changed to what was prepared. Nothing here can fail.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use super::plan::{Plan, Push};
use super::sites::{Site, end};
use super::{Supervisor, Trigger, Verdict};
use crate::config::{Config, SafeConfig};
use crate::http::{self, Listening};
use crate::telemetry::otlp::ExporterHandle;
use crate::telemetry::traces::{Tracer, Tracing};

/// How long the last OTLP export may take at a stop or a change.
const LAST_EXPORT: Duration = Duration::from_secs(4);

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
            || self.server.as_ref().is_some_and(|(server, _)| server.is_dead())
    }

    /// The endpoint's listeners, where it has some.
    pub(super) fn listening(&self) -> Option<Listening> {
        self.server.as_ref().map(|(server, _)| server.listening())
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
    pub(super) async fn commit(&mut self, plan: Plan, trigger: Trigger, verdict: Verdict) {
        let config = Arc::new(plan.config);
        if let (Some(log), Some(opened)) = (&self.log, plan.log) {
            log.apply(&config.log, opened);
        }
        // In the log that the configuration wants.
        for warning in &plan.warnings {
            tracing::warn!("{warning}");
        }
        if let Some(push) = plan.push {
            self.replace_push(&config, push);
        }
        self.replace_sites(&config, plan.clients, plan.connections).await;
        self.renderer.set_limit(config.metrics.cardinality_limit);
        self.agent.set_extent(self.running.sites.len(), config.metrics.cardinality_limit);
        self.state.metrics_path.store(Arc::new(config.http.metrics_path.clone()));
        self.state.lifecycle.store(config.http.lifecycle, Relaxed);
        self.running.config = Some(Arc::clone(&config));
        match &self.safe {
            Some(safe) => drop(safe.swap(Arc::clone(&config))),
            None => self.safe = Some(SafeConfig::new(Arc::clone(&config))),
        }
        let hash = plan.sha256;
        // All of it at once, and before the endpoint serves for the first time.
        self.agent.update_config(|state| {
            state.count(trigger.as_str(), verdict.as_str());
            state.sha256 = hash;
            state.last_ok = true;
            state.last_error = None;
            state.last_success = Some(SystemTime::now());
        });
        self.state.ready.store(true, Relaxed);
        self.renderer.render_off_thread().await;
        if let Some(bound) = plan.listener {
            let address = bound.address();
            tracing::info!(%address, path = config.http.metrics_path, "listening");
            let server = bound.serve(Arc::clone(&self.state));
            if let Some((old, _)) = self.running.server.replace((server, address)) {
                tokio::spawn(old.stop());
            }
        }
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
