//! The state that the handlers read.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, mpsc};

use super::config::Settings;
use super::origin::Hosts;
use super::scrapes::Scrapes;
use super::web::{Guard, Web};
use crate::reload::ReloadRequest;
use crate::snapshot::Store;
use crate::telemetry::prometheus::renderer::Renderer;
use crate::telemetry::self_metrics::SelfMetrics;
use crate::tenure::Tenure;

/// The parts of the agent that live as long as the process. The handlers read them.
#[derive(Debug)]
pub struct State {
    pub renderer: Arc<Renderer>,
    pub store: Arc<Store>,
    pub agent: Arc<SelfMetrics>,
    /// The settings in force; they change without a new listener.
    pub settings: Arc<dyn Settings>,
    /// A configuration is in force.
    pub ready: AtomicBool,
    /// The time for which the sites may be shown; without an end where no agents take turns.
    pub tenure: ArcSwap<Tenure>,
    pub reload: mpsc::Sender<ReloadRequest>,
    /// The judge of requests, with its memory.
    pub guard: Guard,
}

impl State {
    /// Returns the path of the exposition; empty until there is a configuration.
    pub(super) fn metrics_path(&self) -> String {
        self.settings.endpoint().map_or_else(String::new, |endpoint| endpoint.metrics_path)
    }

    /// Returns the rules about those who ask.
    pub(super) fn web(&self) -> Arc<Web> {
        self.settings.endpoint().map(|endpoint| endpoint.web).unwrap_or_default()
    }

    /// Returns whether another agent shows the sites.
    pub(super) fn is_standby(&self) -> bool {
        self.tenure.load().is_over()
    }

    pub(super) fn serves_reloads(&self) -> bool {
        self.settings.endpoint().is_some_and(|endpoint| endpoint.lifecycle)
    }
}

/// State of the handlers of one listener.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) state: Arc<State>,
    pub(super) hosts: Arc<Hosts>,
    /// Places of requests for a reload that wait for their verdict.
    pub(super) reloads: Arc<Semaphore>,
    pub(super) scrapes: Arc<Scrapes>,
}
