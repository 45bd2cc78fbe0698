//! The backlog of a site with 20,000 images under an SLP: requests, memory and CPU.

use std::time::Duration;

use nbu_sim::{Rows, Settings, Simulator};

use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, config};
use crate::report::Report;
use crate::support::{Page, simulate, slp, world};
use crate::usage::{Cpu, Memory, mb};

const IMAGES: usize = 20_000;

/// Budget: requests of a run for the walk and for sizes, and MB beyond the same agent without the collector.
const WALK: f64 = 45.0;
const SIZES: f64 = 25.0;
const RESIDENT: f64 = 20.0;

/// Runs that are measured. They follow each other quickly; each is that of 15 minutes.
const RUNS: f64 = 10.0;

/// Time in which free memory is given back (docs/adr/0019).
const QUIET: Duration = Duration::from_secs(4);

fn asked(simulator: &Simulator, path: &str) -> f64 {
    simulator.requests().iter().filter(|request| request.path == path).count() as f64
}

fn runs(page: &Page) -> f64 {
    let labels = [("site", "paris"), ("collector", "slp_images"), ("result", "success")];
    page.value("nbu_agent_collector_runs_total", &labels).unwrap_or(0.0)
}

/// Runs an agent with the collector, or without it. Returns its memory at the end and at most.
async fn run(simulator: &Simulator, collects: bool, report: &mut Report) -> (f64, f64) {
    let switch = format!("collectors: {{ slp: {{ enabled: {collects} }} }}");
    let config = config()
        .server("scrapingInterval: 24h, collectionInterval: 2s, cacheTTL: 1s, staleAfter: 1h")
        .site("paris", simulator)
        .with(&switch);
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    let up = [("site", "paris"), ("collector", "jobs")];
    let begun = |page: &Page| page.value("nbu_agent_collector_up", &up) == Some(1.0);
    endpoint.until(&mut agent, "jobs", begun).await;
    if collects {
        let whole = endpoint.until(&mut agent, "a backlog", |page| runs(page) >= 1.0).await;
        let copies: f64 =
            whole.of_site("paris", |name| name == "nbu_slp_incomplete_images").values().sum();
        report.note("images of the backlog", format!("{copies}"), "-");
        let (before, first) = (Cpu::of(agent.id()), runs(&whole));
        let mut page = whole;
        while runs(&page) < RUNS {
            let done = runs(&page);
            page = endpoint.until(&mut agent, "another run", |page| runs(page) > done).await;
        }
        let each = (Cpu::of(agent.id()) - before).total() * 1000.0 / (runs(&page) - first);
        report.note("CPU of a run", format!("{each:.0} ms"), "-");
        let done = runs(&page) + 1.0;
        let walk = asked(simulator, "/catalog/slp-images") / done;
        report.hold("requests of a run for the walk, with its ping", walk + 1.0, WALK, "", 1.0);
        let sizes = asked(simulator, "/catalog/images") / done;
        report.hold("requests of a run for sizes", sizes, SIZES, "", 1.0);
        let sized = page.of_site("paris", |name| name == "nbu_slp_backlog_sized_ratio");
        let least = sized.values().copied().fold(1.0, f64::min);
        report.note("share of copies of known size, at least", format!("{least:.3}"), "-");
    } else {
        tokio::time::sleep(QUIET).await;
    }
    tokio::time::sleep(QUIET).await;
    let memory = Memory::of(agent.id());
    agent.end_by(Signal::TERM).await;
    (memory.resident, memory.peak)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures a release build: .ci/long performance"]
async fn twenty_thousand_images_cost_little() {
    let rows = Rows::default().with("slp-images", IMAGES).with("images", 100);
    let settings =
        Settings { rows, jobs_in_history: 100, jobs_per_hour: 0.0, live_jobs: 0, ..world(71) };
    let simulator = simulate(settings).await;
    assert!(slp::incomplete(&simulator.truth()).len() >= IMAGES);
    let mut report = Report::default();
    let (without, _) = run(&simulator, false, &mut report).await;
    let (with, peak) = run(&simulator, true, &mut report).await;
    report.note("without the collector: resident", format!("{:.1} MB", mb(without)), "-");
    report.note("with it: resident", format!("{:.1} MB", mb(with)), "-");
    report.note("with it: at most", format!("{:.1} MB", mb(peak)), "-");
    report.hold("memory of the backlog", mb(with - without), RESIDENT, "MB", 1.0);
    report.end();
}
