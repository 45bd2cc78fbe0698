//! Memory for 100,000 series of one site, and for 1,000,000 of 500.

use std::time::{Duration, Instant};

use nbu_sim::{Settings, Simulator};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::endpoint::Endpoint;
use crate::process::{Desk, Process, Signal, config};
use crate::report::Report;
use crate::support::{Config, simulate, world};
use crate::usage::{Cpu, Memory, mb};

/// Budget of one site: MB in all, and bytes a series beyond the baseline.
const ONE_SITE: f64 = 110.0;
const EACH_SERIES: f64 = 700.0;

/// Budget of 500 sites, MB.
const ALL_SITES: f64 = 1_000.0;

/// Time for which values change.
const CHANGES: Duration = Duration::from_secs(30);

/// Time in which free memory is given back (docs/adr/0019).
const QUIET: Duration = Duration::from_secs(4);

fn quick() -> Config {
    config().server("scrapingInterval: 24h, collectionInterval: 1s, cacheTTL: 5s, staleAfter: 1h")
}

/// Returns the number of series of sites, by the page itself: a histogram is one of them.
fn series(page: &str) -> usize {
    let count = page.lines().find_map(|line| line.strip_prefix("nbu_agent_series "));
    count.and_then(|count| count.parse().ok()).unwrap_or_default()
}

/// Returns the number of renderings so far.
async fn renders(endpoint: &Endpoint) -> f64 {
    let page = endpoint.text().await.unwrap_or_default();
    let count = page.lines().find_map(|line| line.strip_prefix("nbu_agent_renders_total "));
    count.and_then(|count| count.parse().ok()).unwrap_or(f64::NAN)
}

/// Waits until the page has so many series of sites; how many it has.
async fn filled(endpoint: &Endpoint, agent: &mut Process, at_least: usize) -> usize {
    let started = Instant::now();
    loop {
        let found = endpoint.text().await.as_deref().map_or(0, series);
        if found >= at_least {
            return found;
        }
        let waits = agent.is_alive() && started.elapsed() < Duration::from_secs(240);
        assert!(waits, "{found} of {at_least} series: {}", agent.said());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Memory of an agent with one site while its values change and it is scraped, at most, and after that.
async fn one_site(storage_units: usize, at_least: usize) -> (usize, f64, Memory) {
    let settings = Settings {
        storage_units,
        jobs_in_history: 10,
        jobs_per_hour: 0.0,
        live_jobs: 0,
        policies: 2,
        ..world(61)
    };
    let paris = simulate(settings).await;
    let config = quick().site("paris", &paris);
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    let found = filled(&endpoint, &mut agent, at_least).await;
    tokio::time::sleep(QUIET).await;
    let (started, mut largest, mut count) = (Instant::now(), 0.0_f64, 0);
    while started.elapsed() < CHANGES {
        if count % 10 == 0 {
            // Used space changes by the minute.
            paris.clock().advance(Duration::from_secs(60));
            endpoint.get("/metrics").await;
        }
        count += 1;
        tokio::time::sleep(Duration::from_millis(250)).await;
        largest = largest.max(Memory::of(agent.id()).resident);
    }
    tokio::time::sleep(QUIET).await;
    let memory = Memory::of(agent.id());
    agent.end_by(Signal::TERM).await;
    (found, largest, memory)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures a release build: .ci/long performance"]
async fn hundred_thousand_series_of_one_site_are_small() {
    let (few, _, baseline) = one_site(8, 50).await;
    let (many, largest, memory) = one_site(22_500, 100_000).await;
    let mut report = Report::default();
    let base = format!("{:.1} MB", mb(baseline.resident));
    report.note(&format!("baseline, {few} series: resident"), base, "-");
    let name = format!("{many} series of one site");
    report.hold(&format!("{name}: resident"), mb(memory.resident), ONE_SITE, "MB", 1.0);
    let pss = format!("{:.1} MB", mb(memory.proportional));
    report.note(&format!("{name}: Pss"), pss, "-");
    report.hold(&format!("{name}: at most while they change"), mb(largest), ONE_SITE, "MB", 1.3);
    let each = (memory.resident - baseline.resident) / (many - few) as f64;
    report.hold(&format!("{name}: beyond the baseline"), each, EACH_SERIES, "B a series", 1.0);
    report.end();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures a release build: .ci/long performance"]
async fn million_series_of_many_sites_are_small() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let mut sites: Vec<Simulator> = Vec::new();
    let mut config = config()
        .server("scrapingInterval: 24h, collectionInterval: 20s, cacheTTL: 20s, staleAfter: 1h")
        .with("metrics: { cardinalityLimit: 10000000 }");
    for number in 0..500 {
        let settings = Settings {
            storage_units: 350,
            jobs_in_history: 50,
            jobs_per_hour: 0.0,
            live_jobs: 5,
            ..world(number)
        };
        let site = simulate(settings).await;
        config = config.site(&format!("site-{number:03}"), &site);
        sites.push(site);
    }
    let desk = Desk::with(&config.yaml());
    let started = Instant::now();
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    // A clock that stands still would look like one that was set back. The skew moves what the server
    // says, and not what is in its lists.
    let clocks: Vec<_> = sites.iter().map(|site| site.clock().clone()).collect();
    let passing = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let passed = i64::try_from(started.elapsed().as_millis()).unwrap();
            for clock in &clocks {
                clock.set_skew_ms(passed);
            }
        }
    });
    let found = filled(&endpoint, &mut agent, 1_000_000).await;
    let took = started.elapsed().as_secs_f64();
    let mut report = Report::default();
    let name = format!("{found} series of 500 sites");
    report.note(&format!("{name}: time to all"), format!("{took:.1} s"), "-");
    // All sites are polled, and none of the values changes: then one site's do, then all.
    let changes = [("nothing changes", 0), ("one site changes", 1), ("all sites change", 500)];
    let mut largest = 0.0_f64;
    for (what, changing) in changes {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let rendered = renders(&endpoint).await;
        let (before, started) = (Cpu::of(agent.id()), Instant::now());
        let (mut last, mut elapsed) = (Instant::now(), 0.0);
        while elapsed < 40.0 {
            if last.elapsed() >= Duration::from_secs(2) {
                last = Instant::now();
                for site in &sites[..changing] {
                    site.clock().advance(Duration::from_secs(60));
                }
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
            largest = largest.max(Memory::of(agent.id()).resident);
            elapsed = started.elapsed().as_secs_f64();
        }
        let cpu = Cpu::of(agent.id()) - before;
        let each = |seconds: f64| seconds / elapsed;
        let (user, system) = (each(cpu.user), each(cpu.system));
        let rendered = renders(&endpoint).await - rendered;
        let value = format!("{user:.3} s user, {system:.3} s system, {rendered} renderings");
        report.note(&format!("{name}, polled every 20 s, {what}: CPU a second"), value, "-");
    }
    tokio::time::sleep(QUIET).await;
    let memory = Memory::of(agent.id());
    report.hold(&format!("{name}: resident"), mb(memory.resident), ALL_SITES, "MB", 1.0);
    let pss = format!("{:.1} MB", mb(memory.proportional));
    report.note(&format!("{name}: Pss"), pss, "-");
    report.hold(&format!("{name}: at most while they change"), mb(largest), ALL_SITES, "MB", 1.3);
    agent.signal(Signal::KILL);
    passing.abort();
    report.end();
}
