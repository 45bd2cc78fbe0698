//! From snapshots to instruments, and from there to Prometheus and OTLP.

pub mod otlp;
pub mod traces;

/// Settings common to both exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Series per metric, over all sites; what exceeds it is dropped and counted.
    pub cardinality_limit: usize,
}
