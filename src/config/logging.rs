//! Settings of the agent's own log.

use std::path::PathBuf;

/// Where the log goes and how it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// stdout or a file.
    pub destination: Destination,
    /// Lines for people or for machines.
    pub format: Format,
    /// Least severe level that is written; `--debug` and `--trace` on the command line lower it.
    pub level: tracing::Level,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
