//! The server's clock is wrong, or is set while the agent runs.

use std::time::Duration;

use nbu_sim::{Clock, Settings};

use crate::scene::{HOUR, MINUTE, SITE, Scene};
use crate::support::{NOON, Page, world};

const HOUR_MS: i64 = 3_600_000;

fn busy(seed: u64) -> Settings {
    Settings { jobs_per_hour: 240.0, live_jobs: 60, policies: 3, ..world(seed) }
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_an_hour_off_counts_all_jobs() {
    for skew in [-HOUR_MS, HOUR_MS] {
        let clock = Clock::manual(NOON).with_skew_ms(skew);
        let settings = Settings { clock, ..busy(31) };
        let mut scene = Scene::start(settings, 3 * HOUR).await;
        for minutes in [1, 20, 90] {
            scene.step(minutes * MINUTE).await;
        }
        scene.stop(250).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_set_forward_and_back_counts_each_job_once() {
    let mut scene = Scene::start(busy(32), 3 * HOUR).await;
    let hours = [1.0, 0.0, -1.0, 0.0, 0.5, -0.5, 0.0];
    #[allow(clippy::cast_possible_truncation, reason = "whole milliseconds")]
    for (hours, seconds) in hours.into_iter().zip([600, 1_200, 900, 61, 30, 1_700, 1_000]) {
        // Between two polls: some of what happens bears the old time, some the new one.
        scene.pass(Duration::from_secs(seconds / 3));
        scene.simulator.clock().set_skew_ms((hours * HOUR_MS as f64) as i64);
        scene.step(Duration::from_secs(seconds)).await;
        scene.step(7 * MINUTE).await;
    }
    scene.stop(300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_set_back_by_seconds_loses_nothing() {
    let mut scene = Scene::start(busy(33), 3 * HOUR).await;
    for step in 1..=8 {
        scene.simulator.clock().set_skew_ms(-20_000 * step);
        scene.step(Duration::from_secs(10)).await;
        scene.step(3 * MINUTE).await;
    }
    scene.stop(60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_set_back_beyond_horizon_has_window_reread() {
    let mut scene = Scene::start(busy(34), 3 * HOUR).await;
    scene.step(30 * MINUTE).await;
    scene.simulator.clock().set_skew_ms(-5 * HOUR_MS);
    scene.pass(MINUTE);
    let window = scene.watched.window;
    scene.watched.window_is(window, &scene.simulator);
    scene.poll().await;
    scene.step(30 * MINUTE).await;
    scene.stop(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn end_in_future_before_first_walk_is_not_counted() {
    let settings = busy(35);
    settings.clock.set_skew_ms(-HOUR_MS);
    let scene = Scene::start_unread(settings, 3 * HOUR).await;
    let counted = |page: &Page| -> f64 {
        page.of_site(SITE, |name| name == "nbu_jobs_outcomes_total").values().sum()
    };
    let seen = |page: &Page| crate::scene::own(page, "nbu_jobs_gap_seconds_total").is_some();
    let page = scene.agent.scrape_until("totals", seen).await;
    assert!(counted(&page).abs() < f64::EPSILON, "{} were counted at once", counted(&page));
    scene.agent.stop().await;
}
