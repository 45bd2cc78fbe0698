//! Live reload of the binary: each trigger, each way of saving a file, each class of key, bad files, and
//! what systemd hears of it.

#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails; helpers are used in part"
)]

#[path = "../support/mod.rs"]
mod support;

use support::{endpoint, process};

mod bad_files;
mod keys;
mod saving;
mod signal;
mod systemd;
mod triggers;
