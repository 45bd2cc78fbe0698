//! Questions that a server refuses, at once or for a while: what can be read is, and what is owed is
//! asked again.

use nbu_sim::{Fault, Settings};

use crate::scene::{HOUR, MINUTE, Scene};
use crate::support::{simulate, world};

fn busy(seed: u64) -> Settings {
    Settings { jobs_per_hour: 120.0, live_jobs: 40, policies: 3, ..world(seed) }
}

/// Returns one on which nothing ends any more.
fn quiet(seed: u64) -> Settings {
    Settings { jobs_in_history: 60, live_jobs: 0, jobs_per_hour: 0.0, ..world(seed) }
}

/// Returns the number of list requests whose filter contains `text`.
fn asked(scene: &Scene, text: &str) -> usize {
    let requests = scene.simulator.requests();
    let filters = requests.iter().filter_map(|request| request.parameter("filter"));
    filters.filter(|filter| filter.contains(text)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn first_window_completes_by_time_alone() {
    // What cannot be read in time must not be there.
    let simulator = simulate(Settings { jobs_in_history: 0, ..busy(101) }).await;
    simulator.faults().add(Fault::on("/admin/jobs").status(500));
    let mut scene = Scene::on(simulator, 10 * MINUTE).await;
    scene.struck(3).await;
    scene.watched.polled(&scene.simulator);
    scene.pass(14 * MINUTE);
    scene.struck(3).await;
    scene.simulator.faults().clear();
    scene.poll().await;
    scene.step(5 * MINUTE).await;
    scene.stop(20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_backfill_ends_once_time_covers_window() {
    let simulator = simulate(Settings { jobs_in_history: 0, ..busy(102) }).await;
    simulator.faults().add(Fault::on("/admin/jobs").filter("endTime gt").status(500));
    let mut scene = Scene::on(simulator, HOUR).await;
    scene.struck(3).await;
    scene.watched.polled(&scene.simulator);
    for _ in 0..4 {
        scene.pass(20 * MINUTE);
        scene.runs(2).await;
        scene.watched.polled(&scene.simulator);
    }
    scene.poll().await;
    scene.stop(60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_server_keeps_samples_whatever_the_count_answers() {
    let mut scene = Scene::start(quiet(103), 20 * HOUR).await;
    for status in [405, 406, 400, 404, 500, 302, 401, 403, 408] {
        let count = Fault::on("/admin/jobs-count-requests").method("POST");
        scene.simulator.faults().add(count.status(status));
        scene.step(30 * MINUTE).await;
        scene.simulator.faults().clear();
    }
    scene.simulator.faults().add(Fault::on("/admin/jobs-count-requests").hang());
    scene.step(30 * MINUTE).await;
    scene.stop(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_gap_query_stops_nothing_and_is_retried() {
    let settings = Settings { retention: 4 * HOUR, ..busy(104) };
    let mut scene = Scene::start(settings, 2 * HOUR).await;
    let lost = scene.cut_off_for(10 * HOUR).await;
    assert!(lost > 0);
    scene.simulator.faults().clear();
    for fault in [
        Fault::on("/admin/jobs").filter("status eq 0").status(500),
        Fault::on("/admin/jobs").filter("status eq 0").status(400),
    ] {
        scene.simulator.faults().clear();
        scene.simulator.faults().add(fault);
        // All else is read at once.
        scene.poll().await;
        scene.struck(1).await;
    }
    scene.simulator.faults().clear();
    scene.watched.gap = lost as f64 / 1000.0;
    scene.poll().await;
    scene.stop(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_refusal_keeps_the_change_filter() {
    let mut scene = Scene::start(busy(105), 3 * HOUR).await;
    let changes = || Fault::on("/admin/jobs").filter("lastUpdateTime ge");
    let odd = [408, 413, 425, 431].map(|status| changes().status(status).times(2));
    for fault in odd.into_iter().chain([changes().bad_filter().times(1)]) {
        scene.simulator.faults().add(fault);
        scene.pass(10 * MINUTE);
        scene.struck(1).await;
        scene.poll().await;
        scene.simulator.faults().clear();
    }
    assert_eq!(asked(&scene, "endTime ge"), 0);
    scene.stop(50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_filter_is_retried_after_an_hour() {
    let mut scene = Scene::start(busy(106), 3 * HOUR).await;
    let changes = Fault::on("/admin/jobs").filter("lastUpdateTime").bad_filter();
    scene.simulator.faults().add(changes.times(2));
    scene.step(10 * MINUTE).await;
    let by_end = asked(&scene, "endTime ge");
    assert!(by_end > 0, "it was refused twice in a row");
    let by_change = asked(&scene, "lastUpdateTime ge");
    scene.step(30 * MINUTE).await;
    assert_eq!(asked(&scene, "lastUpdateTime ge"), by_change);
    scene.step(31 * MINUTE).await;
    assert!(asked(&scene, "lastUpdateTime ge") > by_change);
    let by_end = asked(&scene, "endTime ge");
    scene.step(31 * MINUTE).await;
    assert_eq!(asked(&scene, "endTime ge"), by_end);
    scene.stop(50).await;
}
