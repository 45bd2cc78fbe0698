//! Space on the dashboards: the expressions of their panels, asked of a real Prometheus that scraped an agent, against
//! the truth of worlds with shared pools, appliances, cloud and file systems.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nbu_sim::{PoolSizes, Rows, Settings, Simulator};

use crate::dashboards::substituted;
use crate::prometheus::Prometheus;
use crate::support::process::port;
use crate::support::{Agent, Config, simulate, world};

/// Time until everything was scraped.
const PATIENCE: Duration = Duration::from_secs(60);

/// Panels, and what they show.
const PANELS: [(&str, &str, &str); 4] = [
    ("nbu-storage", "Capacity", "capacity"),
    ("nbu-storage", "Used", "used"),
    ("nbu-storage", "Free", "free"),
    ("nbu-overview", "Space used", "share"),
];

/// Returns the expression of a panel, for a site.
fn expression(uid: &str, title: &str, site: &str) -> String {
    let board = dashboards::boards::all().into_iter().find(|board| board.uid == uid);
    let board = board.expect("a board");
    let panel = board.panels().find(|panel| panel.title == title).expect("a panel");
    substituted(&panel.targets[0].query.text().replace("$site", site))
}

/// Returns (usable, used) of what the storage units of a site tell, each pool and each file system once.
fn of_units(simulator: &Simulator) -> (i64, i64) {
    let mut spaces = BTreeMap::new();
    for unit in simulator.truth().storage_units() {
        let (Some(used), Some(total)) = (unit.used, unit.total) else { continue };
        if total != i64::MAX {
            let key = unit.pool.clone().unwrap_or_else(|| unit.name.clone());
            spaces.insert((unit.pool.is_some(), key), (total, used));
        }
    }
    spaces.values().fold((0, 0), |sum, space| (sum.0 + space.0, sum.1 + space.1))
}

fn site(seed: u64, pool_sizes: PoolSizes) -> Settings {
    Settings {
        pool_sizes,
        storage_units: 40,
        rows: Rows::default().with("disk-pools", 12),
        jobs_in_history: 5,
        live_jobs: 0,
        jobs_per_hour: 0.0,
        ..world(seed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn panels_count_each_byte_once() {
    let mut config = Config::new();
    config.port = port();
    let mut sites = Vec::new();
    for (seed, name, sizes) in [
        (21, "listed", PoolSizes::Listed),
        (22, "by-id", PoolSizes::ById),
        (23, "nowhere", PoolSizes::Nowhere),
        (24, "forbidden", PoolSizes::Listed),
    ] {
        let simulator = simulate(site(seed, sizes)).await;
        let truth = simulator.truth();
        let kinds: Vec<&str> = truth.storage_units().iter().map(|unit| unit.category).collect();
        for kind in ["MSDP", "ADVANCED_DISK", "BASIC_DISK", "CLOUD", "OPEN_STORAGE", "TAPE"] {
            assert!(kinds.contains(&kind), "{kind}");
        }
        let space = match name {
            "nowhere" | "forbidden" => of_units(&simulator),
            _ => truth.disk_space(),
        };
        if name == "forbidden" {
            simulator.deny("|STORAGE|DISK-POOLS|");
        }
        config = config.site(name, &simulator);
        sites.push((name, simulator, space));
    }
    let agent = Agent::start(&config).await;
    let prometheus = Prometheus::of_agents(&[config.port], port()).await;
    let started = Instant::now();
    for (name, _simulator, (usable, used)) in &sites {
        let (usable, used) = (*usable as f64, *used as f64);
        for (uid, title, what) in PANELS {
            let expected = match what {
                "capacity" => usable,
                "used" => used,
                "free" => usable - used,
                _ => used / usable,
            };
            let expression = expression(uid, title, name);
            loop {
                let shown = prometheus.number(&expression).await;
                let is_same = |shown: f64| (shown - expected).abs() <= expected * 1e-12;
                if shown.is_some_and(is_same) {
                    break;
                }
                assert!(
                    started.elapsed() < PATIENCE,
                    "{title} of {name} is {shown:?}, not {expected}: {expression}"
                );
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        }
    }
    prometheus.stop().await;
    agent.stop().await;
}
