//! A site whose server stays is updated in place: nothing of it is lost, and what changed holds at
//! once. A site whose server is another one shows nothing of the old one.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::{Duration, Instant};

use nbu_otel_agent::config::{Change, Diff};
use nbu_sim::{Fault, Settings, Simulator};
use support::expected::{self, assert_same};
use support::{Agent, Config, NOON, Page, eventually, simulate, world};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn is_of_jobs(name: &str) -> bool {
    expected::WINDOWED.contains(&name)
}

/// Runs of a collector of paris by result.
fn runs(page: &Page, collector: &str, result: &str) -> u64 {
    let run = [("site", "paris"), ("collector", collector), ("result", result)];
    whole(page.value("nbu_agent_collector_runs_total", &run).unwrap_or_default())
}

fn requests(page: &Page) -> u64 {
    let requests = page.of_site("paris", |name| name == "nbu_agent_api_requests_total");
    requests.into_values().map(whole).sum()
}

/// A count, which a page has as a float.
fn whole(count: f64) -> u64 {
    count.to_string().parse().expect("a whole number")
}

/// Counts of the states that sites ended in.
fn sites(diff: &Diff) -> Vec<(&str, Change)> {
    diff.sites.iter().map(|site| (site.site.as_str(), site.change)).collect()
}

/// Keys outside of sites that changed.
fn keys(diff: &Diff) -> Vec<&str> {
    diff.keys.iter().map(|key| key.key.as_str()).collect()
}

/// Requests of the walk through the jobs that ended.
fn walk(simulator: &Simulator) -> Vec<nbu_sim::RequestLog> {
    let of_walk = |request: &nbu_sim::RequestLog| {
        request.path == "/admin/jobs"
            && request.parameter("filter").is_some_and(|filter| filter.contains("endTime"))
    };
    simulator.requests().into_iter().filter(of_walk).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn key_rotated_during_walk_is_used_from_next_page() {
    let simulator = simulate(Settings { jobs_in_history: 3000, ..world(3) }).await;
    // Each slice of the window comes to its fifth page and no further.
    simulator.faults().add(Fault::on("/admin/jobs").from_page(5).hang());
    let config = Config::new().site("paris", &simulator);
    let mut agent = Agent::start(&config).await;
    let hanging = || async { walk(&simulator).iter().any(|r| r.status == 0).then_some(()) };
    eventually("the walk hangs", hanging).await;
    let before = requests(&agent.scrape().await);

    simulator.set_api_key("rotated");
    simulator.faults().clear();
    let config = agent.config().site_at("paris", simulator.addr(), "apiKey: rotated");
    assert_eq!(sites(&agent.reload(&config).await), [("paris", Change::Changed)]);
    let presented = simulator.presented_keys().len();

    let page = agent.first_samples("paris").await;
    assert_same(
        &page.of_site("paris", is_of_jobs),
        &expected::jobs(&simulator.truth(), "paris", NOON - DAY, NOON),
    );
    let rest = simulator.presented_keys().split_off(presented);
    assert!(rest.iter().all(|key| key == "rotated"), "{rest:?}");
    let begun = walk(&simulator).iter().filter(|r| r.parameter("page[after]").is_none()).count();
    // Once more each, where the step in which they are read was over meanwhile; and the first audit's pages.
    let of_slices = begun - 6;
    assert!((4..=8).contains(&of_slices), "each slice goes on from its cursor: {of_slices}");
    assert_eq!(runs(&page, "jobs", "failure") + runs(&page, "jobs", "skipped"), 0);
    assert!(requests(&page) > before, "{before}");
    assert_eq!(page.value("nbu_agent_api_retries_total", &[("site", "paris")]), Some(0.0));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_server_recovers_at_once_with_new_settings() {
    let simulator = simulate(world(3)).await;
    simulator.faults().add(Fault::on("/").hang());
    let slow = "apiKey: nbu-sim-key, timeout: 50s";
    let config = Config::new().site_at("paris", simulator.addr(), slow);
    let mut agent = Agent::start(&config).await;
    eventually("it hangs", || async { (simulator.request_count() > 0).then_some(()) }).await;
    simulator.faults().clear();
    let started = Instant::now();
    let config = agent.config().site("paris", &simulator);
    assert_eq!(sites(&agent.reload(&config).await), [("paris", Change::Changed)]);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    let page = agent.first_samples("paris").await;
    // A liveness bound: the old timeout is 50 s, the interval 300 s.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(runs(&page, "jobs", "failure"), 0);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn corrected_key_is_used_at_once_at_any_interval() {
    let simulator = simulate(world(3)).await;
    let wrong = Config::new().site_at("paris", simulator.addr(), "apiKey: wrong");
    let mut agent = Agent::start(&wrong).await;
    let refused =
        |page: &Page| page.value("nbu_agent_api_key_refused", &[("site", "paris")]) == Some(1.0);
    let before = agent.scrape_until("the key is refused", refused).await;
    let right = agent.config().site("paris", &simulator);
    let started = Instant::now();
    agent.reload(&right).await;
    let page = agent.first_samples("paris").await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(!refused(&page));
    assert!(requests(&page) > requests(&before));
    for collector in ["jobs", "storage"] {
        assert_eq!(runs(&page, collector, "failure"), 1, "{collector}: what was counted stays");
        assert_eq!(runs(&page, collector, "success"), 1, "{collector}");
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_corrected_with_an_interval_is_used_at_once() {
    let simulator = simulate(world(3)).await;
    let wrong = Config::new().site_at("paris", simulator.addr(), "apiKey: wrong");
    let mut agent = Agent::start(&wrong).await;
    agent.scrape_until("the key is refused", |page| runs(page, "jobs", "failure") == 1).await;
    let right = agent
        .config()
        .server("scrapingInterval: 24h, collectionInterval: 1h")
        .site("paris", &simulator);
    agent.reload(&right).await;
    agent.first_samples("paris").await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_interval_applies_at_once_and_loses_nothing() {
    let simulator = simulate(world(3)).await;
    let slow = Config::new().site("paris", &simulator);
    let fast = slow.clone().server("scrapingInterval: 24h, collectionInterval: 200ms");
    let mut agent = Agent::start(&slow).await;
    let first = agent.first_samples("paris").await;
    assert_eq!(keys(&agent.reload(&fast).await), ["server.collectionInterval"]);
    let page = agent.scrape().await;
    assert_eq!(page.of_site("paris", is_of_jobs), first.of_site("paris", is_of_jobs));
    let often = |page: &Page| runs(page, "jobs", "success") >= 5;
    agent.scrape_until("it is polled often", often).await;
    agent.reload(&slow).await;
    let settled = agent.scrape().await;
    // Five of the old intervals, in which a run that was under way may still end.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let page = agent.scrape().await;
    let more = runs(&page, "jobs", "success") - runs(&settled, "jobs", "success");
    assert!((0..=1).contains(&more), "{more} runs");
    assert_eq!(runs(&page, "jobs", "failure"), 0);
    assert_eq!(page.of_site("paris", is_of_jobs), first.of_site("paris", is_of_jobs));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_window_and_names_apply_and_counters_continue() {
    let simulator = simulate(world(3)).await;
    let config = Config::new().site("paris", &simulator);
    let mut agent = Agent::start(&config).await;
    agent.first_samples("paris").await;
    let before = simulator.request_count();
    let shorter = config.clone().server("scrapingInterval: 6h, collectionInterval: 300s");
    agent.reload(&shorter).await;
    let page = agent.scrape_until("a second run", |page| runs(page, "jobs", "success") == 2).await;
    assert_same(
        &page.of_site("paris", is_of_jobs),
        &expected::jobs(&simulator.truth(), "paris", NOON - 6 * HOUR, NOON),
    );
    assert_eq!(runs(&page, "storage", "success"), 1, "the storage has no window");
    assert!(simulator.request_count() > before);

    let renamed = shorter.with("collectors: { jobs: { actionNames: { BACKUP: SAVE } } }");
    agent.reload(&renamed).await;
    let page = agent.scrape_until("a third run", |page| runs(page, "jobs", "success") == 3).await;
    let count = |action| {
        page.of_site("paris", |name| name == "nbu_jobs_count")
            .into_iter()
            .filter(|(series, _)| format!("{series:?}").contains(&format!("{action:?}")))
            .count()
    };
    assert!(count("SAVE") > 0);
    assert_eq!(count("BACKUP"), 0);
    assert_eq!(runs(&page, "jobs", "failure"), 0);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_with_old_window_is_cancelled_and_not_counted() {
    let simulator = simulate(world(3)).await;
    simulator.faults().add(Fault::on("/admin/jobs").from_page(2).hang());
    let config = Config::new().site("paris", &simulator);
    let mut agent = Agent::start(&config).await;
    let hanging = || async { walk(&simulator).iter().any(|r| r.status == 0).then_some(()) };
    eventually("the walk hangs", hanging).await;
    simulator.faults().clear();
    agent.reload(&config.clone().server("scrapingInterval: 6h, collectionInterval: 300s")).await;
    let page = agent.first_samples("paris").await;
    assert_same(
        &page.of_site("paris", is_of_jobs),
        &expected::jobs(&simulator.truth(), "paris", NOON - 6 * HOUR, NOON),
    );
    assert_eq!(runs(&page, "jobs", "failure") + runs(&page, "jobs", "skipped"), 0);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_staleness_applies_to_samples_of_failing_collector() {
    let simulator = simulate(world(3)).await;
    let server = |stale| {
        format!(
            "scrapingInterval: 24h, collectionInterval: 150ms, cacheTTL: 150ms, staleAfter: {stale}"
        )
    };
    let patient = Config::new().server(&server("1h")).site("paris", &simulator);
    let mut agent = Agent::start(&patient).await;
    let first = agent.first_samples("paris").await;
    simulator.faults().add(Fault::on("/").status(500));
    let down = |page: &Page| page.value("nbu_up", &[("site", "paris")]) == Some(0.0);
    let page = agent.scrape_until("it is down", down).await;
    assert_eq!(page.of_site("paris", is_of_jobs), first.of_site("paris", is_of_jobs));
    agent.reload(&patient.clone().server(&server("1s"))).await;
    let gone = |page: &Page| page.of_site("paris", is_of_jobs).is_empty();
    let page = agent.scrape_until("what is stale is gone", gone).await;
    assert!(runs(&page, "jobs", "success") >= 1, "what was counted stays");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moved_site_exports_nothing_of_the_old_server() {
    let old = simulate(world(3)).await;
    let new = simulate(Settings { name: "moved.example.com".to_owned(), ..world(4) }).await;
    // The old server holds the agent up where it can.
    let config = Config::new().site("paris", &old);
    let mut agent = Agent::start(&config).await;
    let first = agent.first_samples("paris").await;
    old.faults().add(Fault::on("/").hang());
    new.faults().add(Fault::on("/").latency(Duration::from_millis(300)));
    let moved = agent.config().site("paris", &new);
    let started = Instant::now();
    assert_eq!(sites(&agent.reload(&moved).await), [("paris", Change::Changed)]);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    let page = agent.scrape().await;
    assert!(page.of_site("paris", is_of_jobs).is_empty(), "{}", page.text());
    assert!(page.of_site("paris", |name| name.starts_with("nbu_storage")).is_empty());
    assert_eq!(runs(&page, "jobs", "success"), 0);
    assert_eq!(runs(&first, "jobs", "success"), 1);
    let asked = old.request_count();
    let page = agent.first_samples("paris").await;
    assert_same(
        &page.of_site("paris", is_of_jobs),
        &expected::jobs(&new.truth(), "paris", NOON - DAY, NOON),
    );
    assert_eq!(old.request_count(), asked, "the old server is left alone");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_site_is_not_disturbed() {
    let (paris, tokyo) = (simulate(world(3)).await, simulate(world(4)).await);
    let config = Config::new().site("tokyo", &tokyo);
    let mut agent = Agent::start(&config.clone().site("paris", &paris)).await;
    agent.first_samples("tokyo").await;
    let before = agent.first_samples("paris").await;
    let (asked, connected) = (tokyo.request_count(), tokyo.connections());
    let slower = config.clone().site_at("paris", paris.addr(), "apiKey: nbu-sim-key, timeout: 9s");
    assert_eq!(sites(&agent.reload(&slower).await), [("paris", Change::Changed)]);
    let again = |page: &Page| {
        ["jobs", "storage"].iter().all(|collector| runs(page, collector, "success") == 2)
    };
    agent.scrape_until("paris is polled again", again).await;
    assert_eq!(sites(&agent.reload(&config).await), [("paris", Change::Removed)]);
    assert!(agent.reload(&config).await.is_empty());
    let page = agent.scrape().await;
    assert!(!page.has_label("site", "paris"), "{}", page.text());
    let all = |page: &Page| page.of_site("tokyo", |_| true);
    assert_eq!(all(&page), all(&before), "not even a counter moved");
    assert_eq!((tokyo.request_count(), tokyo.connections()), (asked, connected));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clear_text_is_a_metric_until_it_is_permitted() {
    let paris = simulate(world(1)).await;
    let base = Config::new();
    let with = |host: [u8; 4], more: &str| {
        let address = (host, paris.addr().port()).into();
        base.clone().site_at("paris", address, &format!("apiKey: nbu-sim-key{more}"))
    };
    let plain = |page: &Page| page.value("nbu_agent_api_plain_text", &[("site", "paris")]);
    let mut agent = Agent::start(&with([0, 0, 0, 0], "")).await;
    assert_eq!(plain(&agent.first_samples("paris").await), Some(1.0));
    agent.reload(&with([0, 0, 0, 0], ", allowPlainText: true")).await;
    agent.scrape_until("it is permitted", |page| plain(page) == Some(0.0)).await;
    agent.reload(&with([127, 0, 0, 1], "")).await;
    agent.scrape_until("it stays here", |page| plain(page) == Some(0.0)).await;
    agent.stop().await;
}
