//! OTLP push: metrics over gRPC and HTTP, split, deadline-bound; optional self-traces.
//!
//! An export takes cumulative metrics from a [`MetricSource`], turns totals into increments where
//! that is wanted ([`delta`]), cuts them into requests below a limit ([`split`]), and sends those
//! within one hard deadline ([`exporter`], [`transport`]). What became of it is counted in
//! [`stats`] and told once per change ([`health`]).

mod batch;
pub mod config;
pub mod delta;
pub mod error;
pub mod exporter;
mod gate;
pub mod health;
mod memory;
pub mod producer;
pub mod resource;
pub(crate) mod send;
pub mod split;
pub mod stats;
mod time;
pub mod transport;

use opentelemetry_proto::tonic::metrics::v1::Metric;

pub use config::Config;
pub use error::{BuildError, Kind, SendError};
pub use exporter::{ExportError, ExportOutcome, ExportReport, Exporter, ExporterHandle};
pub use resource::ResourceAttributes;
pub use stats::OtlpStats;
pub use transport::{Signal, Transport};

/// Source of the metrics of an export. It blocks (tens of milliseconds for 100,000 series), so it
/// is called on a blocking thread, by one export at a time.
pub trait MetricSource: Send + Sync {
    /// Everything there is, cumulative, each point with its own start time.
    fn collect(&self) -> Vec<Metric>;
}

impl<F: Fn() -> Vec<Metric> + Send + Sync> MetricSource for F {
    fn collect(&self) -> Vec<Metric> {
        self()
    }
}
