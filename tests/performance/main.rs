//! The budgets of the whole agent, measured on the binary: it runs as a process of its own against
//! simulated servers over HTTP, and its CPU and memory are read from /proc. `.ci/long performance` runs
//! these on a release build; benches/README.md has the numbers and what they are measured against.
//!
//! Each line is `name | value | limit`. Memory and the numbers of requests must keep their limits. CPU
//! fails only far above them, because others may use the machine; a time on the clock is printed only.

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

#[path = "../../benches/support/floor.rs"]
mod floor;

use support::{endpoint, process};

mod churn;
mod cycle;
mod fill;
mod memory;
mod push;
mod quiet;
mod report;
mod scrape;
mod site_files;
mod slp;
mod start;
mod usage;
mod web;
