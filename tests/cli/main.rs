//! The binary as its users meet it: a process with arguments, a configuration file, signals, an exit
//! code and two streams, against simulated servers over real HTTP.

#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails; clippy's own allowance misses helpers"
)]

#[path = "../support/mod.rs"]
mod support;

use support::{endpoint, process};

mod check;
mod demo;
mod doctor;
mod doctor_access;
mod farewell;
mod golden;
mod healthcheck;
mod logs;
mod once;
mod role;
mod run;
mod secrets;
mod state;
mod support_bundle;
mod usage;
