//! SIGTERM and SIGINT end the agent in time and in order, whatever state a site or the Collector is
//! in; a second signal ends it at once.

use std::time::Duration;

use nbu_sim::{Fault, Simulator};
use otlp_sink::{Behaviour, Options, Sink};

use crate::endpoint::{Endpoint, errors};
use crate::process::{Desk, Process, Refusing, Signal, config};
use crate::support::{Config, Page, simulate, world};

const SIGNALS: [(Signal, &str); 2] = [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")];

/// Ends an agent whose healthy site is complete and of whose other site `seen` is true.
async fn ends(
    (signal, name): (Signal, &str),
    healthy: &Simulator,
    other: &Config,
    seen: impl Fn(&Page) -> bool,
) {
    let config = other.clone().site("healthy", healthy);
    let mut agent = Desk::with(&config.yaml()).start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    endpoint.complete(&mut agent, "healthy").await;
    let page = endpoint.until(&mut agent, "the state of the other site", seen).await;
    let jobs = page.of_site("healthy", |name| name == "nbu_jobs_count");
    assert!(!jobs.is_empty(), "{}", page.text());
    let ended = agent.end_by(signal).await;
    assert!(ended.stdout.contains(&format!("signal=\"{name}\"")), "{}", ended.all());
    assert!(ended.stdout.trim_end().ends_with(": shutdown complete"), "{}", ended.all());
}

/// The same beside a site that fails with errors of this kind; once by each signal.
async fn ends_beside(sick: &Config, kind: &str) {
    let healthy = simulate(world(1)).await;
    for signal in SIGNALS {
        ends(signal, &healthy, sick, |page| errors(page, "sick", kind) > 0.0).await;
    }
}

/// The same beside a simulated server with a fault.
async fn ends_beside_fault(fault: Fault, kind: &str) {
    let sick = simulate(world(2)).await;
    sick.faults().add(fault);
    ends_beside(&config().site("sick", &sick), kind).await;
}

/// The same while a fault that struck so often keeps a run of the collector of jobs from its end.
async fn ends_during(fault: Fault, strikes: u64) {
    let (healthy, sick) = (simulate(world(1)).await, simulate(world(2)).await);
    sick.faults().add(fault);
    let config = config().site("sick", &sick);
    for signal in SIGNALS {
        let before = sick.faults().struck();
        let busy = |page: &Page| {
            let run = |result| {
                let labels = [("site", "sick"), ("collector", "jobs"), ("result", result)];
                page.value("nbu_agent_collector_runs_total", &labels)
            };
            sick.faults().struck() >= before + strikes
                && (run("success"), run("failure")) == (Some(0.0), Some(0.0))
        };
        ends(signal, &healthy, &config, busy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_agent_while_server_refuses_connections() {
    let sick = Refusing::new();
    ends_beside(&config().site_at("sick", sick.address(), "apiKey: unused"), "connect").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_agent_while_server_refuses_the_key() {
    let sick = simulate(world(2)).await;
    let config = config().site("sick", &sick);
    sick.set_api_key("another");
    ends_beside(&config, "unauthorized").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_agent_while_server_lacks_storage() {
    ends_beside_fault(Fault::on("/storage").status(404), "not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_agent_while_cursor_repeats() {
    ends_beside_fault(Fault::on("/admin/jobs").repeated_cursor(), "paging").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_agent_while_server_answers_html() {
    ends_beside_fault(Fault::on("/").html(), "body").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_agent_while_server_never_answers() {
    ends_during(Fault::on("/").hang(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_agent_during_an_endless_list() {
    ends_during(Fault::on("/admin/jobs").endless_pages(), 20).await;
}

/// Returns the number of requests with metrics that arrived.
fn exports(sink: &Sink) -> usize {
    let metrics =
        |request: &&otlp_sink::ReceivedRequest| request.signal == otlp_sink::Signal::Metrics;
    sink.requests().iter().filter(metrics).count()
}

/// A configuration that pushes to `endpoint`: once after the start, and hourly.
fn pushing(healthy: &Simulator, endpoint: &str) -> Config {
    let push = format!(
        "opentelemetry: {{ enabled: true, endpoint: \"{endpoint}\", interval: 1h, timeout: 60s }}"
    );
    config().site("healthy", healthy).with(&push)
}

async fn started(desk: &Desk, config: &Config) -> Process {
    let mut agent = desk.start(&["--config", "config.yaml"]);
    Endpoint::on(config.port).complete(&mut agent, "healthy").await;
    agent
}

#[tokio::test(flavor = "multi_thread")]
async fn last_export_arrives_after_sigterm() {
    let healthy = simulate(world(1)).await;
    let sink = Sink::start(Options::default()).expect("a sink");
    for (signal, _) in SIGNALS {
        let config = pushing(&healthy, &sink.grpc_endpoint());
        let desk = Desk::with(&config.yaml());
        let before = exports(&sink);
        let mut agent = started(&desk, &config).await;
        // The first one comes soon after the start, the next one would come in an hour.
        let first = || async { (exports(&sink) > before).then_some(()) };
        crate::support::eventually("the first export", first).await;
        let before = exports(&sink);
        sink.clear();
        agent.end_by(signal).await;
        assert!(exports(&sink) > 0, "no export after the signal, {before} before");
        let up = ("nbu.up".to_owned(), vec![("site".to_owned(), "healthy".to_owned())]);
        assert!(sink.latest().contains_key(&up), "{:?}", sink.latest().keys());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_agent_while_collector_is_down() {
    let (healthy, down) = (simulate(world(1)).await, Refusing::new());
    for (signal, _) in SIGNALS {
        let config = pushing(&healthy, &format!("http://{}", down.address()));
        let desk = Desk::with(&config.yaml());
        started(&desk, &config).await.end_by(signal).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_agent_while_collector_hangs() {
    let healthy = simulate(world(1)).await;
    let sink = Sink::start(Options::default()).expect("a sink");
    sink.set_behaviour(Behaviour::Hang);
    for (signal, _) in SIGNALS {
        let config = pushing(&healthy, &sink.grpc_endpoint());
        let desk = Desk::with(&config.yaml());
        let before = exports(&sink);
        let mut agent = started(&desk, &config).await;
        let hanging = || async { (exports(&sink) > before).then_some(()) };
        crate::support::eventually("an export that hangs", hanging).await;
        agent.end_by(signal).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn second_signal_after_a_second_exits_at_once() {
    let healthy = simulate(world(1)).await;
    let sink = Sink::start(Options::default()).expect("a sink");
    sink.set_behaviour(Behaviour::Hang);
    let config = pushing(&healthy, &sink.grpc_endpoint());
    let desk = Desk::with(&config.yaml());
    let mut agent = started(&desk, &config).await;
    agent.signal(Signal::TERM);
    agent.says("a second signal exits at once").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(agent.is_alive(), "it did not wait for its last export: {}", agent.said());
    let ended = agent.end_by(Signal::INT).await;
    assert!(ended.stdout.contains("exiting at once after a second signal"), "{}", ended.all());
    assert!(!ended.stdout.trim_end().ends_with(": shutdown complete"), "{}", ended.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_signal_within_a_moment_counts_once() {
    let healthy = simulate(world(1)).await;
    let sink = Sink::start(Options::default()).expect("a sink");
    sink.set_behaviour(Behaviour::Delay(Duration::from_secs(1)));
    let config = pushing(&healthy, &sink.grpc_endpoint());
    let desk = Desk::with(&config.yaml());
    let mut agent = started(&desk, &config).await;
    agent.signal(Signal::TERM);
    let ended = agent.end_by(Signal::TERM).await;
    assert!(ended.stdout.trim_end().ends_with(": shutdown complete"), "{}", ended.all());
    assert!(sink.latest().keys().any(|(name, _)| name == "nbu.up"), "no last export");
}
