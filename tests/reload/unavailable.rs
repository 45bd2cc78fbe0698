//! Valid configurations that cannot be applied now are retried; meanwhile rotated keys are applied.

use std::fs::{self, File};
use std::net::TcpListener;
use std::time::Duration;

use nbu_sim::{Settings, Simulator};

use crate::endpoint::{Endpoint, reloads};
use crate::process::{Desk, Process, Signal, config, port};
use crate::started;
use crate::support::{Agent, Config, Page, eventually, simulate, world};

const SUCCESSFUL: &str = "nbu_agent_config_last_reload_successful";
const PENDING: &str = "nbu_agent_config_reload_pending";

fn state(page: &Page) -> (Option<f64>, Option<f64>) {
    (page.value(SUCCESSFUL, &[]), page.value(PENDING, &[]))
}

/// Asks for a reload that must be put off.
async fn is_put_off(desk: &Desk, endpoint: &Endpoint, config: &Config) -> String {
    desk.write("config.yaml", &config.yaml());
    let (status, body) = endpoint.post_reload().await;
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("the agent retries"), "{body}");
    let page = endpoint.scrape().await.expect("it serves");
    assert_eq!(state(&page), (Some(0.0), Some(1.0)), "{}", page.text());
    assert!(endpoint.get("/").await.contains("the agent retries"));
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn port_taken_for_a_while_is_bound_without_another_request() {
    let paris = simulate(world(1)).await;
    let here = config().site("paris", &paris);
    let mut there = here.clone();
    there.port = port();
    let desk = Desk::new();
    let (mut agent, old) = started(&desk, &here).await;
    let taken = TcpListener::bind(("127.0.0.1", there.port)).expect("it is free");
    let body = is_put_off(&desk, &old, &there).await;
    assert!(body.contains("another process uses the port"), "{body}");
    drop(taken);
    let new = Endpoint::on(there.port);
    let page = new.until(&mut agent, "the new port", |_| true).await;
    assert_eq!(state(&page), (Some(1.0), Some(0.0)), "{}", page.text());
    assert!((reloads(&page, "retry", "applied") - 1.0).abs() < f64::EPSILON, "{}", page.text());
    let said = agent.end_by(Signal::TERM).await.all();
    assert_eq!(said.matches("cannot be applied now").count(), 1, "told once: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_file_is_not_retried() {
    let paris = simulate(world(1)).await;
    let base = config().site("paris", &paris);
    let desk = Desk::new();
    let (mut agent, endpoint) = started(&desk, &base).await;
    let mut there = base.clone();
    there.port = port();
    let taken = TcpListener::bind(("127.0.0.1", there.port)).expect("it is free");
    is_put_off(&desk, &endpoint, &there).await;
    desk.write("config.yaml", &there.yaml().replace("apiKey", "apiKeey"));
    assert_eq!(endpoint.post_reload().await.0, 400);
    let page = endpoint.scrape().await.expect("it serves");
    assert_eq!(state(&page), (Some(0.0), Some(0.0)), "{}", page.text());
    // Going back to what is in force ends it as well.
    is_put_off(&desk, &endpoint, &there).await;
    desk.write("config.yaml", &base.yaml());
    assert_eq!(endpoint.post_reload().await.0, 200);
    let page = endpoint.scrape().await.expect("it serves");
    assert_eq!(state(&page), (Some(1.0), Some(0.0)), "{}", page.text());
    drop(taken);
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_state_directory_is_acquired_once_free() {
    let paris = simulate(world(1)).await;
    let base = config().site("paris", &paris);
    let desk = Desk::new();
    let (mut agent, endpoint) = started(&desk, &base).await;
    fs::create_dir(desk.path("theirs")).expect("it is made");
    let theirs = File::create(desk.path("theirs/lock")).expect("it is made");
    theirs.lock().expect("it is locked");
    let kept = base.with("state: { directory: theirs }");
    let body = is_put_off(&desk, &endpoint, &kept).await;
    assert!(body.contains("another agent uses it"), "{body}");
    drop(theirs);
    let in_force = |page: &Page| state(page) == (Some(1.0), Some(0.0));
    endpoint.until(&mut agent, "the directory", in_force).await;
    assert!(desk.path("theirs/instance-id").exists());
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_key_file_is_read_once_it_exists() {
    let (paris, tokyo) = (simulate(world(1)).await, simulate(world(2)).await);
    let base = config().site("paris", &paris);
    let desk = Desk::new();
    let (mut agent, endpoint) = started(&desk, &base).await;
    let both = base.site_at("tokyo", tokyo.addr(), "apiKeyFile: later.key");
    let body = is_put_off(&desk, &endpoint, &both).await;
    assert!(body.contains("config.yaml:4:") && body.contains("apiKeyFile"), "{body}");
    desk.write("later.key", &tokyo.settings().api_key);
    let page = endpoint.complete(&mut agent, "tokyo").await;
    assert_eq!(state(&page), (Some(1.0), Some(0.0)), "{}", page.text());
    agent.end_by(Signal::TERM).await;
}

/// An agent whose site has a key that the server does not take, in a file.
struct Rotation {
    paris: Simulator,
    base: Config,
    desk: Desk,
    agent: Process,
    endpoint: Endpoint,
}

impl Rotation {
    async fn start() -> Self {
        let paris = simulate(Settings { api_key: "new-key".to_owned(), ..world(1) }).await;
        let base = config().site_at("paris", paris.addr(), "apiKeyFile: key");
        let desk = Desk::new();
        desk.write("key", "old-key");
        let (mut agent, endpoint) = started(&desk, &base).await;
        agent.says("unauthorized").await;
        Self { paris, base, desk, agent, endpoint }
    }

    /// Rotates the key; it must be used, though what was wrong still is.
    async fn rotate(mut self) {
        self.desk.write("key", "new-key");
        let page = self.endpoint.complete(&mut self.agent, "paris").await;
        assert_eq!(page.value(SUCCESSFUL, &[]), Some(0.0), "{}", page.text());
        assert_eq!(self.paris.presented_keys().last().map(String::as_str), Some("new-key"));
        let said = self.agent.end_by(Signal::TERM).await.all();
        assert!(said.contains("nbuservers[paris].apiKeyFile: content changed"), "{said}");
        assert!(!said.contains("new-key"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_key_applies_though_a_port_is_taken() {
    let rotation = Rotation::start().await;
    let mut there = rotation.base.clone();
    there.port = port();
    let _taken = TcpListener::bind(("127.0.0.1", there.port)).expect("it is free");
    is_put_off(&rotation.desk, &rotation.endpoint, &there).await;
    rotation.rotate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_key_applies_though_the_file_is_broken() {
    let rotation = Rotation::start().await;
    rotation.desk.write("config.yaml", "nbuservers: [\n");
    assert_eq!(rotation.endpoint.post_reload().await.0, 400);
    rotation.rotate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_key_applies_though_another_sites_file_is_missing() {
    let rotation = Rotation::start().await;
    let tokyo = simulate(world(2)).await;
    let both = rotation.base.clone().site_at("tokyo", tokyo.addr(), "apiKeyFile: nowhere");
    is_put_off(&rotation.desk, &rotation.endpoint, &both).await;
    rotation.rotate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unopenable_log_does_not_fail_a_reload() {
    let paris = simulate(world(1)).await;
    let base = config().site("paris", &paris);
    let desk = Desk::new();
    let (mut agent, endpoint) = started(&desk, &base).await;
    let server = "logName: missing/agent.log, scrapingInterval: 24h, collectionInterval: 400s";
    desk.write("config.yaml", &base.clone().server(server).yaml());
    let (status, body) = endpoint.post_reload().await;
    assert_eq!((status, body.contains("server.collectionInterval")), (200, true), "{body}");
    agent.says("logging to standard error").await;
    fs::create_dir(desk.path("missing")).expect("it is made");
    let taken = || async {
        desk.read("missing/agent.log").contains("to the configured file again").then_some(())
    };
    eventually("the log file", taken).await;
    agent.end_by(Signal::TERM).await;
    assert!(desk.read("missing/agent.log").contains("SIGTERM"));
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_ports_back_and_forth_is_no_conflict() {
    let paris = simulate(world(1)).await;
    let here = config().site("paris", &paris);
    let mut there = here.clone();
    there.port = port();
    // In this process, so that nothing comes between two reloads.
    let mut agent = Agent::start(&here).await;
    for _ in 0..5 {
        agent.reload(&there).await;
        agent.reload(&here).await;
    }
    assert_eq!(agent.scrape().await.value(SUCCESSFUL, &[]), Some(1.0));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_beside_the_configuration_cause_no_reload() {
    let paris = simulate(world(1)).await;
    let server = "logName: agent.log, logLevel: debug, collectionInterval: 50ms";
    let base = config().server(server).site("paris", &paris);
    let desk = Desk::new();
    let (mut agent, endpoint) = started(&desk, &base).await;
    let many = || async { (desk.read("agent.log").lines().count() > 200).then_some(()) };
    eventually("many lines", many).await;
    let page = endpoint.scrape().await.expect("it serves");
    let of = |trigger| ["applied", "unchanged", "rejected"].map(|r| reloads(&page, trigger, r));
    assert!(of("watch").iter().sum::<f64>().abs() < f64::EPSILON, "{}", page.text());
    assert_eq!(page.value("nbu_agent_log_lines_dropped_total", &[]), Some(0.0));
    tokio::time::timeout(Duration::from_secs(10), agent.end_by(Signal::TERM))
        .await
        .expect("it ends");
}
