//! The optional resources: their numbers are the simulator's truth in each release, and one that is
//! missing, forbidden or wrong hides no other.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod api_key;
mod faults;
mod numbers;
mod releases;
mod tape;
mod trial;

use nbu_sim::{Settings, Simulator};
use support::resources::{ALL_ON, COLLECTORS};
use support::{Agent, Config, Page, world};

/// Polls and asks every resource several times a second.
const OFTEN: &str =
    "collectionInterval: 150ms, cacheTTL: 150ms, staleAfter: 10m, scrapingInterval: 24h";

/// A world of few jobs, which are not what counts here.
fn small() -> Settings {
    Settings { jobs_in_history: 30, live_jobs: 5, ..world(7) }
}

/// A configuration with one site and everything switched on.
fn everything(simulator: &Simulator) -> Config {
    Config::new().site("paris", simulator).with(&ALL_ON)
}

/// A metric about a collector of the site.
fn about(page: &Page, metric: &str, collector: &str) -> Option<f64> {
    page.value(metric, &[("site", "paris"), ("collector", collector)])
}

/// Scrapes until each optional collector brought something, or is known to have nothing to ask.
async fn settled(agent: &Agent) -> Page {
    let known = |page: &Page| {
        let known = |name: &&str| about(page, "nbu_agent_collector_supported", name).is_some();
        COLLECTORS.iter().all(known)
    };
    agent.scrape_until("every collector settled", known).await
}
