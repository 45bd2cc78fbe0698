//! Disk pools and storage servers: sizes wherever a server tells them, what a cycle asks, what a slow or lying server
//! may delay, and the forecast of nights, held against the simulator's truth.

#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic; its parts are used within it"
)]

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod kept;
mod nights;
mod oracle;
mod requests;
mod sizes;
mod walk;
mod zones;

use nbu_sim::{Settings, Simulator};
use support::{Agent, Config, Page, world};

/// Polls and asks every resource several times a second.
const OFTEN: &str =
    "collectionInterval: 100ms, cacheTTL: 100ms, staleAfter: 10m, scrapingInterval: 24h";

const POOLS: &str = "/storage/disk-pools";
const SERVERS: &str = "/storage/storage-servers";
const SERVER_TIME: &str = "/security/servertime";

/// A world of few jobs, which are not what counts here.
fn quiet() -> Settings {
    Settings { jobs_in_history: 5, live_jobs: 0, jobs_per_hour: 0.0, ..world(7) }
}

fn often(simulator: &Simulator) -> Config {
    Config::new().server(OFTEN).site("paris", simulator)
}

/// A metric about a collector of the site.
fn about(page: &Page, metric: &str, collector: &str) -> Option<f64> {
    page.value(metric, &[("site", "paris"), ("collector", collector)])
}

fn runs(page: &Page, collector: &str) -> f64 {
    let labels = [("site", "paris"), ("collector", collector), ("result", "success")];
    page.value("nbu_agent_collector_runs_total", &labels).unwrap_or(0.0)
}

/// Waits for runs of a collector that began after now.
async fn further_runs(agent: &Agent, collector: &str) -> Page {
    let before = runs(&agent.scrape().await, collector);
    // One may be under way.
    let done = |page: &Page| runs(page, collector) >= before + 2.0;
    agent.scrape_until(&format!("two runs of {collector}"), done).await
}

/// The series of disk pools on a page but the forecast.
fn is_of_pools(name: &str) -> bool {
    name.starts_with("nbu_disk_pool_")
        || name.starts_with("nbu_disk_volume_")
        || name.starts_with("nbu_server_time_zone_")
}

fn is_of_servers(name: &str) -> bool {
    name.starts_with("nbu_storage_server_") || name.starts_with("nbu_msdp_")
}
