//! End to end, with the real parts: the agent as a process, simulated primary servers over HTTP, a real
//! OpenTelemetry Collector, a real Prometheus, promtool, docker compose on a Docker engine, and helm with a Kubernetes API server.
//! `.ci/real-parts` gets them; `cargo test --test e2e -- --test-threads 1` runs these. A part that is
//! missing or does not start fails the test that needs it.

#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails and what it measures is printed; helpers are used in part"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../oracle/bounds.rs"]
mod bounds;
#[path = "../oracle/promise.rs"]
#[allow(dead_code, reason = "the clocks of a soak are not set")]
mod promise;
#[path = "../performance/usage.rs"]
#[allow(dead_code, reason = "a soak reads the CPU")]
mod usage;

use support::{endpoint, process};

mod agreement;
mod collector;
mod compose;
mod dashboards;
mod files;
mod history;
mod kubernetes;
mod month;
mod nights;
mod outages;
mod parts;
mod prometheus;
mod proxy;
mod series;
mod soak;
mod space;
mod storm;
mod tls;
mod volume;
mod web;
mod window;
