//! Agreement of four views: the simulated servers, the agent's endpoint, a Prometheus that scrapes it, and a
//! Collector that it pushes to, which the same Prometheus scrapes too.

use nbu_sim::{Release, Settings};

use crate::collector::Collector;
use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, config};
use crate::prometheus::{PULLED, PUSHED, Prometheus};
use crate::series::{Everything, of_sites};
use crate::support::expected::{self, assert_same, differences};
use crate::support::{NOON, PATIENCE, simulate, world};

const DAY: i64 = 24 * 3_600_000;

/// Waits until a view agrees; the differences that are left when it never does.
async fn agrees(what: &str, expected: &Everything, view: impl AsyncFn() -> Everything) {
    let started = std::time::Instant::now();
    while !differences(&view().await, expected).is_empty() {
        if started.elapsed() > PATIENCE {
            println!("{what} does not agree");
            assert_same(&view().await, expected);
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

fn select(series: &Everything, site: &str, wanted: impl Fn(&str) -> bool) -> Everything {
    let belongs = |labels: &[(String, String)]| {
        labels.iter().any(|(key, value)| key == "site" && value == site)
    };
    series
        .iter()
        .filter(|((name, labels), _)| wanted(name) && belongs(labels))
        .map(|(series, value)| (series.clone(), *value))
        .collect()
}

async fn views_agree(protocol: &str) {
    let paris = simulate(Settings { release: Release::R10_5, ..world(1) }).await;
    let tokyo = simulate(Settings { release: Release::R11_2, ..world(2) }).await;
    let collector = Collector::start().await;
    // One poll and no more: the numbers hold still while they are compared.
    let config = config()
        .server("scrapingInterval: 24h, collectionInterval: 1h")
        .site("paris", &paris)
        .site("tokyo", &tokyo)
        .with(&collector.push(protocol, "interval: 500ms"));
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    endpoint.complete(&mut agent, "paris").await;
    let page = endpoint.complete(&mut agent, "tokyo").await;
    let served = of_sites(&page);

    for (site, simulator) in [("paris", &paris), ("tokyo", &tokyo)] {
        let truth = simulator.truth();
        let jobs = |name: &str| expected::WINDOWED.contains(&name);
        assert_same(&select(&served, site, jobs), &expected::jobs(&truth, site, NOON - DAY, NOON));
        assert_same(
            &select(&served, site, expected::is_of_storage),
            &expected::storage(&truth, site),
        );
    }
    for part in ["bucket", "sum", "count"] {
        let name = format!("nbu_agent_api_request_duration_seconds_{part}");
        assert!(served.keys().any(|(known, _)| *known == name), "no histogram is compared");
    }

    agrees("the Collector", &served, async || of_sites(&collector.page().await)).await;
    let prometheus = Prometheus::start(config.port, collector.prometheus_port()).await;
    for job in [PULLED, PUSHED] {
        agrees(&format!("Prometheus, job {job}"), &served, async || prometheus.series(job).await)
            .await;
    }
    println!("{protocol}: {} series in all four views", served.len());
    prometheus.stop().await;
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_views_agree_over_grpc() {
    views_agree("grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_views_agree_over_http() {
    views_agree("http/protobuf").await;
}
