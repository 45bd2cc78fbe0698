//! Receivers that stop, hang, refuse or crawl: the agent polls and serves on, its memory stays flat, its
//! log says each change of state once, and the first export after it is complete.

use std::time::Duration;

use nbu_sim::Simulator;
use otlp_sink::{Behaviour, Options, Sink};

use crate::collector::{Collector, push};
use crate::endpoint::Endpoint;
use crate::process::{Desk, Process, Signal, config};
use crate::proxy::SlowLine;
use crate::series::{Everything, normalized, of_sites};
use crate::support::expected::{assert_same, differences};
use crate::support::received::received;
use crate::support::{Page, simulate, world};

/// Number of exports that fail.
const FAILURES: f64 = 12.0;

/// Settings of a push that gives up soon.
const IN_A_HURRY: &str = "interval: 300ms, timeout: 600ms";

/// Limit of the growth of the resident set while nothing arrives.
const FLAT: f64 = 24.0 * 1024.0 * 1024.0;

/// An agent that polls a site and pushes.
struct Pushing {
    agent: Process,
    endpoint: Endpoint,
    _desk: Desk,
    _paris: Simulator,
}

impl Pushing {
    async fn start(polls: &str, push: &str) -> Self {
        let paris = simulate(world(1)).await;
        let config = config()
            .server(&format!(
                "scrapingInterval: 24h, collectionInterval: {polls}, cacheTTL: {polls}"
            ))
            .site("paris", &paris)
            .with(push);
        let desk = Desk::with(&config.yaml());
        let mut agent = desk.start(&["--config", "config.yaml"]);
        let endpoint = Endpoint::on(config.port);
        endpoint.complete(&mut agent, "paris").await;
        Self { agent, endpoint, _desk: desk, _paris: paris }
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Page) -> bool) -> Page {
        self.endpoint.until(&mut self.agent, what, done).await
    }

    /// Lets so many more exports of metrics end well, or badly.
    async fn exports(&mut self, well: bool, more: f64) -> Page {
        let before = exports(&self.endpoint.scrape().await.expect("it serves"), well);
        self.until("exports", |page| exports(page, well) >= before + more).await
    }

    /// Lets exports fail; the agent polls and serves meanwhile. What the push said in the log.
    async fn fails(&mut self) -> Vec<String> {
        let polls = [("site", "paris"), ("collector", "jobs"), ("result", "success")];
        let runs = |page: &Page| page.value("nbu_agent_collector_runs_total", &polls);
        let already = self.lines().len();
        let before = runs(&self.endpoint.scrape().await.expect("it serves")).expect("it polls");
        let page = self.exports(false, FAILURES).await;
        assert!(runs(&page).is_some_and(|runs| runs > before), "it polls on");
        assert_eq!(page.value("nbu_up", &[("site", "paris")]), Some(1.0));
        self.lines().split_off(already)
    }

    /// Lines of the log about the push of metrics, debug aside.
    fn lines(&self) -> Vec<String> {
        let said = self.agent.said();
        said.lines().filter(|line| line.contains("OTLP metrics push")).map(String::from).collect()
    }
}

/// Exports of metrics that ended well, or badly.
fn exports(page: &Page, well: bool) -> f64 {
    let counts = |labels: &[(String, String)]| {
        let is = |key: &str, test: &dyn Fn(&str) -> bool| {
            labels.iter().any(|(known, value)| known == key && test(value))
        };
        is("signal", &|value| value == "metrics")
            && is("result", &|value| (value == "success") == well)
    };
    page.series()
        .iter()
        .filter(|((name, labels), _)| name == "nbu_agent_otlp_exports_total" && counts(labels))
        .map(|(_, count)| count)
        .sum()
}

/// An outage is told, each way in which it shows itself once: on a busy machine a receiver that refuses
/// may also be too slow to say so.
fn assert_told_once(lines: &[String]) {
    let kinds: Vec<_> =
        lines.iter().map(|line| line.rsplit_once("kind=").map(|(_, kind)| kind)).collect();
    let distinct: std::collections::BTreeSet<_> = kinds.iter().collect();
    assert!((1..=2).contains(&kinds.len()) && distinct.len() == kinds.len(), "{lines:#?}");
}

fn resident(page: &Page) -> f64 {
    page.value("process_resident_memory_bytes", &[]).expect("a resident set")
}

/// Returns the series that exist whenever the site is polled; counters and times move between two looks.
fn keys(series: &Everything) -> Everything {
    series.keys().map(|series| (series.clone(), 0.0)).collect()
}

async fn stopped_and_started(protocol: &str) {
    let mut collector = Collector::start().await;
    let mut pushing = Pushing::start("1h", &collector.push(protocol, IN_A_HURRY)).await;
    pushing.exports(true, 2.0).await;
    let served = of_sites(&pushing.endpoint.scrape().await.expect("it serves"));

    for round in 1..=2 {
        let already = pushing.lines().len();
        collector.stop().await;
        pushing.exports(false, FAILURES).await;
        collector.start_again(&[]).await;
        let page = pushing.exports(true, 1.0).await;
        // One export arrived and no more can be needed: what is asked for again is its way through
        // the Collector's batches.
        let mut shown = of_sites(&collector.page().await);
        for _ in 0..20 {
            if !differences(&shown, &served).is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                shown = of_sites(&collector.page().await);
            }
        }
        assert_same(&shown, &served);
        let lines = pushing.lines().split_off(already);
        let (back, failing): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|line| line.contains("recovered after"));
        assert_eq!(back.len(), 1, "round {round}: {back:#?}");
        assert_told_once(&failing);
        assert_eq!(page.value("nbu_up", &[("site", "paris")]), Some(1.0));
    }
    pushing.agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_collector_gets_everything_at_once_over_grpc() {
    stopped_and_started("grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_collector_gets_everything_at_once_over_http() {
    stopped_and_started("http/protobuf").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exporter_logs_once_and_recovers_when_collector_lacks_memory() {
    let mut collector = Collector::with(&[
        "processors::memory_limiter::limit_mib: 1",
        "processors::memory_limiter::spike_limit_mib: 0",
        "processors::memory_limiter::check_interval: 100ms",
    ])
    .await;
    let mut pushing = Pushing::start("200ms", &collector.push("grpc", IN_A_HURRY)).await;
    pushing.fails().await;
    assert_told_once(&pushing.lines());
    collector.stop().await;
    collector.start_again(&[]).await;
    pushing.exports(true, 2.0).await;
    let served = keys(&of_sites(&pushing.endpoint.scrape().await.expect("it serves")));
    let shown = async || keys(&of_sites(&collector.page().await));
    crate::support::eventually("everything arrives", || async {
        differences(&shown().await, &served).is_empty().then_some(())
    })
    .await;
    pushing.agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collector_behind_a_slow_line_gets_everything() {
    for protocol in ["grpc", "http/protobuf"] {
        let collector = Collector::start().await;
        let line = SlowLine::to(collector.authority(protocol)).await;
        let mut pushing =
            Pushing::start("1h", &push(&line.authority, protocol, "interval: 200ms")).await;
        let page = pushing.exports(true, 2.0).await;
        let took = page.value("nbu_agent_otlp_export_duration_seconds", &[("signal", "metrics")]);
        println!("{protocol}: an export took {took:?} s at 200 ms intervals");
        assert!((exports(&page, false)).abs() < f64::EPSILON, "none failed");
        let served = of_sites(&page);
        crate::support::eventually("everything arrives", || async {
            differences(&of_sites(&collector.page().await), &served).is_empty().then_some(())
        })
        .await;
        pushing.agent.end_by(Signal::TERM).await;
    }
}

/// Returns the ways in which a receiver can fail. One that does not take a signal is asked again once an hour,
/// which tests/otlp holds.
fn failures() -> Vec<(&'static str, Behaviour)> {
    vec![
        ("hangs", Behaviour::Hang),
        ("answers too late", Behaviour::Delay(Duration::from_secs(20))),
        ("is unavailable, which a retry may mend", Behaviour::GrpcStatus(14)),
        ("does not take it, which no retry mends", Behaviour::GrpcStatus(3)),
        ("has no room", Behaviour::HttpStatus(429)),
        ("has a bug", Behaviour::HttpStatus(500)),
        (
            "rejects a part",
            Behaviour::PartialSuccess { rejected: 7, message: "out of order".to_owned() },
        ),
    ]
}

async fn every_failure(protocol: &str) {
    let sink = Sink::start(Options { keep: 4, ..Options::default() }).expect("a receiver");
    let endpoint = if protocol == "grpc" { sink.grpc_endpoint() } else { sink.http_endpoint() };
    let authority = endpoint.trim_start_matches("http://");
    let push = push(authority, protocol, "interval: 150ms, timeout: 800ms");
    let mut pushing = Pushing::start("200ms", &push).await;
    let mut page = pushing.exports(true, 5.0).await;
    let mut warm = None;
    for (what, behaviour) in failures() {
        sink.set_behaviour(behaviour);
        let lines = pushing.fails().await;
        println!("{protocol}: a receiver that {what}");
        assert_told_once(&lines);
        let already = pushing.lines().len();
        sink.clear();
        sink.set_behaviour(Behaviour::Accept);
        page = pushing.exports(true, 1.0).await;
        let arrived = keys(&normalized(received(&sink)));
        let served = keys(&of_sites(&page));
        assert_same(&arrived, &served);
        let lines = pushing.lines().split_off(already);
        assert_eq!(lines.len(), 1, "{protocol}: its recovery is told once: {lines:#?}");
        warm.get_or_insert(resident(&page));
    }
    let grown = resident(&page) - warm.expect("it was measured");
    println!("{protocol}: the resident set grew by {:.1} MiB", grown / 1_048_576.0);
    assert!(grown < FLAT, "the resident set grew by {grown} bytes");
    pushing.agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receiver_failures_are_survived_and_logged_once_over_grpc() {
    every_failure("grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receiver_failures_are_survived_and_logged_once_over_http() {
    every_failure("http/protobuf").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn black_hole_receiver_costs_only_its_own_exports() {
    for protocol in ["grpc", "http/protobuf"] {
        // The system completes connections; nobody ever accepts or answers.
        let hole = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = hole.local_addr().expect("it has an address");
        let push = push(&address.to_string(), protocol, "interval: 150ms, timeout: 300ms");
        let mut pushing = Pushing::start("200ms", &push).await;
        pushing.exports(false, 2.0).await;
        let warm = resident(&pushing.endpoint.scrape().await.expect("it serves"));
        let lines = pushing.fails().await;
        assert!(lines.is_empty(), "it was told already: {lines:#?}");
        let page = pushing.endpoint.scrape().await.expect("it serves");
        assert!(resident(&page) - warm < FLAT);
        let ended = pushing.agent.end_by(Signal::TERM).await;
        let told = ended.stdout.lines().filter(|line| line.contains("OTLP metrics push"));
        assert_told_once(&told.map(String::from).collect::<Vec<_>>());
    }
}
