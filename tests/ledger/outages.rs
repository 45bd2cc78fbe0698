//! The server cannot be reached for a while, or has purged what ended meanwhile; and what a poll costs.

use nbu_sim::{Fault, Settings};

use crate::scene::{HOUR, MINUTE, Scene};
use crate::support::{simulate, world};

fn busy(seed: u64) -> Settings {
    Settings { jobs_per_hour: 60.0, policies: 3, ..world(seed) }
}

#[tokio::test(flavor = "multi_thread")]
async fn outage_loses_no_job_that_server_still_has() {
    let mut scene = Scene::start(busy(51), 2 * HOUR).await;
    for outage in [5 * MINUTE, 50 * MINUTE, 7 * HOUR, 30 * HOUR] {
        scene.cut_off().await;
        scene.pass(outage / 2);
        scene.struck(1).await;
        scene.pass(outage / 2);
        scene.simulator.faults().clear();
        scene.poll().await;
    }
    scene.stop(1500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_with_purged_jobs_is_reported_as_gap() {
    let settings = Settings { retention: 4 * HOUR, ..busy(52) };
    let mut scene = Scene::start(settings, 2 * HOUR).await;
    for outage in [3 * HOUR, 10 * HOUR, 6 * HOUR] {
        let lost = scene.cut_off_for(outage).await;
        assert_eq!(lost > 0, outage > 4 * HOUR, "{lost} ms of {outage:?}");
        scene.watched.gap += lost as f64 / 1000.0;
        scene.simulator.faults().clear();
        scene.poll().await;
        scene.step(30 * MINUTE).await;
    }
    scene.stop(500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gap_is_reported_after_a_failed_side_query() {
    let settings = Settings { retention: 4 * HOUR, ..busy(54) };
    let mut scene = Scene::start(settings, 2 * HOUR).await;
    let lost = scene.cut_off_for(10 * HOUR).await;
    assert!(lost > 0);
    scene.watched.gap += lost as f64 / 1000.0;
    scene.simulator.faults().clear();
    // A poll may come in between, and must then not have been through: the clock stands still.
    scene.simulator.faults().add(Fault::on("/admin/jobs").filter("status eq 0").times(1));
    scene.poll().await;
    scene.stop(10).await;
}

/// Counts the list requests of each of some polls, one with a late walk among them.
async fn requests_of_polls(hours: u32) -> Vec<usize> {
    let settings = Settings { jobs_in_history: 3000, jobs_per_hour: 20.0, ..busy(53) };
    let mut scene = Scene::on(simulate(settings).await, hours * HOUR).await;
    scene.poll().await;
    let mut costs = Vec::new();
    for _ in 0..4 {
        let before = scene.simulator.requests().len();
        scene.step(6 * MINUTE).await;
        // The poll of the new time is followed by some that bring nothing new.
        let requests = scene.simulator.requests().split_off(before);
        let polls = requests.split(|request| request.path == "/ping");
        costs.extend(
            polls.map(|poll| poll.iter().filter(|r| r.path == "/admin/jobs").count()).max(),
        );
    }
    scene.stop(0).await;
    costs
}

#[tokio::test(flavor = "multi_thread")]
async fn poll_cost_follows_changes_not_window_length() {
    let (short, long) = (requests_of_polls(1).await, requests_of_polls(24).await);
    assert_eq!(short, long);
    assert!(short.iter().all(|requests| (2..=3).contains(requests)), "{short:?}");
}
