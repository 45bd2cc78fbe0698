//! Commit: replaces the parts that run by the prepared ones. Nothing here can fail.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::pipeline::OtlpPipeline;
use super::prepare::PreparedReload;
use super::running::{Endpoint, FINAL_EXPORT_TIMEOUT, RESIGN_TIMEOUT, Running};
use super::sites::{self, Wanted};
use crate::config::Config;
use crate::election::{self, Election};
use crate::http;
use crate::log::Log;
use crate::reload::{Trigger, Verdict};
use crate::state::StateDir;
use crate::tenure::Tenure;

/// Puts a prepared configuration in force. Samples of a server that is gone are no longer served
/// when it returns.
pub(super) async fn commit(
    running: &mut Running,
    services: &Arc<http::State>,
    log: Option<&Log>,
    prepared: PreparedReload,
    result: Option<(Trigger, Verdict)>,
) {
    let config = Arc::new(prepared.config);
    let is_first = running.config().is_none();
    match (log, prepared.log) {
        (Some(log), Some(opened)) => log.apply(&config.log, opened),
        (Some(log), None) => log.apply_format(&config.log),
        (None, _) => {}
    }
    // In the log that the configuration wants.
    for warning in &prepared.warnings {
        tracing::warn!("{warning}");
    }
    let standing = prepared.office.standing;
    let resigned = elect(running, services, config.election.as_ref(), prepared.office.tenure);
    if let Some(push) = prepared.push {
        replace_push(running, services, &config, push, prepared.state.as_ref());
    }
    let (clients, connections) = (prepared.clients, prepared.connections);
    let servers = if standing.leads() { &config.servers[..] } else { &[] };
    let wanted = Wanted { config: &config, servers };
    sites::replace(running, services, wanted, prepared.state, clients, connections).await;
    running.standing = standing;
    if let Some(election) = &running.election {
        election.runs_by(standing);
    }
    if let Some(old) = resigned {
        tokio::spawn(old.resign(RESIGN_TIMEOUT));
    }
    services.agent.set_extent(running.sites.len(), config.metrics.cardinality_limit);
    services.agent.set_sharding(config.sharding.map(|it| [it.shard, it.shards]));
    services.agent.drop_filter().set(&config.metrics.drop);
    services.agent.set_exposed(config.http.is_exposed());
    running.set_config(Arc::clone(&config));
    // Before the endpoint serves for the first time.
    if let Some((trigger, verdict)) = result {
        services.agent.note_reload(trigger, verdict, prepared.sha256);
    }
    services.ready.store(true, Relaxed);
    services.renderer.render_off_thread().await;
    match (prepared.listener, config.http.listens().cloned()) {
        (Some(bound), Some(wanted)) => {
            let address = bound.address();
            let tls = config.http.web.tls.is_some();
            tracing::info!(%address, path = config.http.metrics_path, tls, "listening");
            let server = bound.serve(Arc::clone(services));
            running.replace_endpoint(Some(Endpoint { server, wanted, address }));
        }
        (_, None) => {
            if running.endpoint.is_some() || is_first {
                tracing::info!("no endpoint: server.enabled is false; metrics are only pushed");
            }
            running.replace_endpoint(None);
        }
        (None, Some(_)) => {}
    }
    match (prepared.health, &config.http.health) {
        (Some(bound), Some(wanted)) => {
            let (address, wanted) = (bound.address(), wanted.clone());
            tracing::info!(%address, "listening for health checks");
            let server = bound.serve_health(Arc::clone(services));
            running.replace_health(Some(Endpoint { server, wanted, address }));
        }
        (_, None) => running.replace_health(None),
        (None, Some(_)) => {}
    }
}

/// Makes this agent a candidate by these settings, or none, and lets it export for as long as it may. Returns the
/// candidate of before, which may not any more.
fn elect(
    running: &mut Running,
    services: &http::State,
    wanted: Option<&election::Config>,
    tenure: Arc<Tenure>,
) -> Option<Election> {
    let is_same = |election: &Election| Some(&election.config) == wanted && !election.is_dead();
    let mut old = None;
    if !running.election.as_ref().map_or(wanted.is_none(), is_same) {
        old = std::mem::replace(&mut running.election, wanted.map(Election::start));
    }
    if let Some(old) = &old {
        old.end_tenure();
    }
    let stats = running.election.as_ref().map(|election| Arc::clone(election.stats()));
    services.agent.set_election(stats.map(|stats| (Arc::clone(&tenure), stats)));
    services.tenure.store(tenure);
    old
}

fn replace_push(
    running: &mut Running,
    services: &Arc<http::State>,
    config: &Config,
    push: OtlpPipeline,
    state: Option<&StateDir>,
) {
    if let Some(old) = running.otlp.take() {
        // Its last export runs on its own; the new push does not wait for it.
        tokio::spawn(old.shutdown(FINAL_EXPORT_TIMEOUT));
    }
    let (otlp, tracing) = push.start(services, config, state);
    running.otlp = otlp;
    running.tracer.set(tracing.as_ref());
    if let Some(old) = std::mem::replace(&mut running.tracing, tracing) {
        tokio::spawn(old.shutdown(FINAL_EXPORT_TIMEOUT));
    }
}
