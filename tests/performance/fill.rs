//! Cold fill: the first reading of a window.

use std::time::{Duration, Instant};

use nbu_sim::{Clock, Fault, Settings, Simulator};
use serde::Deserialize;

use crate::endpoint::Endpoint;
use crate::floor::Floor;
use crate::process::{Desk, Signal, config};
use crate::quiet::until_quiet;
use crate::report::Report;
use crate::support::{NOON, http_client, simulate, world};
use crate::usage::{Cpu, Memory, mb, thread_cpu};

/// Budget over the floor, us of user CPU a job.
const EACH_JOB: f64 = 3.0;

/// Link to the page that follows.
#[derive(Deserialize)]
struct Paging {
    links: Links,
}

#[derive(Deserialize)]
struct Links {
    next: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

/// All pages of finished jobs, as the agent is served them.
async fn pages(paris: &Simulator) -> Vec<Vec<u8>> {
    let http = http_client();
    let query = "filter=state%20eq%20%27DONE%27&sort=endTime&page%5Blimit%5D=100";
    let mut next = Some(format!("{}/admin/jobs?{query}", paris.base_url()));
    let mut pages = Vec::new();
    while let Some(url) = next {
        let request = http.get(url).header("authorization", &paris.settings().api_key);
        let request = request.header("accept", "application/vnd.netbackup+json;version=13.0");
        let answer = request.send().await.expect("an answer");
        let page = answer.bytes().await.expect("a page").to_vec();
        let paging: Paging = serde_json::from_slice(&page).expect("links");
        next = paging.links.next.map(|link| {
            let (_, path) = link.href.split_once("/netbackup").expect("a path");
            format!("{}{path}", paris.base_url())
        });
        pages.push(page);
    }
    pages
}

/// CPU seconds in which serde_json parses the needed fields of the pages, the best of three; and how many
/// jobs there are.
fn floor(pages: &[Vec<u8>]) -> (f64, usize) {
    let mut best = f64::INFINITY;
    let mut jobs = 0;
    for _ in 0..3 {
        let started = thread_cpu();
        jobs = 0;
        for page in pages {
            let page: Floor<'_> = serde_json::from_slice(page).expect("a page");
            jobs += std::hint::black_box(page).data.len();
        }
        best = best.min(thread_cpu() - started);
    }
    (best, jobs)
}

fn is_filled(page: &str) -> bool {
    page.contains("nbu_jobs_fill_ratio{site=\"paris\"} 1\n")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures a release build: .ci/long performance"]
async fn cold_fill_costs_little_more_than_the_parse() {
    let jobs = 100_000;
    let settings = Settings {
        jobs_in_history: jobs,
        jobs_per_hour: 0.0,
        live_jobs: 0,
        clients: 5_000,
        policies: 500,
        clock: Clock::manual(NOON),
        ..world(31)
    };
    let paris = simulate(settings).await;
    let pages = pages(&paris).await;
    let bytes: usize = pages.iter().map(Vec::len).sum();
    let (floor, parsed) = floor(&pages);
    assert_eq!(parsed, jobs);
    drop(pages);

    let config = config()
        .server("scrapingInterval: 24h, collectionInterval: 1h, cacheTTL: 1h")
        .site("paris", &paris);
    let desk = Desk::with(&config.yaml());
    let (asked, started) = (paris.request_count(), Instant::now());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    // Not scraped meanwhile. It has ended once nothing was asked for a second.
    let last =
        until_quiet(&mut agent, asked, Duration::from_secs(1), || paris.request_count()).await;
    let seen = paris.request_count();
    let (cpu, memory) = (Cpu::of(agent.id()), Memory::of(agent.id()));
    let endpoint = Endpoint::on(config.port);
    assert!(is_filled(&endpoint.get("/metrics").await), "{}", agent.said());

    let mut report = Report::default();
    let each = |seconds: f64| seconds * 1e6 / jobs as f64;
    let name = "cold fill of 100,000 jobs";
    report.note(&format!("{name}: bytes"), format!("{:.1} MB", bytes as f64 / 1e6), "-");
    report.note(&format!("{name}: floor"), format!("{:.2} us a job", each(floor)), "-");
    let limit = each(floor) + EACH_JOB;
    report.hold(&format!("{name}: user"), each(cpu.user), limit, "us a job", 1.5);
    let system = format!("{:.2} us a job", each(cpu.system));
    report.note(&format!("{name}: system"), system, "-");
    let took = (last - started).as_secs_f64();
    report.note(&format!("{name}: time to the last request"), format!("{took:.2} s"), "-");
    report.note(&format!("{name}: requests"), seen - asked, "-");
    let peak = format!("{:.1} MB", mb(memory.peak));
    report.note(&format!("{name}: largest resident size"), peak, "-");
    agent.end_by(Signal::TERM).await;
    report.end();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures a release build: .ci/long performance"]
async fn cold_fill_of_a_slow_server_uses_its_connections() {
    let settings = Settings {
        jobs_in_history: 10_000,
        jobs_per_hour: 0.0,
        live_jobs: 0,
        clients: 500,
        policies: 50,
        clock: Clock::manual(NOON),
        ..world(32)
    };
    let paris = simulate(settings).await;
    let answer = Duration::from_millis(50);
    paris.faults().add(Fault::on("/").latency(answer));
    let config = config()
        .server("scrapingInterval: 24h, collectionInterval: 1h, cacheTTL: 1h")
        .site_at("paris", paris.addr(), "apiKey: nbu-sim-key, maxConcurrentRequests: 4");
    let desk = Desk::with(&config.yaml());
    let started = Instant::now();
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    let (mut seen, mut last) = (0, Instant::now());
    let mut shown = None;
    while shown.is_none() || last.elapsed() < Duration::from_secs(1) {
        assert!(
            agent.is_alive() && started.elapsed() < Duration::from_secs(60),
            "{}",
            agent.said()
        );
        if paris.request_count() != seen {
            (seen, last) = (paris.request_count(), Instant::now());
        }
        if shown.is_none() && endpoint.text().await.as_deref().is_some_and(is_filled) {
            shown = Some(started.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let report = Report::default();
    let name = "cold fill of 10,000 jobs, 50 ms an answer, 4 at once";
    let asked = (last - started + answer).as_secs_f64();
    report.note(&format!("{name}: time to the last answer"), format!("{asked:.2} s"), "1.6 s");
    let shown = shown.unwrap_or(f64::NAN);
    report.note(&format!("{name}: time to the page"), format!("{shown:.2} s"), "1.6 s");
    report.note(&format!("{name}: requests"), seen, "-");
    agent.end_by(Signal::TERM).await;
}
