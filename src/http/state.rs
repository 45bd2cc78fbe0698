//! The state that the handlers read.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use axum::extract::FromRef;
use tokio::sync::{Semaphore, mpsc};

use super::origin::Hosts;
use super::scrapes::Scrapes;
use crate::reload::ReloadRequest;
use crate::snapshot::Store;
use crate::telemetry::agent::AgentState;
use crate::telemetry::renderer::Renderer;

/// State that the handlers read.
#[derive(Debug)]
pub struct State {
    /// Renderer of the exposition.
    pub renderer: Arc<Renderer>,
    /// Snapshots of the sites.
    pub store: Arc<Store>,
    /// State of the process.
    pub agent: Arc<AgentState>,
    /// Path of the exposition; changes without a new listener.
    pub metrics_path: ArcSwap<String>,
    /// A configuration is in force.
    pub ready: AtomicBool,
    /// Requests to reload the configuration.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// Such requests are accepted; changes without a new listener.
    pub lifecycle: AtomicBool,
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

impl FromRef<Endpoint> for Arc<State> {
    fn from_ref(endpoint: &Endpoint) -> Self {
        Self::clone(&endpoint.state)
    }
}
