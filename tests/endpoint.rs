//! The endpoint: routes, headers, encodings, addresses.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Read as _;

use nbu_otel_agent::http::{Address, Bound};
use support::process::port as free_port;
use support::{Agent, Config, simulate, world};

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_is_ready_before_the_first_poll_ends() {
    let simulator = simulate(world(1)).await;
    simulator.faults().add(nbu_sim::Fault::on("/").hang());
    let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
    assert_eq!(agent.get("/-/ready").await.status(), 200);
    assert_eq!(agent.get("/-/healthy").await.status(), 200);
    let health = agent.get("/health").await;
    assert_eq!(health.status(), 503);
    assert_eq!(health.text().await.unwrap(), "UNHEALTHY: NetBackup API unreachable");
    let page = agent.scrape().await;
    assert_eq!(page.value("nbu_agent_config_last_reload_successful", &[]), Some(1.0));
    assert_eq!(page.value("nbu_up", &[("site", "paris")]), None, "unknown is absent");
    let runs = [("site", "paris"), ("collector", "jobs"), ("result", "failure")];
    let zero =
        |page: &support::Page| page.value("nbu_agent_collector_runs_total", &runs) == Some(0.0);
    agent.scrape_until("the explicit zero of failures", zero).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_answer_as_documented() {
    let simulator = simulate(world(1)).await;
    let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
    agent.first_samples("paris").await;
    let health = agent.get("/health").await;
    assert_eq!((health.status().as_u16(), health.text().await.unwrap().as_str()), (200, "OK"));
    let metrics = agent.get("/metrics").await;
    assert_eq!(metrics.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(metrics.headers().get("content-encoding").is_none());
    assert_eq!(metrics.headers()["x-content-type-options"], "nosniff");
    let landing = agent.get("/").await;
    let policy = landing.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert_eq!(landing.headers()["content-type"], "text/html; charset=utf-8");
    assert!(landing.text().await.unwrap().contains("paris"));
    let nothing = agent.get("/metric").await;
    assert_eq!(nothing.status(), 404);
    assert!(nothing.text().await.unwrap().contains("/metrics"), "it says where the metrics are");
    let client = support::http_client();
    let head = client.head(agent.url("/metrics")).send().await.unwrap();
    assert_eq!(head.status(), 200);
    let post = client.post(agent.url("/metrics")).send().await.unwrap();
    assert_eq!(post.status(), 405);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exposition_is_compressed_if_accepted() {
    let simulator = simulate(world(1)).await;
    let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
    let plain = agent.first_samples("paris").await;
    let request = support::http_client().get(agent.url("/metrics"));
    let response = request.header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let bytes = response.bytes().await.unwrap();
    let mut text = String::new();
    // A decoder of one member: some clients read no more.
    flate2::read::GzDecoder::new(bytes.as_ref()).read_to_string(&mut text).unwrap();
    assert!(bytes.len() < text.len() / 3);
    let compressed = support::Page::parse(&text);
    let of_site = |page: &support::Page| page.of_site("paris", |name| name.starts_with("nbu_jobs"));
    assert_eq!(of_site(&compressed), of_site(&plain));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn path_of_the_exposition_is_a_setting() {
    let simulator = simulate(world(1)).await;
    let config = Config::new().server("uri: /probe/nbu").site("paris", &simulator);
    let agent = Agent::start(&config).await;
    assert_eq!(agent.get("/metrics").await.status(), 404);
    assert!(agent.get("/probe/nbu").await.text().await.unwrap().contains("nbu_agent_build_info"));
    agent.stop().await;
}

fn listen_at(host: &str) -> Address {
    Address { host: host.to_owned(), port: free_port() }
}

#[tokio::test]
async fn taken_address_is_a_clear_error() {
    let config = listen_at("127.0.0.1");
    let _first = Bound::bind(&config).unwrap();
    let error = Bound::bind(&config).unwrap_err().to_string();
    assert!(error.contains(&format!("127.0.0.1:{}", config.port)), "{error}");
    assert!(error.contains("server.port"), "{error}");
}

#[tokio::test]
async fn endpoint_listens_on_ipv6() {
    let config = listen_at("::1");
    let bound = Bound::bind(&config).unwrap();
    assert!(bound.address().is_ipv6());
}
