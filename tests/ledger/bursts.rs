//! More rows with one time than one cycle reads.

use std::time::Duration;

use nbu_sim::{Batch, Fault, Settings, Simulator};

use crate::scene::{HOUR, MINUTE, SITE, Scene, own};
use crate::support::{Agent, Config, Page, simulate, world};

fn empty(seed: u64) -> Settings {
    Settings { jobs_in_history: 0, live_jobs: 0, jobs_per_hour: 0.0, policies: 2, ..world(seed) }
}

fn late_looks(simulator: &Simulator) -> usize {
    let requests = simulator.requests();
    let filters = requests.iter().filter_map(|request| request.parameter("filter"));
    filters.filter(|filter| filter.contains("lastUpdateTime lt")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn late_walk_ends_despite_thousands_in_one_second() {
    let mut scene = Scene::start(empty(111), HOUR).await;
    let burst = Batch::of(5_300).running_for(Duration::from_secs(20));
    scene.simulator.submit(&burst);
    scene.step(MINUTE).await;
    let before = late_looks(&scene.simulator);
    scene.step(6 * MINUTE).await;
    // Two cycles of at most fifty pages.
    scene.runs(4).await;
    let pages = late_looks(&scene.simulator) - before;
    assert!((53..=60).contains(&pages), "{pages} pages");
    scene.runs(4).await;
    assert_eq!(late_looks(&scene.simulator) - before, pages, "it has ended");
    scene.stop(5_300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_backfill_of_jobs_with_one_end_progresses() {
    let simulator = simulate(empty(112)).await;
    simulator.submit(&Batch::of(1_200).running_for(Duration::from_secs(30)));
    simulator.clock().advance(10 * MINUTE);
    let slow = Fault::on("/admin/jobs").filter("endTime gt").latency(Duration::from_secs(1));
    simulator.faults().add(slow);
    let key = &simulator.settings().api_key;
    let config = Config::new().server("scrapingInterval: 1h, collectionInterval: 50ms").site_at(
        SITE,
        simulator.addr(),
        &format!("apiKey: {key}, timeout: 20s"),
    );
    let agent = Agent::start(&config).await;
    let whole = |page: &Page| own(page, "nbu_jobs_fill_ratio") == Some(1.0);
    let page = agent.scrape_until("a whole window", whole).await;
    let jobs: f64 = page.of_site(SITE, |name| name == "nbu_jobs_count").values().sum();
    assert!((jobs - 1_200.0).abs() < f64::EPSILON, "{jobs}");
    let requests = simulator.requests();
    let pages = requests.iter().filter_map(|request| request.parameter("filter"));
    let pages = pages.filter(|filter| filter.contains("endTime gt")).count();
    assert!(pages < 30, "{pages} pages for twelve");
    agent.stop().await;
}
