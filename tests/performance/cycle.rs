//! Steady cycle of a window of 100,000 jobs: CPU and requests follow what changed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nbu_sim::{Batch, Clock, Settings, Simulator};

use crate::endpoint::Endpoint;
use crate::process::{Desk, Process, Signal, config};
use crate::quiet::until_quiet;
use crate::report::Report;
use crate::support::exposition::Series;
use crate::support::{NOON, Page, http_client, simulate, world};
use crate::usage::Cpu;

const JOBS: usize = 100_000;

/// Jobs that end, and that leave the window, in each cycle; and the server's time between two cycles, which
/// makes that so.
const CHANGED: u16 = 100;
const STEP: Duration = Duration::from_millis(86_400);

const LIVE: u16 = 200;

/// Cycles of which the pages are compared.
const COMPARED: u16 = 5;

/// Budget: so many ms of CPU a cycle, and so many for each series that is collected again.
const CYCLE: f64 = 3.0;
const EACH_SERIES: f64 = 0.008;
const REQUESTS: f64 = 10.0;

/// Least time without a request after which a cycle has ended.
const QUIET: Duration = Duration::from_millis(250);

/// Time between two scrapes while cycles are measured. They take gzip, as Prometheus does: the first one after a
/// change pays for the compression of what changed, which is part of what the cycle costs.
const SCRAPES: [(Option<Duration>, &str); 3] = [
    (None, "no scrapes"),
    (Some(Duration::from_secs(15)), "a scrape every 15 s"),
    (Some(Duration::ZERO), "a scrape after each"),
];

/// Returns the number of cycles over which one is measured; 60, or what `NBU_CYCLES` says.
fn cycles() -> u16 {
    std::env::var("NBU_CYCLES").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// Spread of the jobs that end over names.
struct Spread {
    name: &'static str,
    /// Patterns of the clients with series of their own; empty for none.
    allowlist: &'static str,
    /// Clients among those that have series of their own, the first ones; the other jobs are of others.
    clients: u16,
    policies: u16,
}

/// The series of a site with their values, without those about the agent's own work. A histogram is one
/// series, as it is to the agent.
fn of_site(page: &Page) -> BTreeMap<Series, Vec<f64>> {
    let mut all: BTreeMap<Series, Vec<f64>> = BTreeMap::new();
    for ((name, mut labels), value) in page.of_site("paris", |name| !name.starts_with("nbu_agent_"))
    {
        labels.retain(|(key, _)| key != "le");
        let ends = ["_bucket", "_count", "_sum"];
        let histogram = ends
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .filter(|name| page.types().get(*name).is_some_and(|kind| kind == "histogram"));
        let name = histogram.unwrap_or(&name).to_owned();
        all.entry((name, labels)).or_default().push(value);
    }
    all
}

/// Number of series that differ, or are on one page only.
fn differing(one: &Page, other: &Page) -> usize {
    let (one, other) = (of_site(one), of_site(other));
    let changed = one.iter().filter(|(series, values)| other.get(*series) != Some(*values)).count();
    changed + other.keys().filter(|series| !one.contains_key(*series)).count()
}

/// The server moves on by one step, in which [`CHANGED`] jobs end, and the agent polls it once. They
/// end at different times of the step, as they do in a real one.
async fn cycle(paris: &Simulator, spread: &Spread, agent: &mut Process) {
    let asked = paris.request_count();
    for job in 0..CHANGED {
        let after = STEP * u32::from(job + 1) / u32::from(CHANGED + 1);
        let other = 1_000 + u32::from(job);
        let client = if job < spread.clients { u32::from(job) } else { other };
        let job = Batch::of(1).client(client).policy(job % spread.policies).running_for(after);
        paris.submit(&job);
    }
    paris.clock().advance(STEP);
    until_quiet(agent, asked, QUIET, || paris.request_count()).await;
}

async fn measure(spread: Spread) {
    let settings = Settings {
        jobs_in_history: JOBS,
        jobs_per_hour: 0.0,
        live_jobs: 0,
        clients: 5_000,
        policies: usize::from(spread.policies),
        clock: Clock::manual(NOON),
        ..world(21)
    };
    let paris = simulate(settings).await;
    for job in 0..LIVE {
        let days = Duration::from_secs(40 * 86_400);
        let client = 2_000 + u32::from(job);
        paris.submit(&Batch::of(1).client(client).policy(job % spread.policies).running_for(days));
    }
    let config = config()
        .server("scrapingInterval: 24h, collectionInterval: 1s, cacheTTL: 1h, staleAfter: 2h")
        .site("paris", &paris)
        .with(&format!(
            "collectors: {{ perClient: {{ enabled: {}, allowlist: [{}] }} }}",
            !spread.allowlist.is_empty(),
            spread.allowlist
        ))
        .with("state: { directory: state }");
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    endpoint.complete(&mut agent, "paris").await;
    // The first cycles after the fill are not like the others.
    for _ in 0..10 {
        cycle(&paris, &spread, &mut agent).await;
    }

    let (mut touched, mut series) = (0, 0);
    for _ in 0..COMPARED {
        // Rendered at most once a second, and at the latest then.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let before = endpoint.scrape().await.expect("a page");
        cycle(&paris, &spread, &mut agent).await;
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let after = endpoint.scrape().await.expect("a page");
        touched += differing(&before, &after);
        series = of_site(&after).len();
    }
    let touched = touched as f64 / f64::from(COMPARED);
    let mut report = Report::default();
    let name = format!("steady cycle, {}", spread.name);
    report.note(&format!("{name}: series of the site"), series, "5000");
    report.note(&format!("{name}: series collected again"), touched, "a page before and after");

    let cycles = cycles();
    let http = http_client();
    for (pause, with) in SCRAPES {
        let (asked, before, started) = (paris.request_count(), Cpu::of(agent.id()), Instant::now());
        let mut scraped = Instant::now();
        for _ in 0..cycles {
            cycle(&paris, &spread, &mut agent).await;
            if pause.is_some_and(|pause| scraped.elapsed() >= pause) {
                scraped = Instant::now();
                let page = http.get(format!("http://127.0.0.1:{}/metrics", config.port));
                let page = page.header("accept-encoding", "gzip").send().await.expect("a page");
                assert_eq!(page.headers()["content-encoding"], "gzip");
                page.bytes().await.expect("a page");
            }
        }
        let cpu = Cpu::of(agent.id()) - before;
        let each = |seconds: f64| seconds * 1e3 / f64::from(cycles);
        let name = format!("{name}, {with}");
        let limit = CYCLE + EACH_SERIES * touched;
        report.hold(&format!("{name}: CPU"), each(cpu.total()), limit, "ms", 2.0);
        report.note(&format!("{name}: user"), format!("{:.2} ms", each(cpu.user)), "-");
        report.note(&format!("{name}: system"), format!("{:.2} ms", each(cpu.system)), "-");
        let requests = (paris.request_count() - asked) as f64 / f64::from(cycles);
        report.hold(&format!("{name}: requests"), requests, REQUESTS, "", 1.0);
        let took = started.elapsed().as_secs_f64() / f64::from(cycles);
        report.note(&format!("{name}: time between cycles"), format!("{took:.2} s"), "-");
    }
    agent.end_by(Signal::TERM).await;
    report.end();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures a release build: .ci/long performance"]
async fn steady_cycle_costs_the_series_it_changes() {
    measure(Spread { name: "few names", allowlist: "", clients: 60, policies: 12 }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures a release build: .ci/long performance"]
async fn steady_cycle_of_many_names_costs_more_only_for_them() {
    measure(Spread { name: "many names", allowlist: "\"client00*\"", clients: 99, policies: 12 })
        .await;
}
