//! A server that works: hours of its life in steps, whatever it does to its list.

use std::time::Duration;

use nbu_sim::Settings;

use crate::scene::{HOUR, MINUTE, Scene};
use crate::support::world;

/// Sixty jobs an hour, of twenty minutes on average.
fn busy(seed: u64) -> Settings {
    Settings { jobs_per_hour: 60.0, jobs_in_history: 300, policies: 4, ..world(seed) }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_completion_of_a_steady_day_is_counted_once() {
    let mut scene = Scene::start(busy(1), 2 * HOUR).await;
    for minutes in [1, 5, 5, 20, 60, 60, 7, 33, 120, 240, 1, 1, 90] {
        scene.step(minutes * MINUTE).await;
    }
    scene.stop(500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_up_to_four_minutes_late_counts_once() {
    let settings = Settings { late_visibility: 4 * MINUTE, jobs_per_hour: 240.0, ..busy(2) };
    let mut scene = Scene::start(settings, 2 * HOUR).await;
    for seconds in [10, 30, 60, 90, 240, 300, 301, 299, 600, 20, 40, 1200, 5, 5, 5, 5, 290, 300] {
        scene.step(Duration::from_secs(seconds)).await;
    }
    scene.stop(150).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn touched_finished_job_is_the_same_completion() {
    let mut scene = Scene::start(Settings { updates_of_finished: true, ..busy(3) }, 3 * HOUR).await;
    for _ in 0..16 {
        scene.step(37 * MINUTE).await;
    }
    scene.stop(400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_resumed_after_its_end_completes_again() {
    let settings =
        Settings { resumes_of_finished: true, jobs_per_hour: 600.0, live_jobs: 60, ..busy(4) };
    let mut scene = Scene::start(settings, 3 * HOUR).await;
    for _ in 0..40 {
        scene.step(Duration::from_secs(59)).await;
    }
    let completions: Vec<_> = scene.simulator.truth().completions().collect();
    let again = completions.iter().filter(|completion| completion.attempt > 1).count();
    assert!(again > 5, "only {again} tries beyond the first ended");
    scene.stop(250).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_between_polls_counts_once() {
    let settings =
        Settings { resumes_of_finished: true, jobs_per_hour: 600.0, live_jobs: 60, ..busy(5) };
    let mut scene = Scene::start(settings, 3 * HOUR).await;
    for _ in 0..8 {
        scene.step(20 * MINUTE).await;
    }
    scene.stop(1000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_of_running_jobs_is_no_completion() {
    let mut scene = Scene::start(Settings { progress_updates: MINUTE, ..busy(6) }, 2 * HOUR).await;
    for seconds in [30, 30, 30, 200, 45, 600, 10, 1800] {
        scene.step(Duration::from_secs(seconds)).await;
    }
    scene.stop(30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_is_not_finished() {
    let mut scene = Scene::start(busy(7), 2 * HOUR).await;
    let mut held = 0;
    for _ in 0..30 {
        scene.step(10 * MINUTE).await;
        let live = scene.simulator.truth().live_jobs();
        held += live.filter(|job| job.state == nbu_sim::JobState::Incomplete).count();
    }
    assert!(held > 3, "jobs were seen INCOMPLETE only {held} times");
    scene.stop(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_at_once_is_counted_once() {
    let settings = Settings {
        late_visibility: 4 * MINUTE,
        updates_of_finished: true,
        resumes_of_finished: true,
        progress_updates: MINUTE,
        jobs_per_hour: 240.0,
        ..busy(8)
    };
    let mut scene = Scene::start(settings, 3 * HOUR).await;
    for _ in 0..24 {
        scene.step(5 * MINUTE).await;
    }
    scene.stop(300).await;
}

/// Jobs of a server whose only list has so many.
async fn list_of(jobs: usize) {
    let settings = Settings { jobs_in_history: jobs, live_jobs: 0, jobs_per_hour: 0.0, ..world(9) };
    let mut scene = Scene::start(settings, 24 * HOUR).await;
    let ended = scene.simulator.truth().listed_jobs().len();
    assert_eq!(ended, jobs);
    scene.step(MINUTE).await;
    scene.stop(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_any_length_around_a_page_are_complete() {
    for jobs in [0, 1, 99, 100, 101, 200] {
        list_of(jobs).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_exactly_so_many_changes_are_whole() {
    // All that are live at the start end; none is born.
    for live in [99, 100, 101, 200] {
        let settings =
            Settings { live_jobs: live, jobs_in_history: 1, jobs_per_hour: 1e-6, ..world(10) };
        let mut scene = Scene::start(settings, 24 * HOUR).await;
        for _ in 0..3 {
            scene.step(20 * HOUR).await;
        }
        scene.stop(live / 2).await;
    }
}
