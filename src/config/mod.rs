//! The configuration file: read, expanded, parsed, validated; every error at once.

pub mod logging;

use crate::{collectors, http, netbackup, poller, telemetry};

/// The whole configuration, validated. Modules own their parts; this composes them.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the Prometheus endpoint listens.
    pub http: http::Config,
    /// The agent's own log.
    pub log: logging::Config,
    /// When servers are polled.
    pub polling: poller::Config,
    /// The primary servers that are enabled, in the order of the file.
    pub servers: Vec<netbackup::Config>,
    /// What is collected.
    pub collectors: collectors::Config,
    /// Limits of the export.
    pub metrics: telemetry::Config,
    /// The OTLP push, where it is enabled.
    pub otlp: Option<telemetry::otlp::Config>,
}
