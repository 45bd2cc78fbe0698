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

/// Returns the lines of one site, and the heads of their families.
fn lines_of_site(page: &str, site: &str) -> String {
    let (mut shown, mut head) = (String::new(), String::new());
    for line in page.split_inclusive('\n') {
        if line.starts_with("# HELP") {
            line.clone_into(&mut head);
        } else if line.starts_with('#') {
            head.push_str(line);
        } else if line.contains(&format!("site=\"{site}\"")) {
            shown.push_str(&std::mem::take(&mut head));
            shown.push_str(line);
        }
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn page_of_one_site_has_its_lines_of_the_whole() {
    let (paris, tokyo) = (simulate(world(1)).await, simulate(world(2)).await);
    let config = Config::new().site("paris", &paris).site("tokyo 1", &tokyo);
    let mut agent = Agent::start(&config).await;
    agent.first_samples("paris").await;
    agent.first_samples("tokyo 1").await;
    let whole = agent.fresh_text().await;
    for (query, site) in [("paris", "paris"), ("tokyo+1", "tokyo 1"), ("paris", "paris")] {
        let page = agent.get(&format!("/metrics?site={query}")).await;
        assert_eq!(page.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        assert!(page.text().await.unwrap() == lines_of_site(&whole, site), "{site}");
        let request = support::http_client().get(agent.url(&format!("/metrics?site={query}")));
        let gzip = request.header("accept-encoding", "gzip").send().await.unwrap();
        let (mut text, bytes) = (String::new(), gzip.bytes().await.unwrap());
        flate2::read::GzDecoder::new(bytes.as_ref()).read_to_string(&mut text).unwrap();
        assert!(text == lines_of_site(&whole, site), "{site}");
    }
    let own = support::Page::parse(&agent.get("/metrics?site=").await.text().await.unwrap());
    assert_eq!(own.value("nbu_agent_sites", &[]), Some(2.0));
    assert!(own.series().keys().all(|(_, labels)| labels.iter().all(|(key, _)| key != "site")));
    // What changes shows there, too.
    agent.reload(&config.clone().with("metrics: { drop: [ nbu_jobs_* ] }")).await;
    let whole = agent.fresh_text().await;
    let page = agent.get("/metrics?site=paris").await.text().await.unwrap();
    assert!(page == lines_of_site(&whole, "paris") && !page.contains("\nnbu_jobs_"));
    let unknown = agent.get("/metrics?site=pariss").await;
    assert_eq!(unknown.status(), 404);
    assert!(unknown.text().await.unwrap().contains("the nearest: \"paris\", \"tokyo 1\""));
    assert_eq!(agent.get("/metrics?site=paris&site=tokyo+1").await.status(), 400);
    agent.reload(&Config::new().site("tokyo 1", &tokyo)).await;
    assert_eq!(agent.get("/metrics?site=paris").await.status(), 404);
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
