//! 100,000 series to a Collector with its default limits: complete, and nothing folded into an overflow.

use std::time::Duration;

use nbu_sim::Settings;

use crate::collector::Collector;
use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, config};
use crate::series::of_sites;
use crate::support::expected::{assert_same, differences};
use crate::support::{Page, simulate, world};

const METRICS: [(&str, &str); 1] = [("signal", "metrics")];

fn exports(page: &Page) -> Option<f64> {
    page.value("nbu_agent_otlp_exports_total", &[METRICS[0], ("result", "success")])
}

async fn arrive(protocol: &str) {
    let paris = simulate(Settings { storage_units: 22_500, ..world(1) }).await;
    let collector = Collector::start().await;
    let config = config()
        .server("scrapingInterval: 24h, collectionInterval: 1h, cacheTTL: 1h")
        .site("paris", &paris)
        .with(&collector.push(protocol, "interval: 5s"));
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    let page = endpoint.complete(&mut agent, "paris").await;
    let served = of_sites(&page);
    assert!(served.len() >= 100_000, "only {} series", served.len());

    let mut received = collector.page().await;
    for _ in 0..20 {
        if of_sites(&received).len() < served.len() {
            tokio::time::sleep(Duration::from_secs(2)).await;
            received = collector.page().await;
        }
    }
    let (all, some) = (served.len(), of_sites(&received).len());
    assert!(some >= all, "{some} of {all} arrived; the Collector said\n{}", collector.said());
    assert!(!received.text().contains("overflow"), "a series stands for many");
    assert_same(&of_sites(&received), &served);
    assert!(differences(&of_sites(&page), &served).is_empty());

    // What an export costs once nothing else is under way.
    let before = endpoint.until(&mut agent, "a page", |_| true).await;
    let first = exports(&before).expect("exports");
    let after = endpoint
        .until(&mut agent, "three more", |page| exports(page).is_some_and(|now| now >= first + 3.0))
        .await;
    let dropped = [METRICS[0], ("result", "dropped")];
    let dropped = after.value("nbu_agent_otlp_points_total", &dropped);
    assert_eq!(dropped, Some(0.0), "the Collector said\n{}", collector.said());
    let count = exports(&after).expect("exports") - first;
    let each = |name: &str, labels: &[(&str, &str)]| {
        let value = |page: &Page| page.value(name, labels).unwrap_or(f64::NAN);
        (value(&after) - value(&before)) / count
    };
    let now = |name: &str, labels: &[(&str, &str)]| after.value(name, labels).unwrap_or(f64::NAN);
    println!(
        "{protocol}: {} series; one export took {:.3} s from collecting to the last answer, {:.1} MB in \
         {:.0} requests, {:.3} s of CPU (scrapes included); {:.0} MiB resident; the Collector peaked at \
         {:.0} MiB",
        served.len(),
        now("nbu_agent_otlp_export_duration_seconds", &METRICS),
        each("nbu_agent_otlp_sent_bytes_total", &METRICS) / 1e6,
        each("nbu_agent_otlp_requests_total", &METRICS),
        each("process_cpu_seconds_total", &[]),
        now("process_resident_memory_bytes", &[]) / 1_048_576.0,
        collector.peak_mib(),
    );
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_thousand_series_arrive_over_grpc() {
    arrive("grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_thousand_series_arrive_over_http() {
    arrive("http/protobuf").await;
}
