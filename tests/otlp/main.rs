//! The OTLP push against a receiver on loopback: real gRPC, real HTTP, real TLS.

// The helpers of a test are tests too, but clippy knows only functions marked as such.
#![allow(clippy::unwrap_used, clippy::panic)]

mod delivery;
mod delta;
mod failure;
mod lifecycle;
mod measure;
mod proxies;
mod secrets;
mod support;
mod throttling;
mod tls;
mod traces;
