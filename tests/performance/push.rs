//! OTLP push of 100,000 series.

use std::time::Duration;

use nbu_sim::Settings;
use otlp_sink::{Options, Sink};

use crate::endpoint::Endpoint;
use crate::process::{Desk, Process, Signal, config};
use crate::quiet::until_quiet;
use crate::report::Report;
use crate::support::{Page, simulate, world};
use crate::usage::{Cpu, Memory, mb};

const SERIES: f64 = 100_000.0;
const PUSHES: usize = 4;

/// Budget: seconds on the clock, and MB above the resident size before a push.
const TIME: f64 = 1.0;
const ABOVE: f64 = 60.0;

/// Time without a request after which a push has ended.
const QUIET: Duration = Duration::from_secs(2);

/// Waits for the next request, and until none comes any more.
async fn one_push(sink: &Sink, agent: &mut Process) {
    until_quiet(agent, sink.request_count(), QUIET, || sink.request_count()).await;
}

async fn measure(protocol: &str, compression: &str) {
    let paris = simulate(Settings { storage_units: 22_500, ..world(1) }).await;
    let sink = Sink::start(Options::default()).unwrap();
    let address = if protocol == "grpc" { sink.grpc_endpoint() } else { sink.http_endpoint() };
    let config = config()
        .server("scrapingInterval: 24h, collectionInterval: 1h, cacheTTL: 1h")
        .site("paris", &paris)
        .with(&format!(
            "opentelemetry: {{ enabled: true, endpoint: \"{address}\", protocol: {protocol}, interval: 8s, \
             compression: {compression}, signals: [metrics] }}"
        ));
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    let page = endpoint.complete(&mut agent, "paris").await;
    // A histogram is one of these, as it is one point.
    let series = page.value("nbu_agent_series", &[]).unwrap_or(0.0);
    assert!(series >= SERIES, "only {series} series");
    // The first ones meet an agent that has just started.
    for _ in 0..2 {
        one_push(&sink, &mut agent).await;
    }

    let took = |page: &Page| {
        let metrics = [("signal", "metrics")];
        page.value("nbu_agent_otlp_export_duration_seconds", &metrics).unwrap_or(f64::NAN)
    };
    let (mut above, mut slowest, mut cpu) = (0.0_f64, 0.0_f64, 0.0);
    let (mut bytes, mut requests, mut before) = (0, 0, 0.0_f64);
    for _ in 0..PUSHES {
        sink.clear();
        let quiet = Memory::of(agent.id()).resident;
        Memory::forget_peak(agent.id());
        let used = Cpu::of(agent.id());
        one_push(&sink, &mut agent).await;
        cpu += (Cpu::of(agent.id()) - used).total() / PUSHES as f64;
        above = above.max(Memory::of(agent.id()).peak - quiet);
        before = before.max(quiet);
        let received = sink.requests();
        let points: usize = received.iter().map(|request| request.items).sum();
        assert!(points as f64 >= series, "{points} of {series} arrived");
        bytes = received.iter().map(|request| request.bytes).sum();
        requests = received.len();
        let page = endpoint.scrape().await.expect("a page");
        slowest = slowest.max(took(&page));
    }
    let mut report = Report::default();
    let name = format!("push of {series} series, {protocol}, {compression}");
    let size = format!("{:.1} MB in {requests} requests", bytes as f64 / 1e6);
    report.note(&format!("{name}: size"), size, "-");
    report.note(&format!("{name}: slowest"), format!("{slowest:.3} s"), format!("{TIME} s"));
    report.note(&format!("{name}: CPU"), format!("{cpu:.3} s"), "-");
    let quiet = format!("{:.1} MB", mb(before));
    report.note(&format!("{name}: resident before"), quiet, "-");
    report.hold(&format!("{name}: above that"), mb(above), ABOVE, "MB", 1.0);
    agent.end_by(Signal::TERM).await;
    report.end();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures a release build: .ci/long performance"]
async fn push_over_grpc_is_complete_and_small() {
    measure("grpc", "none").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures a release build: .ci/long performance"]
async fn push_over_http_with_gzip_is_complete_and_small() {
    measure("http/protobuf", "gzip").await;
}
