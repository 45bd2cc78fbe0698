//! The backlog of storage lifecycle policies: every number is the simulator's truth, whatever the server does.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod replication;
mod sizes;
mod truth;

use nbu_sim::{Settings, Simulator};
use support::{Agent, Config, Page, world};

/// Runs of everything that is due, several times a second.
const OFTEN: &str =
    "collectionInterval: 300ms, cacheTTL: 200ms, staleAfter: 10m, scrapingInterval: 24h";

const ON: &str = "collectors: { slp: { enabled: true } }";

/// A world with jobs whose backups are under an SLP.
fn busy(seed: u64) -> Settings {
    Settings { jobs_in_history: 200, jobs_per_hour: 60.0, ..world(seed) }
}

fn config(simulator: &Simulator) -> Config {
    Config::new().server(OFTEN).site("paris", simulator).with(ON)
}

/// Returns whether a metric is one of the backlog, whose series can be expected.
fn is_of_backlog(name: &str) -> bool {
    name.starts_with("nbu_slp_")
        && !is_of_configuration(name)
        && !["nbu_slp_backlog_read_timestamp_seconds", "nbu_slp_state_saved"].contains(&name)
}

fn is_of_configuration(name: &str) -> bool {
    ["nbu_slp_active", "nbu_slp_operation_suspended"].contains(&name)
}

/// Waits until the agent has read the backlog once more after now.
async fn read_again(agent: &Agent) -> Page {
    let runs = |page: &Page| {
        let labels = [("site", "paris"), ("collector", "slp_images"), ("result", "success")];
        page.value("nbu_agent_collector_runs_total", &labels).unwrap_or(0.0)
    };
    let before = runs(&agent.scrape().await);
    agent.scrape_until("two more runs", |page| runs(page) >= before + 2.0).await
}
