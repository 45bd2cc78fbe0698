//! Polls that fail on the way: what was read is kept, what was not is read later, and nothing twice.

use std::time::Duration;

use nbu_sim::{ErrorBody, Fault, Settings};

use crate::scene::{HOUR, MINUTE, SITE, Scene, config};
use crate::support::endpoint::Endpoint;
use crate::support::process::{self, Desk};
use crate::support::{simulate, world};

/// Several pages of changes an hour.
fn busy(seed: u64) -> Settings {
    Settings { jobs_per_hour: 300.0, live_jobs: 120, policies: 3, ..world(seed) }
}

/// Lets each of the faults strike the polls of two new hours, of three pages each.
async fn outlives(seed: u64, faults: impl IntoIterator<Item = Fault>) {
    let mut scene = Scene::start(busy(seed), 3 * HOUR).await;
    for fault in faults {
        scene.simulator.faults().add(fault);
        for _ in 0..2 {
            scene.pass(Duration::from_secs(3607));
            scene.struck(1).await;
        }
        scene.simulator.faults().clear();
        scene.poll().await;
    }
    scene.stop(500).await;
}

fn jobs_from_page(page: u32) -> Fault {
    Fault::on("/admin/jobs").from_page(page)
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_in_mid_paging_lose_nothing() {
    let pages = [1, 2, 3].map(jobs_from_page);
    outlives(21, pages.map(|fault| fault.status(500).error_body(ErrorBody::Html))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_server_loses_nothing() {
    outlives(22, [jobs_from_page(2).status(503), jobs_from_page(3).status(503).times(7)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_and_garbled_bodies_lose_nothing() {
    let cut = jobs_from_page(2).cut_body();
    outlives(23, [cut, jobs_from_page(3).invalid_json(), jobs_from_page(2).empty_body()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_server_loses_nothing() {
    outlives(24, [jobs_from_page(3).hang().times(5)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_closed_lose_nothing() {
    outlives(25, [jobs_from_page(2).close_connection()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_repeat_rows_count_them_once() {
    let mut scene = Scene::start(busy(26), 3 * HOUR).await;
    scene.simulator.faults().add(Fault::on("/admin/jobs").duplicate_rows());
    for _ in 0..3 {
        scene.step(40 * MINUTE).await;
    }
    scene.stop(400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_window_completes_after_failures() {
    let settings = Settings { jobs_in_history: 900, ..busy(27) };
    let simulator = simulate(settings).await;
    simulator.faults().add(jobs_from_page(2).status(500).times(5));
    simulator.faults().add(jobs_from_page(3).cut_body().times(5));
    let mut scene = Scene::on(simulator, 24 * HOUR).await;
    scene.poll().await;
    scene.step(20 * MINUTE).await;
    scene.stop(60).await;
}

fn no_filter_on_changes() -> Fault {
    Fault::on("/admin/jobs").filter("lastUpdateTime").bad_filter()
}

#[tokio::test(flavor = "multi_thread")]
async fn server_without_change_filter_is_read_by_end() {
    let simulator = simulate(Settings { late_visibility: 4 * MINUTE, ..busy(28) }).await;
    simulator.faults().add(no_filter_on_changes());
    let mut scene = Scene::on(simulator, 3 * HOUR).await;
    scene.watched.by_end = true;
    scene.poll().await;
    for minutes in [1, 5, 40, 5, 60] {
        scene.step(minutes * MINUTE).await;
    }
    scene.stop(400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_filter_is_logged_once() {
    let simulator = simulate(world(29)).await;
    simulator.faults().add(no_filter_on_changes());
    let mut config = config(&simulator, HOUR);
    config.port = process::port();
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let runs = [("site", SITE), ("collector", "jobs"), ("result", "success")];
    let endpoint = Endpoint::on(config.port);
    endpoint
        .until(&mut agent, "several polls", |page| {
            page.value("nbu_agent_collector_runs_total", &runs) >= Some(5.0)
        })
        .await;
    let said = agent.said();
    assert_eq!(said.matches("does not accept a filter on lastUpdateTime").count(), 1, "{said}");
    let refused = simulator.requests().iter().filter(|request| request.status == 400).count();
    assert_eq!(refused, 2, "one may be an accident, and what is refused is not asked at each poll");
}
