//! Fuzz targets: the code that reads what others wrote, each with an input of bytes. They are no part of the agent; the
//! tests run them on the corpus and its mutations, and `fuzz/` hands them to libFuzzer (docs/adr/0026-fuzzing.md).
//!
//! The body of a target is beside the code that it attacks, in the `fuzz.rs` of its module. It panics if the input broke
//! a promise of that code.

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod mutation;
#[cfg(test)]
mod tests;

use crate::{collectors, config, forecast, http, jobs, net, netbackup, slp, state, telemetry};

/// A way in for bytes that others wrote.
struct Target {
    /// Name of its binary and of its corpus in `fuzz/`.
    name: &'static str,
    run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

static TARGETS: [Target; 14] = [
    target("configuration", config::fuzz::configuration),
    target("web_file", config::fuzz::web_file),
    target("dotenv", config::fuzz::dotenv),
    target("page", netbackup::wire::fuzz::page),
    target("timestamp", netbackup::wire::fuzz::timestamp),
    target("paging", netbackup::fuzz_paging),
    target("collectors", collectors::fuzz::collector),
    target("ledger", jobs::fuzz::ledger),
    target("state_files", state::fuzz::file),
    target("documents", document),
    target("otlp_answers", telemetry::otlp::fuzz_answer),
    target("http_heads", http::fuzz::head),
    target("accept_encoding", http::fuzz::accept_encoding),
    target("pem", net::fuzz::pem),
];

/// Runs the target `name` on an input.
///
/// # Panics
///
/// If the input broke a promise of the code, or there is no such target.
#[cfg(fuzzing)]
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("no target {name}")).run)(input);
}

/// Restores a document of the state directory; the first byte chooses which.
fn document(input: &[u8]) {
    match input.split_first() {
        Some((0, content)) => slp::fuzz::sizes(content),
        Some((1, content)) => forecast::fuzz::pools(content),
        Some((_, content)) => telemetry::otlp::fuzz::increments(content),
        None => {}
    }
}
