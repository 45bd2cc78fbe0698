//! The configuration changes while the ledger runs.

use nbu_sim::{Fault, Settings};

use crate::scene::{HOUR, MINUTE, Scene, own};
use crate::support::world;

fn busy(seed: u64) -> Settings {
    Settings {
        jobs_per_hour: 120.0,
        live_jobs: 40,
        jobs_in_history: 1200,
        policies: 3,
        ..world(seed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn longer_window_is_backfilled_while_totals_continue() {
    let mut scene = Scene::start(busy(41), 2 * HOUR).await;
    scene.step(50 * MINUTE).await;
    scene.reload(20 * HOUR, "").await;
    scene.step(50 * MINUTE).await;
    scene.reload(23 * HOUR, "").await;
    scene.step(10 * MINUTE).await;
    scene.stop(150).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shorter_window_is_in_force_at_once() {
    let mut scene = Scene::start(busy(42), 20 * HOUR).await;
    scene.step(50 * MINUTE).await;
    scene.reload(HOUR, "").await;
    scene.step(50 * MINUTE).await;
    scene.step(5 * HOUR).await;
    scene.reload(12 * HOUR, "").await;
    scene.step(10 * MINUTE).await;
    scene.stop(500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_window_stays_until_longer_one_is_complete() {
    let mut scene = Scene::start(busy(43), 2 * HOUR).await;
    scene.simulator.faults().add(Fault::on("/admin/jobs").filter("endTime gt").status(500));
    let before = scene.agent.scrape().await;
    let mut config = crate::scene::config(&scene.simulator, 20 * HOUR);
    config.port = scene.agent.config().port;
    scene.agent.reload(&config).await;
    scene.struck(8).await;
    let page = scene.agent.scrape().await;
    let counts =
        |page: &crate::support::Page| page.of_site("paris", |name| name == "nbu_jobs_count");
    assert_eq!(counts(&page), counts(&before));
    assert_ne!(own(&page, "nbu_jobs_fill_ratio"), None);
    scene.simulator.faults().clear();
    scene.watched.window_is(20 * HOUR, &scene.simulator);
    scene.poll().await;
    scene.stop(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn action_names_apply_to_earlier_counts() {
    let mut scene = Scene::start(busy(44), 6 * HOUR).await;
    scene.step(90 * MINUTE).await;
    for (from, to) in [("DUPLICATE", "COPY"), ("REPLICATE", "COPY"), ("BACKUP", "SAVE")] {
        scene.watched.renames.insert(from.to_owned(), to.to_owned());
    }
    scene.forget();
    let names = "{ DUPLICATE: COPY, REPLICATE: COPY, BACKUP: SAVE }";
    let rest = format!("collectors: {{ jobs: {{ actionNames: {names}, longRunningAfter: 30m }} }}");
    scene.watched.long_running_after = 30 * MINUTE;
    scene.reload(6 * HOUR, &rest).await;
    scene.step(20 * MINUTE).await;
    scene.stop(150).await;
}
