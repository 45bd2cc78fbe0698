//! The settings of the endpoint.

/// Settings of the endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    pub port: u16,
    /// Path of the exposition; begins with `/` and is none of the other routes.
    pub metrics_path: String,
    /// POST /-/reload is served.
    pub lifecycle: bool,
}

impl Config {
    /// Returns whether both listen at the same address; the path needs no new listener.
    pub(crate) fn same_address(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }
}

pub trait Settings: std::fmt::Debug + Send + Sync {
    /// Returns the settings of the endpoint, once there are some.
    fn endpoint(&self) -> Option<Config>;
}

/// Paths that the endpoint serves beside the exposition; `server.uri` can be none of them.
pub const RESERVED_PATHS: [&str; 5] = ["/", "/health", "/-/healthy", "/-/ready", "/-/reload"];

/// Returns host and port as in a URL.
pub fn display(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
