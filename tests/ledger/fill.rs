//! The first window: nothing of it is shown before it is whole, and the live numbers do not wait.

use std::time::Duration;

use nbu_sim::{Fault, Settings};

use crate::scene::{HOUR, MINUTE, SITE, Scene, own};
use crate::support::exposition::Page;
use crate::support::totals::is_total;
use crate::support::work::WORK;
use crate::support::{Agent, Config, simulate, world};

/// A series that only a complete window has.
fn is_of_window(name: &str) -> bool {
    let windowed = [
        "nbu_jobs_bytes",
        "nbu_jobs_count",
        "nbu_jobs_dedup_ratio",
        "nbu_jobs_files_count",
        "nbu_status_count",
    ];
    windowed.contains(&name) || is_total(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn first_window_is_exported_once_read() {
    let settings =
        Settings { jobs_in_history: 900, jobs_per_hour: 120.0, policies: 3, ..world(61) };
    let simulator = simulate(settings).await;
    // The slice that ends at the first poll.
    let last = Fault::on("/admin/jobs").filter("endTime le 2026-03-01T12:00:00.000Z");
    simulator.faults().add(last.status(500));
    let mut scene = Scene::on(simulator, 20 * HOUR).await;
    let ratio = |page: &Page| own(page, "nbu_jobs_fill_ratio").unwrap_or_default();
    let read = |page: &Page| ratio(page) > 0.5;
    for minutes in [0, 10, 10] {
        scene.pass(minutes * MINUTE);
        let now = scene.simulator.truth().server_time() as f64 / 1000.0;
        let at = |page: &Page| own(page, "nbu_jobs_watermark_timestamp_seconds") == Some(now);
        let page = scene.agent.scrape_until("most of it", |page| read(page) && at(page)).await;
        scene.watched.polled(&scene.simulator);
        assert!(ratio(&page) < 1.0, "{}", ratio(&page));
        let early = page.of_site(SITE, is_of_window);
        assert!(early.is_empty(), "{early:?}");
        // DONE is of the window.
        let expected: Vec<_> = scene
            .watched
            .expected(&scene.simulator.truth())
            .into_iter()
            .filter(|((name, _), _)| WORK.contains(&name.as_str()))
            .filter(|(_, value)| *value > 0.0)
            .collect();
        let shown = page.of_site(SITE, |name| WORK.contains(&name));
        assert!(!expected.is_empty());
        for (series, value) in expected {
            assert_eq!(shown.get(&series), Some(&value), "{series:?}");
        }
    }
    scene.simulator.faults().clear();
    scene.poll().await;
    scene.step(10 * MINUTE).await;
    scene.stop(40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backfill_continues_while_live_jobs_fail_at_rare_polls() {
    let settings = Settings { jobs_in_history: 700, jobs_per_hour: 60.0, ..world(66) };
    let simulator = simulate(settings).await;
    simulator.faults().add(Fault::on("/admin/jobs").filter("state ne 'DONE'").status(500));
    // Longer than a step of five seconds takes: four slices at once, 44 pages each.
    let pages = || Fault::on("/admin/jobs").filter("endTime");
    simulator.faults().add(pages().short_pages(4));
    simulator.faults().add(pages().latency(Duration::from_millis(160)));
    let rare = Config::new()
        .server("scrapingInterval: 20h, collectionInterval: 1h")
        .site(SITE, &simulator);
    let agent = Agent::start(&rare).await;
    let page = agent
        .scrape_until("the window", |page| own(page, "nbu_jobs_fill_ratio") == Some(1.0))
        .await;
    assert!(page.text().contains("nbu_jobs_count{"), "{}", page.text());
    agent.stop().await;
}
