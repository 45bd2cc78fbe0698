//! OTLP push: metrics over gRPC and HTTP, split, deadline-bound; optional self-traces.
//!
//! An export takes cumulative metrics from a [`MetricSource`], turns totals into increments where
//! that is wanted (`delta`), cuts them into requests below a limit ([`split`]), and sends those
//! within one hard deadline (`exporter`, `transport`). What became of it is counted in
//! [`stats`] and told once per change (`health`).

mod batch;
pub mod config;
mod delta;
mod error;
pub(crate) mod exporter;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gate;
pub(crate) mod health;
mod memory;
pub mod producer;
pub(crate) mod resource;
pub(crate) mod send;
pub mod split;
pub mod stats;
mod transport;

use std::time::{SystemTime, UNIX_EPOCH};

pub use batch::MetricSource;
pub use config::Config;
pub use error::{BuildError, Kind, SendError};
pub use exporter::{ExporterHandle, Turn};
pub use resource::ResourceAttributes;
pub use stats::OtlpStats;
#[cfg(any(test, fuzzing))]
pub(crate) use transport::fuzz::answer as fuzz_answer;
pub use transport::{Accepted, Signal, Transport};

/// Returns nanoseconds since 1970, which fit into 64 bits until the year 2554; 0 for a time before.
fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
