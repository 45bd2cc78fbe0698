//! Commit: what runs is changed to what was prepared. Nothing here can fail.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use super::address::AddressServer;
use super::plan::{OtlpPipeline, PreparedReload};
use super::running::FINAL_EXPORT_TIMEOUT;
use super::{Source, Supervisor, Trigger, Verdict};
use crate::config::{Config, SafeConfig};
use crate::state::StateDir;

impl Supervisor {
    pub(super) async fn commit(
        &mut self,
        prepared: PreparedReload,
        trigger: Trigger,
        verdict: Verdict,
    ) {
        let config = Arc::new(prepared.config);
        match (&self.log, prepared.log) {
            (Some(log), Some(opened)) => log.apply(&config.log, opened),
            (Some(log), None) => log.apply_format(&config.log),
            (None, _) => {}
        }
        // In the log that the configuration wants.
        for warning in &prepared.warnings {
            tracing::warn!("{warning}");
        }
        if let Some(push) = prepared.push {
            self.replace_push(&config, push, prepared.state.as_ref());
        }
        self.replace_sites(&config, prepared.state, prepared.clients, prepared.connections).await;
        self.renderer.set_limit(config.metrics.cardinality_limit);
        self.agent.set_extent(self.running.sites.len(), config.metrics.cardinality_limit);
        self.state.metrics_path.store(Arc::new(config.http.metrics_path.clone()));
        self.state.lifecycle.store(config.http.lifecycle, Relaxed);
        self.put(Arc::clone(&config));
        let hash = prepared.sha256;
        // All of it at once, and before the endpoint serves for the first time.
        self.agent.update_config(|state| {
            state.count(trigger.as_str(), verdict.as_str());
            state.recovery_error = None;
            if trigger == Trigger::Recovery {
                // It says nothing about the files.
                return;
            }
            state.sha256 = hash;
            state.last_ok = true;
            state.last_error = None;
            state.pending = false;
            state.last_success = Some(SystemTime::now());
        });
        self.state.ready.store(true, Relaxed);
        self.renderer.render_off_thread().await;
        if let Some(bound) = prepared.listener {
            let address = bound.address();
            tracing::info!(%address, path = config.http.metrics_path, "listening");
            let server = bound.serve(Arc::clone(&self.state));
            self.running.replace_server(server, address);
        }
        self.tell_address();
    }

    /// Makes a configuration the one in force.
    pub(super) fn put(&mut self, config: Arc<Config>) {
        self.running.config = Some(Arc::clone(&config));
        match &self.safe {
            Some(safe) => drop(safe.swap(config)),
            None => self.safe = Some(SafeConfig::new(config)),
        }
    }

    /// Tells `healthcheck` where the endpoint is.
    pub(super) fn tell_address(&mut self) {
        let (Source::File(path), true) = (&self.source, self.serves) else { return };
        let dead = self.address.as_ref().is_none_or(AddressServer::is_dead);
        if dead {
            self.address = Some(AddressServer::spawn(path));
        }
        if let Some(server) = &self.address {
            server.set(self.running.address());
        }
    }

    fn replace_push(&mut self, config: &Config, push: OtlpPipeline, state: Option<&StateDir>) {
        if let Some(old) = self.running.otlp.take() {
            // Its last export runs on its own; the new push does not wait for it.
            tokio::spawn(old.shutdown(FINAL_EXPORT_TIMEOUT));
        }
        let (otlp, tracing) = push.start(self, config, state);
        self.running.otlp = otlp;
        self.running.tracer.set(tracing.as_ref());
        if let Some(old) = std::mem::replace(&mut self.running.tracing, tracing) {
            tokio::spawn(old.shutdown(FINAL_EXPORT_TIMEOUT));
        }
    }
}
