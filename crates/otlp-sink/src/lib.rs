//! otlp-sink
