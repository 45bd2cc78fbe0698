//! Live reload of the binary: each trigger, each way of saving a file, each class of key, bad files, and
//! what systemd hears of it.

#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::float_cmp,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails; helpers are used in part; what is measured is printed"
)]

#[path = "../support/mod.rs"]
mod support;

use support::{endpoint, process};

mod bad_files;
mod credentials;
mod keys;
mod push_only;
mod roots;
mod saving;
mod shards;
mod signal;
mod site_files;
mod state;
mod systemd;
mod triggers;
mod unavailable;

/// An agent that serves a first page.
async fn started(
    desk: &process::Desk,
    config: &support::Config,
) -> (process::Process, endpoint::Endpoint) {
    desk.write("config.yaml", &config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = endpoint::Endpoint::on(config.port);
    endpoint.until(&mut agent, "a first page", |_| true).await;
    (agent, endpoint)
}
