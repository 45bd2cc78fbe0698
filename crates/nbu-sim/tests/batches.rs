//! Jobs that a test starts itself: lists, filters and the truth agree on them.

mod support;

use std::time::Duration;

use nbu_sim::{Batch, JobState, Settings};
use support::{START, api, ids};

const MINUTE: Duration = Duration::from_secs(60);

fn quiet() -> Settings {
    Settings { jobs_in_history: 20, jobs_per_hour: 60.0, live_jobs: 5, ..Settings::default() }
}

#[tokio::test]
async fn jobs_of_a_batch_end_in_one_millisecond() {
    let api = api(quiet()).await;
    api.sim.clock().advance(Duration::from_millis(1_234));
    let jobs = api.sim.submit(&Batch::of(250).running_for(MINUTE));
    assert!(jobs.clone().all(|id| api.sim.truth().job(id).unwrap().state == JobState::Active));
    api.sim.clock().advance(MINUTE);
    let views: Vec<_> = jobs.clone().map(|id| api.sim.truth().job(id).unwrap()).collect();
    let (end, update) = (START + 61_000, START + 61_234);
    assert!(views.iter().all(|job| job.end_ms == Some(end) && job.last_update_ms == update));
    let filter = "lastUpdateTime eq 2026-09-21T14:14:21.234Z and state eq 'DONE'";
    let rows = api.walk(&[("filter", filter), ("sort", "endTime"), ("page[limit]", "100")]).await;
    assert_eq!(ids(&rows), jobs.collect::<Vec<_>>());
    let ended = api.sim.truth().completions().filter(|done| done.end_ms == end);
    assert!(ended.count() >= 250);
}

#[tokio::test]
async fn births_go_on_beside_a_batch() {
    let api = api(quiet()).await;
    for _ in 0..20 {
        api.sim.submit(&Batch::of(3));
        api.sim.clock().advance(Duration::from_millis(61_700));
    }
    let listed = ids(&api.walk(&[("sort", "startTime"), ("page[limit]", "100")]).await);
    let all: Vec<_> = api.sim.truth().all_jobs().collect();
    assert!(all.len() > 85, "{} jobs", all.len());
    assert!(all.is_sorted_by_key(|job| job.start_ms));
    assert_eq!(listed, all.iter().map(|job| job.job_id).collect::<Vec<_>>());
}

#[tokio::test]
async fn batch_lists_the_odd_values_it_was_given() {
    let api = api(quiet()).await;
    let ahead = api.sim.submit(&Batch::of(1).end_ahead(60 * MINUTE).client(3).status(13));
    let negative = api.sim.submit(&Batch::of(1).kilobytes(-5).files(-7));
    let late = api.sim.submit(&Batch::of(1).late(2 * MINUTE));
    api.sim.clock().advance(MINUTE);
    let now = api.sim.truth().server_time();
    let job = api.sim.truth().job(*ahead.start()).unwrap();
    assert_eq!((job.end_ms, job.status), (Some(START + 61 * 60_000), 13));
    assert!(job.end_ms > Some(now));
    let filter = format!("endTime gt {}", "2026-09-21T15:00:00.000Z");
    let future = api.walk(&[("filter", &filter), ("page[limit]", "100")]).await;
    assert_eq!(ids(&future), [*ahead.start()]);
    let row = api.walk(&[("filter", &format!("jobId eq {}", negative.start()))]).await;
    assert_eq!(row[0]["attributes"]["kilobytesTransferred"], -5);
    assert_eq!(row[0]["attributes"]["numberOfFiles"], -7);
    let filter = format!("jobId eq {}", late.start());
    assert!(api.walk(&[("filter", &filter)]).await.is_empty());
    api.sim.clock().advance(2 * MINUTE);
    assert_eq!(api.walk(&[("filter", &filter)]).await[0]["attributes"]["state"], "DONE");
    let done = api.sim.truth().completions().find(|done| done.job_id == *late.start()).unwrap();
    assert_eq!((done.listed_from, done.updated_ms), (START + 180_000, START + 60_000));
}
