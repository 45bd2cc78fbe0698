//! From snapshots to instruments, and from there to Prometheus and OTLP.

pub mod agent;
pub mod exposition;
pub mod frame;
mod instruments;
pub mod otlp;
mod process;
pub mod renderer;
pub mod source;
pub mod traces;

/// Settings common to both exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Series per metric, over all sites; what exceeds it is dropped and counted.
    pub cardinality_limit: usize,
}
