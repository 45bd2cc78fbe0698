//! Churn: series that change and go, for as long as `NBU_CHURN` says, seconds.

use std::time::{Duration, Instant};

use nbu_sim::{Batch, Settings};

use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, config};
use crate::report::Report;
use crate::support::{simulate, world};
use crate::usage::{Cpu, Memory, mb};

/// Storage units: about 4.4 series each, of which the used and the free space change.
const UNITS: usize = 20_000;

/// Clients that have series at a time, and those of a second: each ends a job in it, has series until it is
/// forgotten, and comes back later.
const CLIENTS: u32 = 6_000;
const EACH_SECOND: u32 = 200;

/// Server's time of a second, since used space changes by the minute.
const STEP: Duration = Duration::from_secs(60);

/// Limit of the resident size at the end, times what it was after a quarter of the time.
const GROWTH: f64 = 1.1;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures a release build: .ci/long performance"]
async fn churn_leaves_memory_flat() {
    let lasts = std::env::var("NBU_CHURN").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let lasts = Duration::from_secs(lasts);
    let settings = Settings {
        storage_units: UNITS,
        jobs_in_history: 100,
        jobs_per_hour: 0.0,
        live_jobs: 0,
        clients: 65_000,
        policies: 50,
        ..world(71)
    };
    let paris = simulate(settings).await;
    let minutes = CLIENTS / EACH_SECOND;
    let config = config()
        .server("scrapingInterval: 10m, collectionInterval: 1s, cacheTTL: 1s, staleAfter: 1h")
        .site("paris", &paris)
        .with(&format!(
            "collectors: {{ perClient: {{ enabled: true, allowlist: [\"*\"], limit: 100000, forgetAfter: {minutes}m }} }}"
        ));
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    endpoint.complete(&mut agent, "paris").await;

    let (mut client, mut largest) = (0, 0.0_f64);
    let mut sizes = Vec::new();
    let used = Cpu::of(agent.id());
    // Until the first clients are forgotten the number of series grows.
    let fills = Duration::from_secs(u64::from(minutes) + 10);
    let started = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    while started.elapsed() < fills + lasts {
        ticks.tick().await;
        assert!(agent.is_alive(), "{}", agent.said());
        for _ in 0..EACH_SECOND {
            let job =
                Batch::of(1).client(client % 65_000).policy(u16::try_from(client % 50).unwrap());
            paris.submit(&job.running_for(Duration::from_secs(20)));
            client += 1;
        }
        paris.clock().advance(STEP);
        let resident = Memory::of(agent.id()).resident;
        if started.elapsed() > fills {
            largest = largest.max(resident);
            sizes.push(resident);
        }
    }
    let elapsed = started.elapsed().as_secs_f64();
    let cpu = (Cpu::of(agent.id()) - used).total() / elapsed;
    let page = endpoint.scrape().await.expect("a page");
    let series = page.value("nbu_agent_series", &[]).unwrap_or_default();
    let run = |collector| {
        let labels = [("site", "paris"), ("collector", collector), ("result", "success")];
        page.value("nbu_agent_collector_runs_total", &labels).unwrap_or(f64::NAN)
    };
    let mean = |sizes: &[f64]| sizes.iter().sum::<f64>() / sizes.len() as f64;
    let quarter = sizes.len() / 4;
    let (early, late) = (mean(&sizes[..quarter]), mean(&sizes[sizes.len() - quarter..]));
    let mut report = Report::default();
    let name = format!("churn of {series} series for {} s", lasts.as_secs());
    let polls = format!("{} of jobs, {} of storage in {elapsed:.0} s", run("jobs"), run("storage"));
    report.note(&format!("{name}: polls"), polls, "one of each a second");
    report.note(&format!("{name}: CPU a second"), format!("{cpu:.2} s"), "-");
    report.note(&format!("{name}: resident, first quarter"), format!("{:.1} MB", mb(early)), "-");
    report.note(&format!("{name}: resident, last quarter"), format!("{:.1} MB", mb(late)), "-");
    report.note(&format!("{name}: resident, at most"), format!("{:.1} MB", mb(largest)), "-");
    report.hold(&format!("{name}: growth"), late / early, GROWTH, "times", 1.0);
    agent.signal(Signal::KILL);
    report.end();
}
