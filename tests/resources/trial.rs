//! Resources that are read unless the file says otherwise: where the role never permitted one, it is left out.

use nbu_sim::Simulator;

use crate::support::{Agent, Config, Page, simulate};
use crate::{OFTEN, about, small};

const NAMESPACES: [(&str, &str, &str); 2] = [
    ("disk_pools", "|STORAGE|DISK-POOLS|", "nbu_disk_pool_"),
    ("storage_servers", "|STORAGE|STORAGE-SERVERS|", "nbu_storage_server_"),
];

fn plain(simulator: &Simulator) -> Config {
    Config::new().server(OFTEN).site("paris", simulator)
}

fn are_all(page: &Page, metric: &str, value: Option<f64>) -> bool {
    NAMESPACES.iter().all(|(collector, ..)| about(page, metric, collector) == value)
}

async fn until_permitted_is(agent: &Agent, value: f64) -> Page {
    let seen = |page: &Page| are_all(page, "nbu_agent_collector_permitted", Some(value));
    agent.scrape_until(&format!("permitted is {value}"), seen).await
}

fn deny(simulator: &Simulator) {
    for (_, namespace, _) in NAMESPACES {
        simulator.deny(namespace);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unasked_collector_is_left_out_until_it_is_permitted() {
    let simulator = simulate(small()).await;
    deny(&simulator);
    let agent = Agent::start(&plain(&simulator)).await;
    let page = until_permitted_is(&agent, 0.0).await;
    assert!(are_all(&page, "nbu_agent_collector_up", None), "no failure is told");
    let of_them = |name: &str| NAMESPACES.iter().any(|(_, _, metrics)| name.starts_with(metrics));
    assert!(page.of_site("paris", of_them).is_empty());
    let status = agent.get("/").await.text().await.unwrap();
    assert_eq!(status.matches("not permitted, left out").count(), 2, "{status}");

    for (_, namespace, _) in NAMESPACES {
        simulator.permit(namespace);
    }
    let page = until_permitted_is(&agent, 1.0).await;
    assert!(are_all(&page, "nbu_agent_collector_up", Some(1.0)));
    assert!(!page.of_site("paris", of_them).is_empty());

    deny(&simulator);
    let page = until_permitted_is(&agent, 0.0).await;
    assert!(are_all(&page, "nbu_agent_collector_up", Some(0.0)), "it worked before");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collector_asked_for_by_name_fails_without_permission() {
    let simulator = simulate(small()).await;
    deny(&simulator);
    let on = "collectors: { diskPools: { enabled: true }, storageServers: { enabled: true } }";
    let agent = Agent::start(&plain(&simulator).with(on)).await;
    let page = until_permitted_is(&agent, 0.0).await;
    assert!(are_all(&page, "nbu_agent_collector_up", Some(0.0)));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collector_that_once_worked_fails_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = simulate(small()).await;
    let state = format!("state: {{ directory: {:?} }}", folder.path().join("state"));
    let config = plain(&simulator).with(&state);
    let agent = Agent::start(&config).await;
    until_permitted_is(&agent, 1.0).await;
    agent.stop().await;
    deny(&simulator);
    let agent = Agent::start(&config).await;
    let page = until_permitted_is(&agent, 0.0).await;
    assert!(are_all(&page, "nbu_agent_collector_up", Some(0.0)));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_collector_asks_nothing() {
    let simulator = simulate(small()).await;
    let off = "collectors: { diskPools: { enabled: false }, storageServers: { enabled: off } }";
    let agent = Agent::start(&plain(&simulator).with(off)).await;
    let page = agent.first_samples("paris").await;
    assert!(are_all(&page, "nbu_agent_collector_permitted", None));
    assert!(are_all(&page, "nbu_agent_collector_supported", None));
    let asked =
        |path: &str| simulator.requests().iter().any(|request| request.path.ends_with(path));
    assert!(!asked("/storage/disk-pools") && !asked("/storage/storage-servers"));
    agent.stop().await;
}
