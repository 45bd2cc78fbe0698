//! The endpoint by itself, without a supervisor: reloads over HTTP, and listeners that follow another.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

#[path = "http/crowd.rs"]
mod crowd;
#[path = "http/listener.rs"]
mod listener;
#[path = "http/reload.rs"]
mod reload;
mod support;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use arc_swap::ArcSwap;
use nbu_otel_agent::http::{Address, Config, Guard, Settings, State};
use nbu_otel_agent::reload::ReloadRequest;
use nbu_otel_agent::snapshot::Store;
use nbu_otel_agent::telemetry::otlp::stats::OtlpStats;
use nbu_otel_agent::telemetry::prometheus::renderer::Renderer;
use nbu_otel_agent::telemetry::self_metrics::SelfMetrics;
use tokio::sync::mpsc;

/// State that the handlers read, and the supervisor's end of their requests.
fn state() -> (Arc<State>, mpsc::Receiver<ReloadRequest>) {
    state_with(Arc::default())
}

/// The settings in force.
#[derive(Debug, Default)]
struct Switch {
    reloads_are_off: AtomicBool,
}

impl Settings for Switch {
    fn endpoint(&self) -> Option<Config> {
        Some(Config {
            enabled: true,
            address: listen("127.0.0.1", 1),
            metrics_path: "/metrics".to_owned(),
            lifecycle: !self.reloads_are_off.load(Relaxed),
            web: Arc::default(),
            health: None,
        })
    }
}

fn state_with(settings: Arc<Switch>) -> (Arc<State>, mpsc::Receiver<ReloadRequest>) {
    let (reload, requests) = mpsc::channel(4);
    let store = Store::new();
    let agent = SelfMetrics::new(Arc::new(OtlpStats::default()));
    let state = State {
        renderer: Renderer::new(Arc::clone(&store), Arc::clone(&agent)),
        store,
        agent,
        settings: settings as Arc<dyn Settings>,
        ready: AtomicBool::new(true),
        tenure: ArcSwap::default(),
        reload,
        guard: Guard::default(),
    };
    (Arc::new(state), requests)
}

fn listen(host: &str, port: u16) -> Address {
    Address { host: host.to_owned(), port }
}
