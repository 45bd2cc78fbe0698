//! A thousand site files: the start, and a change of one.

use std::fs;
use std::time::{Duration, Instant};

use nbu_sim::Settings;

use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, config};
use crate::report::Report;
use crate::support::{simulate, world};

const SITES: usize = 1_000;

/// Longest wait for a simulator that serves a thousand sites.
const LONGEST: Duration = Duration::from_secs(120);

/// Budgets, seconds: from the start until the endpoint answers; from the change of a file until it is in force.
const START: f64 = 3.0;
const CHANGE: f64 = 0.3;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures a release: `.ci/long performance`"]
async fn thousand_site_files_start_and_change() {
    let server = simulate(Settings { jobs_in_history: 20, jobs_per_hour: 1.0, ..world(1) }).await;
    let desk = Desk::new();
    fs::create_dir(desk.path("sites.d")).expect("a directory");
    let (address, key) = (server.addr(), &server.settings().api_key);
    let write = |site: usize, more: &str| {
        let file = format!(
            "{{ scheme: http, host: {}, port: {}, apiKey: {key}{more} }}",
            address.ip(),
            address.port()
        );
        desk.write(&format!("sites.d/site-{site:04}.yaml"), &file);
    };
    (0..SITES).for_each(|site| write(site, ""));
    let config = config();
    desk.write(
        "config.yaml",
        &format!(
            "server: {{ host: 127.0.0.1, port: {}, collectionInterval: 1h, configCheckInterval: 1h }}\n",
            config.port
        ),
    );
    let endpoint = Endpoint::on(config.port);
    let began = Instant::now();
    let mut agent = desk.start(&["--config", "config.yaml"]);
    agent.says("listening").await;
    let started = began.elapsed().as_secs_f64();
    loop {
        let text = endpoint.text().await.unwrap_or_default();
        let is_up = |line: &&str| line.starts_with("nbu_up{") && line.ends_with(" 1");
        if text.lines().filter(is_up).count() == SITES {
            break;
        }
        assert!(began.elapsed() < LONGEST && agent.is_alive(), "{}", agent.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let polled = began.elapsed().as_secs_f64();

    let mut slowest = 0.0_f64;
    for (number, site) in [0, 500, 999, 3, 700].into_iter().enumerate() {
        let began = Instant::now();
        write(site, ", timeout: 29s");
        loop {
            let said = agent.said();
            if said.matches(".timeout: 30s -> 29s").count() > number {
                break;
            }
            assert!(began.elapsed().as_secs() < 30, "{said}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        slowest = slowest.max(began.elapsed().as_secs_f64());
    }
    let mut report = Report::default();
    report.hold("a thousand site files: start until it listens", started, START, "s", 4.0);
    report.note("a thousand site files: until all were polled", format!("{polled:.2} s"), "-");
    report.hold("a thousand site files: a changed one in force", slowest, CHANGE, "s", 4.0);
    agent.end_by(Signal::TERM).await;
    report.end();
}
