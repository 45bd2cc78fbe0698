//! Requests of a cycle.

use nbu_otel_agent::netbackup::Client;
use nbu_sim::{PoolSizes, Rows, ServerZone, Settings, Simulator};

use crate::support::runs::{Runs, client};
use crate::support::{Agent, Config, Page, simulate};
use crate::{POOLS, SERVER_TIME, SERVERS, about, further_runs, often, quiet, runs};

fn large() -> Settings {
    Settings { storage_units: 300, rows: Rows::default().with("disk-pools", 100), ..quiet() }
}

fn asked(simulator: &Simulator, path: &str) -> usize {
    simulator.requests().iter().filter(|request| request.path.starts_with(path)).count()
}

async fn both(agent: &Agent) -> Page {
    let up = |page: &Page| {
        let is_up = |name: &&str| about(page, "nbu_agent_collector_up", name) == Some(1.0);
        ["disk_pools", "storage_servers", "storage"].iter().all(is_up)
    };
    agent.scrape_until("pools and servers are up", up).await
}

#[tokio::test]
async fn cycle_asks_three_times_for_a_hundred_pools() {
    let no_path = ServerZone::UTC.without_path();
    // The ping takes the place of a clock that is not there.
    for (settings, most) in [(large(), 3), (Settings { time_zone: no_path, ..large() }, 4)] {
        let simulator = simulate(settings).await;
        let truth = simulator.truth();
        assert_eq!((truth.disk_pools().len(), truth.storage_units().len()), (100, 300));
        let client = client("paris", &simulator.base_url(), &simulator.settings().api_key);
        let mut both =
            ["disk_pools", "storage_servers"].map(|name| Runs::kept_in(name, &client, None));
        client_is_ready(&client).await;
        for _ in 0..3 {
            let before = simulator.request_count();
            for collector in &mut both {
                collector.run().await;
            }
            assert_eq!(simulator.request_count() - before, most);
        }
    }
}

/// Lets the client learn which version the server speaks, which any collector may be the first to need.
async fn client_is_ready(client: &Client) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    client.with_deadline(deadline).ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn later_cycles_ask_no_more() {
    let simulator = simulate(large()).await;
    let agent = Agent::start(&often(&simulator)).await;
    both(&agent).await;
    for _ in 0..5 {
        further_runs(&agent, "disk_pools").await;
    }
    let asked = [POOLS, SERVERS, SERVER_TIME].map(|path| asked(&simulator, path) as f64);
    let page = further_runs(&agent, "storage_servers").await;
    // What is under way now is no run yet; those of the last page came after the count.
    assert!(asked[0] <= runs(&page, "disk_pools") + 1.0, "{asked:?}");
    assert!(asked[2] <= runs(&page, "disk_pools") + 1.0, "{asked:?}");
    assert!(asked[1] <= runs(&page, "storage_servers") + 1.0, "{asked:?}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_by_id_are_bounded_in_each_run() {
    let rows = Rows::default().with("disk-pools", 400);
    let settings = Settings { pool_sizes: PoolSizes::ById, rows, ..large() };
    let simulator = simulate(settings).await;
    let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
    both(&agent).await;
    let below = asked(&simulator, &format!("{POOLS}/"));
    assert_eq!(below, 200);
    agent.stop().await;
}
