//! An oracle that knows only what the simulated servers listed and what docs/metrics.md promises: each
//! completion that was listed for more than ten minutes counts once, each gauge is what the list shows
//! now. No rule of the agent (overlap, horizon, slack, backfill) is in it. Random histories run over it.
//!
//! `NBU_LEDGER_SEEDS` and `NBU_KILLS` lengthen them, `NBU_ORACLE_SEED` repeats a single one.

#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; helpers are used in part"
)]

#[path = "../support/mod.rs"]
mod support;

mod bounds;
mod delta;
mod gauges;
mod increase;
mod promise;
mod site;

mod events;

mod disk;
mod histories;
mod kills;
mod moves;
mod permissions;
