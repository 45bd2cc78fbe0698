//! The settings of the endpoint.

use std::fmt;
use std::sync::Arc;

use super::web::Web;
use crate::net::address::is_loopback;

/// An address to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&display(&self.host, self.port))
    }
}

/// Settings of the endpoint.
#[derive(Debug, Clone)]
pub struct Config {
    /// There is an endpoint; without one, the agent only pushes.
    pub enabled: bool,
    /// The address of the endpoint. It is a part of the agent's identity even without one.
    pub address: Address,
    /// Path of the exposition; begins with `/` and is none of the other routes.
    pub metrics_path: String,
    /// POST /-/reload is served.
    pub lifecycle: bool,
    /// The rules about those who ask.
    pub web: Arc<Web>,
    /// The listener for health checks alone, in plain text and for everyone.
    pub health: Option<Address>,
}

impl Config {
    /// Returns true if whoever reaches the port from another machine reads the metrics, and so do those
    /// in between.
    pub(crate) fn is_exposed(&self) -> bool {
        self.enabled
            && self.web.tls.is_none()
            && !self.web.asks_for_credentials()
            && !is_loopback(&self.address.host)
    }

    /// Returns where the endpoint listens, if there is one.
    pub(crate) fn listens(&self) -> Option<&Address> {
        self.enabled.then_some(&self.address)
    }

    /// Returns where health is asked for, if anything listens.
    pub fn probe(&self) -> Option<Probe> {
        if let Some(address) = self.health.clone() {
            return Some(Probe { address, is_tls: false });
        }
        self.endpoint()
    }

    /// Returns where the endpoint is asked, if there is one.
    pub(crate) fn endpoint(&self) -> Option<Probe> {
        let address = self.listens()?.clone();
        Some(Probe { address, is_tls: self.web.tls.is_some() })
    }
}

/// The place to ask for the health of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    pub address: Address,
    pub is_tls: bool,
}

pub trait Settings: fmt::Debug + Send + Sync {
    /// Returns the settings of the endpoint, once there are some.
    fn endpoint(&self) -> Option<Config>;
}

/// Paths that the endpoint serves beside the exposition; `server.uri` can be none of them.
pub const RESERVED_PATHS: [&str; 5] = ["/", "/health", "/-/healthy", "/-/ready", "/-/reload"];

/// Returns host and port as in a URL.
pub fn display(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
