//! The HTTP endpoint: bytes that were rendered before the request came.

/// Where the endpoint listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port, 1 to 65535.
    pub port: u16,
    /// Path of the exposition; begins with `/` and is none of the other routes.
    pub metrics_path: String,
}

/// Paths that the endpoint serves beside the exposition; `server.uri` can be none of them.
pub const RESERVED_PATHS: [&str; 5] = ["/", "/health", "/-/healthy", "/-/ready", "/-/reload"];
