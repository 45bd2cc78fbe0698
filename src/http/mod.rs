//! The HTTP endpoint: bytes that were rendered before the request came.

mod connection;
mod connections;
mod encoding;
mod listener;
mod origin;
mod reload;
mod routes;
mod scrapes;
mod serve;
mod status_page;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

pub use self::listener::{BindError, Bound, Listening, Server};

use crate::reload::ReloadRequest;
use crate::snapshot::Store;
use crate::telemetry::agent::AgentState;
use crate::telemetry::renderer::Renderer;

/// Where the endpoint listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port, 1 to 65535.
    pub port: u16,
    /// Path of the exposition; begins with `/` and is none of the other routes.
    pub metrics_path: String,
    /// Whether POST /-/reload is served.
    pub lifecycle: bool,
}

impl Config {
    /// Whether both listen at the same address; the path needs no new listener.
    pub fn same_address(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }
}

/// Paths that the endpoint serves beside the exposition; `server.uri` can be none of them.
pub const RESERVED_PATHS: [&str; 5] = ["/", "/health", "/-/healthy", "/-/ready", "/-/reload"];

/// What the handlers read.
#[derive(Debug)]
pub struct State {
    /// Makes the exposition.
    pub renderer: Arc<Renderer>,
    /// What the sites look like.
    pub store: Arc<Store>,
    /// How the process fares.
    pub agent: Arc<AgentState>,
    /// Path of the exposition; changes without a new listener.
    pub metrics_path: ArcSwap<String>,
    /// Whether a configuration is in force; not ready before.
    pub ready: AtomicBool,
    /// Takes requests to read the configuration anew.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// Whether such requests are taken; changes without a new listener.
    pub lifecycle: AtomicBool,
}

/// Host and port as a URL has them.
pub fn display(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
