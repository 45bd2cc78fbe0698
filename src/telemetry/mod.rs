//! From snapshots to instruments, and from there to Prometheus and OTLP.

pub mod drop_rules;
mod instruments;
pub mod otlp;
mod process;
pub mod prometheus;
pub mod self_metrics;
pub mod traces;
pub mod view;

/// Settings of both exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Series per metric, over all sites; the rest is dropped and counted.
    pub cardinality_limit: usize,
    /// Rules for series that are not exported.
    pub drop: Vec<drop_rules::DropRule>,
}
