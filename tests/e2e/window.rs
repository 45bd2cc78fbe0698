//! A window of 100,000 jobs: what its first fill costs, what a cycle costs afterwards, and that both
//! are the truth. `NBU_WINDOW_JOBS=1000000` for a larger one.

use std::time::{Duration, Instant};

use nbu_sim::{Clock, Fault, Rows, Settings};

use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, config};
use crate::support::expected::{self, assert_same, differences};
use crate::support::resources::SWITCHES;
use crate::support::{NOON, Page, simulate, world};

const DAY: i64 = 24 * 3_600_000;

/// Cycles over which the cost of one is measured.
const CYCLES: f64 = 20.0;

/// Resident bytes of an agent without jobs, and for each job of the window, in the process that holds
/// two allocators' arenas and a page or two besides.
const BASE: f64 = 48.0 * 1024.0 * 1024.0;
const EACH: f64 = 160.0;

fn cpu(page: &Page) -> f64 {
    page.value("process_cpu_seconds_total", &[]).expect("of the process")
}

fn resident(page: &Page) -> f64 {
    page.value("process_resident_memory_bytes", &[]).expect("of the process")
}

fn polls(page: &Page) -> f64 {
    let run = [("site", "paris"), ("collector", "jobs"), ("result", "success")];
    page.value("nbu_agent_collector_runs_total", &run).unwrap_or(0.0)
}

fn windowed(page: &Page) -> std::collections::BTreeMap<(String, Vec<(String, String)>), f64> {
    page.of_site("paris", |name| expected::WINDOWED.contains(&name))
}

#[tokio::test(flavor = "multi_thread")]
async fn window_of_hundred_thousand_jobs_costs_what_changes() {
    let jobs = std::env::var("NBU_WINDOW_JOBS").ok().and_then(|text| text.parse().ok());
    let jobs: usize = jobs.unwrap_or(100_000);
    let per_hour = jobs as f64 / 24.0;
    let settings = Settings {
        jobs_in_history: jobs,
        jobs_per_hour: per_hour,
        live_jobs: 200,
        clients: 5_000,
        policies: 500,
        clock: Clock::manual(NOON),
        ..world(21)
    };
    let paris = simulate(settings).await;
    let config = config()
        .server("scrapingInterval: 24h, collectionInterval: 1s, cacheTTL: 1h, staleAfter: 2h")
        .site("paris", &paris)
        .with("state: { directory: state }");
    let desk = Desk::with(&config.yaml());
    let started = Instant::now();
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    // Longer than others wait: it grows with the window.
    let limit = Duration::from_secs(60 + jobs as u64 / 1_000);
    let page = loop {
        let page = endpoint.scrape().await;
        if let Some(page) = page.filter(|page| polls(page) >= 1.0) {
            break page;
        }
        assert!(agent.is_alive() && started.elapsed() < limit, "{}", agent.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let took = started.elapsed();
    let truth = paris.truth();
    assert_same(&windowed(&page), &expected::jobs(&truth, "paris", NOON - DAY, NOON));
    println!(
        "first fill: {jobs} jobs in {:.1} s, {} requests, {:.2} s of CPU ({:.1} us a job), {:.1} MiB resident",
        took.as_secs_f64(),
        paris.request_count(),
        cpu(&page),
        cpu(&page) * 1e6 / jobs as f64,
        resident(&page) / 1_048_576.0
    );

    let before = endpoint.until(&mut agent, "two quiet polls", |page| polls(page) >= 3.0).await;
    let asked = paris.request_count();
    let mut last = polls(&before);
    let mut after = before.clone();
    for _ in 0..20 {
        // About a hundred jobs change in this time.
        paris.clock().advance(Duration::from_secs_f64(100.0 * 3600.0 / per_hour));
        after = endpoint.until(&mut agent, "the next poll", |page| polls(page) > last).await;
        last = polls(&after);
    }
    let cycles = last - polls(&before);
    let requests = (paris.request_count() - asked) as f64 / cycles;
    println!(
        "a cycle with about 100 changed jobs and 200 live ones: {requests:.1} requests, {:.1} ms of CPU \
         (scrapes and rendering included); {:.1} MiB resident, {:.1} MiB of state",
        (cpu(&after) - cpu(&before)) * 1e3 / cycles,
        resident(&after) / 1_048_576.0,
        after.value("nbu_agent_state_size_bytes", &[("site", "paris")]).unwrap_or(f64::NAN)
            / 1_048_576.0
    );
    assert!(cycles >= CYCLES);
    assert!(requests < 20.0, "{requests} requests a cycle: it reads the window");
    assert!(resident(&after) < BASE + EACH * jobs as f64, "{} bytes", resident(&after));
    let truth = paris.truth();
    let now = truth.server_time();
    let expected = expected::jobs(&truth, "paris", now - DAY, now);
    let same = |page: &Page| differences(&windowed(page), &expected).is_empty();
    let page = endpoint.until(&mut agent, "the window of now", same).await;
    assert_same(&windowed(&page), &expected);
    agent.end_by(Signal::TERM).await;

    // A restart reads what changed, not the window.
    let asked = paris.request_count();
    let started = Instant::now();
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let page = endpoint.until(&mut agent, "the restart", |page| polls(page) >= 1.0).await;
    println!(
        "a restart with its state: {:.2} s and {} requests to the whole window, {:.2} s of CPU",
        started.elapsed().as_secs_f64(),
        paris.request_count() - asked,
        cpu(&page)
    );
    assert_same(&windowed(&page), &expected);
    assert!(paris.request_count() - asked < 60, "it reads the window anew");
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn largest_site_delays_no_poll_of_jobs() {
    let settings = Settings {
        jobs_in_history: 20_000,
        jobs_per_hour: 800.0,
        live_jobs: 200,
        clients: 5_000,
        policies: 500,
        storage_units: 2_000,
        rows: Rows::default().with("tapes", 10_000),
        clock: Clock::manual(NOON),
        ..world(22)
    };
    let paris = simulate(settings).await;
    // Each of the hundred pages of tapes takes its time.
    let slow = Duration::from_millis(40);
    paris.faults().add(Fault::on("/storage/tape-media").latency(slow));
    let config = config()
        .server("scrapingInterval: 24h, collectionInterval: 1s, cacheTTL: 1s, staleAfter: 2h")
        .site("paris", &paris)
        .with(&format!(
            "collectors: {{ {}, perClient: {{ enabled: true, allowlist: [\"*\"], limit: 5000 }}, \
             perPolicy: {{ enabled: true, allowlist: [\"*\"] }} }}",
            *SWITCHES
        ));
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    let runs = |page: &Page, collector: &str| {
        let run = [("site", "paris"), ("collector", collector), ("result", "success")];
        page.value("nbu_agent_collector_runs_total", &run).unwrap_or(0.0)
    };
    let tapes = |page: &Page| runs(page, "tape_media") >= 1.0 && polls(page) >= 2.0;
    let before = endpoint.until(&mut agent, "all tapes", tapes).await;
    let asked = paris.request_count();
    let once_more = |page: &Page| runs(page, "tape_media") > runs(&before, "tape_media");
    let after = endpoint.until(&mut agent, "all tapes again", once_more).await;
    let (cycles, all) = (polls(&after) - polls(&before), paris.request_count() - asked);
    // The tapes take several seconds; jobs are polled each second meanwhile.
    assert!(cycles >= 3.0, "{cycles} polls of jobs beside one of the tapes");
    let took = |collector: &str| {
        let labels = [("site", "paris"), ("collector", collector)];
        after.value("nbu_agent_collector_duration_seconds", &labels).unwrap_or(f64::NAN)
    };
    let requests = |resource: &str| {
        let labels = [("site", "paris"), ("resource", resource)];
        let count = "nbu_agent_api_request_duration_seconds_count";
        after.value(count, &labels).unwrap_or_default()
            - before.value(count, &labels).unwrap_or_default()
    };
    println!(
        "the largest site: {} series; {cycles} polls of jobs and {all} requests beside one of the tapes, of \
         which jobs {}, tape media {}, catalogue {}, storage units {}; a poll of jobs took {:.2} s, of tapes \
         {:.1} s; {:.0} ms of CPU a second, scrapes and rendering included; {:.0} MiB resident",
        after.of_site("paris", |_| true).len(),
        requests("jobs"),
        requests("tape_media"),
        requests("images"),
        requests("storage_units"),
        took("jobs"),
        took("tape_media"),
        (cpu(&after) - cpu(&before)) * 1e3 / cycles,
        resident(&after) / 1_048_576.0
    );
    assert!(resident(&after) < 700.0 * 1024.0 * 1024.0, "{} bytes", resident(&after));
    agent.end_by(Signal::TERM).await;
}
