//! Each class of key takes effect live. Those of sites and polling are in tests/live_sites.rs.

use otlp_sink::{Options, Sink};

use crate::endpoint::Endpoint;
use crate::process::{Desk, Process, Signal, config, port};
use crate::started;
use crate::support::received::{labels, received};
use crate::support::{Config, Page, eventually, simulate, world};

async fn complete(desk: &Desk, config: &Config) -> (Process, Endpoint) {
    let (mut agent, endpoint) = started(desk, config).await;
    endpoint.complete(&mut agent, "paris").await;
    (agent, endpoint)
}

fn push(endpoint: &str, more: &str) -> String {
    format!("opentelemetry: {{ enabled: true, endpoint: \"{endpoint}\", interval: 300ms, {more} }}")
}

async fn apply(desk: &Desk, endpoint: &Endpoint, config: &Config) {
    desk.write("config.yaml", &config.yaml());
    let (status, body) = endpoint.post_reload().await;
    // The watch may have been there first.
    let in_force = body.contains("applied") || body.contains("unchanged");
    assert_eq!((status, in_force), (200, true), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_moves_without_a_failed_scrape() {
    let paris = simulate(world(1)).await;
    let base = config().site("paris", &paris);
    let desk = Desk::new();
    let (mut agent, endpoint) = complete(&desk, &base).await;
    let lifecycle = "lifecycle: true, scrapingInterval: 24h, collectionInterval: 300s";
    let everywhere = base.clone().server(lifecycle);
    let everywhere = everywhere.yaml().replace("host: 127.0.0.1", "host: 0.0.0.0");
    desk.write("config.yaml", &everywhere);
    assert_eq!(endpoint.post_reload().await.0, 200);
    for _ in 0..20 {
        assert!(endpoint.scrape().await.is_some(), "the same port, wider");
    }
    desk.write("config.yaml", &everywhere.replace("lifecycle: true", "lifecycle: true, uri: /m"));
    assert_eq!(endpoint.post_reload().await.0, 200);
    assert!(endpoint.get("/m").await.contains("nbu_up{site=\"paris\"} 1"));
    assert!(endpoint.get("/metrics").await.contains("the metrics are at /m"));

    let mut elsewhere = base.clone();
    elsewhere.port = port();
    desk.write("config.yaml", &elsewhere.yaml());
    assert_eq!(endpoint.post_reload().await.0, 200, "the answer comes over the old listener");
    let moved = Endpoint::on(elsewhere.port);
    let page = moved.until(&mut agent, "a page at the new port", |_| true).await;
    assert_eq!(page.value("nbu_up", &[("site", "paris")]), Some(1.0));
    eventually("the old one closes", || async { endpoint.scrape().await.is_none().then_some(()) })
        .await;
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_file_level_and_format_change_with_the_next_line() {
    let paris = simulate(world(1)).await;
    let base = config().site("paris", &paris);
    let desk = Desk::new();
    let (mut agent, endpoint) = complete(&desk, &base).await;
    let server = "logName: agent.log, logFormat: json, logLevel: debug, scrapingInterval: 24h, collectionInterval: 1s";
    apply(&desk, &endpoint, &base.clone().server(server)).await;
    eventually("a debug line in JSON", || async {
        let log = desk.read("agent.log");
        log.lines().any(|line| line.starts_with('{') && line.contains("\"DEBUG\"")).then_some(())
    })
    .await;
    let said = agent.said();
    apply(&desk, &endpoint, &base).await;
    agent.says("logName").await;
    assert!(agent.said().len() > said.len(), "back on standard output");
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn push_moves_after_final_export_without_removed_sites() {
    let (paris, tokyo) = (simulate(world(1)).await, simulate(world(2)).await);
    let sink = || Sink::start(Options { keep: 200, ..Options::default() }).expect("a receiver");
    let (first, second) = (sink(), sink());
    let both = config().site("paris", &paris).site("tokyo", &tokyo);
    let port = both.port;
    let desk = Desk::new();
    // An hour away: what arrives after the change is the last export.
    let push_first = push(&first.grpc_endpoint(), "").replace("300ms", "1h");
    let (mut agent, endpoint) = complete(&desk, &both.clone().with(&push_first)).await;
    endpoint.complete(&mut agent, "tokyo").await;
    eventually("the first export", || async { (first.request_count() > 0).then_some(()) }).await;
    let before = first.request_count();

    let to_second = push(
        &second.http_endpoint(),
        "protocol: http/protobuf, headers: { authorization: a-secret-token }, \
         resourceAttributes: { team: backup }",
    );
    apply(&desk, &endpoint, &both.with(&to_second)).await;
    eventually("a last export", || async { (first.request_count() > before).then_some(()) }).await;
    let request = eventually("an export to the second", || async { second.metrics().pop() }).await;
    let resource = request.resource_metrics[0].resource.clone().expect("a resource");
    assert!(labels(&resource.attributes).contains(&("team", "backup")));
    eventually("tokyo over OTLP", || async { shows(&second, "tokyo").then_some(()) }).await;

    let mut only_paris = config().site("paris", &paris).with(&to_second);
    only_paris.port = port;
    apply(&desk, &endpoint, &only_paris).await;
    second.clear();
    let page = endpoint.scrape().await.expect("it serves");
    assert!(!page.has_label("site", "tokyo"), "{}", page.text());
    // One may have been under way.
    eventually("three exports", || async { (second.metrics().len() >= 3).then_some(()) }).await;
    second.clear();
    eventually("two more", || async { (second.metrics().len() >= 2).then_some(()) }).await;
    assert!(shows(&second, "paris") && !shows(&second, "tokyo"));
    let said = agent.end_by(Signal::TERM).await.all();
    assert!(!said.contains("a-secret-token"), "{said}");
    assert!(said.contains("opentelemetry.headers"), "{said}");
}

fn shows(sink: &Sink, site: &str) -> bool {
    let is = |labels: &[(String, String)]| labels.iter().any(|(k, v)| k == "site" && v == site);
    received(sink).keys().any(|(_, labels)| is(labels))
}

#[tokio::test(flavor = "multi_thread")]
async fn series_limit_applies_from_the_reload_on() {
    let paris = simulate(world(1)).await;
    let base = config().site("paris", &paris);
    let desk = Desk::new();
    let (mut agent, endpoint) = complete(&desk, &base).await;
    let dropped =
        |page: &Page| page.text().contains("nbu_agent_cardinality_dropped_series{metric=");
    assert!(!dropped(&endpoint.scrape().await.expect("it serves")));
    apply(&desk, &endpoint, &base.clone().with("metrics: { cardinalityLimit: 5 }")).await;
    let page = endpoint.scrape().await.expect("it serves");
    assert!(dropped(&page), "{}", page.text());
    assert_eq!(page.of_site("paris", |name| name == "nbu_jobs_count").len(), 5);
    apply(&desk, &endpoint, &base).await;
    assert!(!dropped(&endpoint.scrape().await.expect("it serves")));
    agent.end_by(Signal::TERM).await;
}
