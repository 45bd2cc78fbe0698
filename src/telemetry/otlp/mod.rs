//! OTLP push: metrics over gRPC and HTTP, split, deadline-bound; optional self-traces.

pub mod config;
pub mod stats;

pub use config::Config;
