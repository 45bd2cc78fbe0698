//! SIGHUP: the configuration is read again; a wrong one changes nothing and is visible.

use crate::endpoint::Endpoint;
use crate::process::{Desk, Process, Signal, config, port};
use crate::support::{Page, simulate, world};

const SUCCESSFUL: &str = "nbu_agent_config_last_reload_successful";

fn reloads(page: &Page, result: &str) -> f64 {
    crate::endpoint::reloads(page, "sighup", result)
}

/// Counts are whole numbers.
fn is(count: f64, expected: f64) -> bool {
    (count - expected).abs() < f64::EPSILON
}

/// Puts a file in place and asks for it to be read.
fn reload(desk: &Desk, agent: &Process, text: &str) {
    desk.write("config.yaml", text);
    agent.signal(Signal::HUP);
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_adds_and_removes_sites_wrong_file_changes_nothing() {
    let (paris, tokyo) = (simulate(world(1)).await, simulate(world(2)).await);
    let one = config().site("paris", &paris);
    let both = one.clone().site("tokyo", &tokyo);
    let desk = Desk::with(&one.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(one.port);
    let page = endpoint.complete(&mut agent, "paris").await;
    assert!(!page.has_label("site", "tokyo"));

    reload(&desk, &agent, &one.yaml());
    endpoint.until(&mut agent, "a reload", |page| is(reloads(page, "unchanged"), 1.0)).await;

    reload(&desk, &agent, &both.yaml());
    let page = endpoint.complete(&mut agent, "tokyo").await;
    assert!(!page.of_site("tokyo", |name| name == "nbu_jobs_count").is_empty());
    // What did not change was not touched: its counters go on.
    let runs = [("site", "paris"), ("collector", "jobs"), ("result", "success")];
    assert_eq!(page.value("nbu_agent_collector_runs_total", &runs), Some(1.0));

    for (number, wrong) in (1..).zip(["nbuservers: []\n", &both.yaml().replace("apiKey", "key")]) {
        reload(&desk, &agent, wrong);
        let rejected = f64::from(number);
        let seen = |page: &Page| is(reloads(page, "rejected"), rejected);
        let page = endpoint.until(&mut agent, "a rejected file", seen).await;
        assert_eq!(page.value(SUCCESSFUL, &[]), Some(0.0));
        assert!(page.has_label("site", "paris") && page.has_label("site", "tokyo"));
    }
    agent.says("keeping the current one: config.yaml:1:1: nbuservers").await;

    reload(&desk, &agent, &one.yaml());
    let page =
        endpoint.until(&mut agent, "tokyo gone", |page| !page.has_label("site", "tokyo")).await;
    assert_eq!(page.value(SUCCESSFUL, &[]), Some(1.0));
    let ended = agent.end_by(Signal::TERM).await;
    for change in ["site tokyo added", "site tokyo removed"] {
        assert!(ended.stdout.contains(change), "{}", ended.all());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_moves_endpoint_unless_port_is_taken() {
    let paris = simulate(world(1)).await;
    let here = config().site("paris", &paris);
    let mut there = here.clone();
    there.port = port();
    let desk = Desk::with(&here.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let (old, new) = (Endpoint::on(here.port), Endpoint::on(there.port));
    let first = old.until(&mut agent, "a first page", |_| true).await;
    assert_eq!(first.value(SUCCESSFUL, &[]), Some(1.0), "{}", first.text());
    old.complete(&mut agent, "paris").await;

    let taken = std::net::TcpListener::bind(("127.0.0.1", there.port)).expect("it is free");
    reload(&desk, &agent, &there.yaml());
    let page =
        old.until(&mut agent, "a rejection", |page| is(reloads(page, "rejected"), 1.0)).await;
    assert_eq!(page.value(SUCCESSFUL, &[]), Some(0.0));

    drop(taken);
    reload(&desk, &agent, &there.yaml());
    let page = new.until(&mut agent, "a first page", |_| true).await;
    assert_eq!(page.value(SUCCESSFUL, &[]), Some(1.0));
    let closed = || async { old.scrape().await.is_none().then_some(()) };
    crate::support::eventually("the old endpoint closed", closed).await;
    agent.end_by(Signal::INT).await;
}
