//! Settings of the agent's own log.

use std::path::PathBuf;

/// Destination, format and level of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// stdout or a file.
    pub destination: Destination,
    /// Lines for people or for machines.
    pub format: Format,
    /// Least severe level that is written; `--debug` and `--trace` on the command line lower it.
    pub level: tracing::Level,
}

/// Destination of log lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// A JSON object on each line.
    Json,
}
