//! Every job is counted exactly once, whatever the server, the network, the clocks, the configuration
//! and the process itself do: all totals and all gauges of the window against the simulator's truth.

#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::float_cmp,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; helpers are used in part"
)]

#[path = "../support/mod.rs"]
mod support;

mod scene;

mod audit;
mod bursts;
mod chance;
mod clocks;
mod disk;
mod faults;
mod fill;
mod increments;
mod kept;
mod kills;
mod life;
mod lookups;
mod moves;
mod names;
mod optional;
mod outages;
mod reload;
mod shards;
