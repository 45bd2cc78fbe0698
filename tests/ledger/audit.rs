//! The hourly audit: jobs that the list had hidden from the ledger are found, counted once, and logged.

use std::time::Duration;

use nbu_sim::{Fault, Settings};

use crate::scene::{HOUR, MINUTE, SITE, Scene, is_whole, own};
use crate::support::exposition::Page;
use crate::support::{eventually, world};

const WINDOW: Duration = Duration::from_secs(8 * 3600);

/// The body of a list without rows.
const EMPTY: &str = r#"{"data":[],"meta":{"pagination":{"limit":100}},"links":{}}"#;

/// Lets time pass and a whole poll end; what it shows is not held against anything.
async fn pass(scene: &Scene, time: Duration) -> Page {
    scene.pass(time);
    let now = scene.simulator.truth().server_time();
    eventually("a whole poll", || async {
        let text = scene.agent.fresh_text().await;
        is_whole(&text, now).then(|| Page::parse(&text))
    })
    .await
}

fn sum(page: &Page, name: &str) -> f64 {
    page.of_site(SITE, |other| other == name).values().sum()
}

/// The finished jobs that the list shows in the window now.
fn listed(scene: &Scene) -> usize {
    let truth = scene.simulator.truth();
    let window = i64::try_from(WINDOW.as_millis()).expect("a window");
    let now = truth.server_time();
    let ended = truth.listed_jobs().filter(|job| job.state == nbu_sim::JobState::Done);
    ended.filter(|job| job.end_ms.is_some_and(|end| now - window < end && end <= now)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_hidden_by_the_server_are_found_and_counted_once() {
    let settings = Settings { jobs_per_hour: 120.0, jobs_in_history: 200, ..world(21) };
    let scene = Scene::start(settings, WINDOW).await;
    let began = scene.simulator.truth().server_time();
    let first = pass(&scene, HOUR + MINUTE).await;
    assert_eq!(own(&first, "nbu_jobs_audit_difference"), Some(0.0));
    assert!(own(&first, "nbu_jobs_audit_last_timestamp_seconds").is_some());

    // The list of changes is empty for three hours, and says that this is all.
    let lie = Fault::on("/admin/jobs").filter("lastUpdateTime ge").json(EMPTY);
    scene.simulator.faults().add(lie);
    for _ in 0..18 {
        pass(&scene, 10 * MINUTE).await;
    }
    scene.simulator.faults().clear();
    let mut differences = Vec::new();
    for _ in 0..6 {
        let page = pass(&scene, HOUR + MINUTE).await;
        // What is read again shows with the next poll.
        differences.push(own(&page, "nbu_jobs_audit_difference").expect("an audit"));
        pass(&scene, MINUTE).await;
    }
    assert!(differences.iter().any(|difference| *difference > 0.0), "{differences:?}");
    assert_eq!(differences.last(), Some(&0.0), "{differences:?}");

    let page = eventually("the window is what the list shows", || async {
        let page = Page::parse(&scene.agent.fresh_text().await);
        (sum(&page, "nbu_jobs_count") == listed(&scene) as f64).then_some(page)
    })
    .await;
    let ended = scene.simulator.truth().completions().filter(|job| job.end_ms > began).count();
    assert_eq!(sum(&page, "nbu_jobs_completed_total"), ended as f64);
    assert_eq!(own(&page, "nbu_jobs_audit_purged"), Some(0.0));
    scene.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audits_follow_the_configured_interval() {
    let settings = Settings { jobs_per_hour: 60.0, ..world(23) };
    let mut scene = Scene::start(settings, WINDOW).await;
    let last = |page: &Page| own(page, "nbu_jobs_audit_last_timestamp_seconds");
    let first = last(&pass(&scene, MINUTE).await).expect("an audit");
    scene.reload(WINDOW, "collectors: { jobs: { auditInterval: never } }").await;
    assert_eq!(last(&pass(&scene, 3 * HOUR).await), Some(first));
    scene.reload(WINDOW, "collectors: { jobs: { auditInterval: 4h } }").await;
    assert_eq!(last(&pass(&scene, MINUTE).await), Some(first));
    scene.reload(WINDOW, "collectors: { jobs: { auditInterval: 10m } }").await;
    assert!(last(&pass(&scene, MINUTE).await) > Some(first));
    scene.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_audit_stops_nothing_and_is_retried() {
    let settings = Settings { jobs_per_hour: 60.0, ..world(22) };
    let mut scene = Scene::start(settings, WINDOW).await;
    // The audit alone asks for ends in a span below the present; the backfill is over.
    let refused = Fault::on("/admin/jobs").filter("endTime gt").status(500);
    scene.simulator.faults().add(refused);
    let count = Fault::on("/admin/jobs-count-requests").status(405);
    scene.simulator.faults().add(count);
    let before = own(&scene.step(MINUTE).await, "nbu_jobs_audit_last_timestamp_seconds");
    let struck = scene.simulator.faults().struck();
    for _ in 0..4 {
        scene.step(30 * MINUTE).await;
    }
    assert!(scene.simulator.faults().struck() > struck, "no audit was tried");
    scene.simulator.faults().clear();
    scene.step(6 * MINUTE).await;
    let page = scene
        .agent
        .scrape_until("an audit ends", |page| {
            own(page, "nbu_jobs_audit_last_timestamp_seconds") > before
        })
        .await;
    assert_eq!(own(&page, "nbu_jobs_audit_difference"), Some(0.0));
    scene.stop(50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_of_a_long_list_costs_seven_requests_an_hour() {
    let settings = Settings { jobs_in_history: 5_000, jobs_per_hour: 1.0, ..world(23) };
    let mut scene = Scene::start(settings, 24 * HOUR).await;
    let audited = |scene: &Scene| {
        let requests = scene.simulator.requests();
        let of_audit = requests.iter().filter(|request| {
            let filter = request.parameter("filter").unwrap_or_default();
            request.path.ends_with("/jobs-count-requests") || filter.contains("endTime gt")
        });
        of_audit.count()
    };
    // The first audit follows the backfill.
    scene.step(MINUTE).await;
    let before = audited(&scene);
    for _ in 0..6 {
        scene.step(10 * MINUTE).await;
    }
    scene.step(MINUTE).await;
    assert_eq!(audited(&scene) - before, 7);
    scene.stop(0).await;
}
