//! Jobs that a test starts itself: lists, filters and the truth agree on them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use nbu_sim::{Batch, Cause, FalseGreen, JobState, JobView, Settings, Simulator};
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

/// The truth of a job that exists.
fn job(sim: &Simulator, id: i64) -> JobView {
    sim.truth().job(id).unwrap()
}

#[tokio::test]
async fn batch_waits_in_the_queue_as_it_was_told() {
    let sim = api(quiet()).await.sim;
    let waiting = Batch::of(1).queue_wait(MINUTE).running_for(5 * MINUTE).kilobytes(4_000);
    let id = *sim.submit(&waiting).start();
    let closed = Batch::of(1).queue_wait(MINUTE).running_for(MINUTE).cause(Cause::WindowClosed);
    let never = *sim.submit(&closed).start();
    assert_eq!((job(&sim, id).state, job(&sim, id).active_start_ms), (JobState::Queued, None));
    sim.clock().advance(3 * MINUTE);
    let running = job(&sim, id);
    assert_eq!((running.state, running.queue_wait_ms), (JobState::Active, Some(60_000)));
    assert_eq!((running.entered_ms, running.kilobytes), (START + 60_000, 2_000));
    let ended = job(&sim, never);
    assert_eq!((ended.status, ended.cause), (196, Some(Cause::WindowClosed)));
    assert_eq!((ended.active_start_ms, &*ended.backup_id, &*ended.storage_unit), (None, "", ""));
    sim.clock().advance(3 * MINUTE);
    let done = sim.truth().completions().find(|done| done.job_id == id).unwrap();
    assert_eq!((done.queue_wait_ms, done.active_start_ms), (Some(60_000), Some(START + 60_000)));
    assert_eq!(done.end_ms, START + 300_000);
}

#[tokio::test]
async fn batch_of_several_tries_tells_of_the_last_one() {
    let api = api(quiet()).await;
    let batch = Batch::of(1)
        .tries(3)
        .running_for(5 * MINUTE)
        .first_storage_unit("stu-msdp-01")
        .storage_unit("stu-tape-01")
        .media_server("media9.example.com")
        .cause(Cause::Tape)
        .status(84);
    let id = *api.sim.submit(&batch).start();
    let states: Vec<_> = (0..5)
        .map(|_| {
            let now = job(&api.sim, id);
            api.sim.clock().advance(MINUTE);
            (now.state, now.attempt, now.storage_unit.to_string())
        })
        .collect();
    let (active, requeued) = (JobState::Active, JobState::Requeued);
    let expected = [
        (active, 1, "stu-msdp-01"),
        (requeued, 1, "stu-msdp-01"),
        (active, 2, "stu-tape-01"),
        (requeued, 2, "stu-tape-01"),
        (active, 3, "stu-tape-01"),
    ];
    assert_eq!(states, expected.map(|(state, attempt, unit)| (state, attempt, unit.to_owned())));
    let done = job(&api.sim, id);
    assert_eq!((done.state, done.status, done.cause), (JobState::Done, 84, Some(Cause::Tape)));
    assert_eq!((done.attempt, done.queue_wait_ms), (3, None));
    assert_eq!(done.active_start_ms, Some(START + 240_000));
    let row = api.walk(&[("filter", &format!("jobId eq {id}"))]).await;
    let row = &row[0]["attributes"];
    assert_eq!(row["destinationMediaServerName"], "media9.example.com");
    assert_eq!(row["activeTryStartTime"], "2026-09-21T14:17:20.000Z");
    assert_eq!(row["destinationMediaId"], *done.media_id);
    assert!(done.media_id.starts_with('T'));
}

#[tokio::test]
async fn batch_of_parents_has_families_that_end_first() {
    let sim = api(quiet()).await.sim;
    let machine = |name: &str| Batch::of(1).workload(name).kilobytes(100).files(7).client(3);
    let family = Batch::of(2)
        .policy(1)
        .child(machine("vm-a").job_type("SNAPSHOT").running_for(2 * MINUTE))
        .child(machine("vm-a").running_for(4 * MINUTE))
        .child(machine("vm-b").cause(Cause::Snapshot));
    let jobs = sim.submit(&family);
    assert_eq!(jobs.clone().count(), 8);
    let parent = job(&sim, *jobs.start());
    assert_eq!((parent.child_count, parent.current_operation), (3, 27));
    assert_eq!((parent.schedule_type, &*parent.storage_unit), ("UNRECOGNIZED_VALUE", ""));
    sim.clock().advance(4 * MINUTE);
    assert_eq!(job(&sim, *jobs.start()).state, JobState::Active);
    sim.clock().advance(MINUTE);
    let all: Vec<_> = jobs.clone().map(|id| job(&sim, id)).collect();
    for family in all.chunks(4) {
        let [parent, children @ ..] = family else { panic!("a parent") };
        assert!(children.iter().all(|child| child.parent == parent.job_id));
        assert!(children.iter().all(|child| child.end_ms < parent.end_ms));
        assert_eq!((parent.status, parent.kilobytes, parent.files), (1, 300, 21));
        assert_eq!((children[2].status, children[2].cause), (156, Some(Cause::Snapshot)));
        let workloads = [&*children[0].workload, &children[1].workload, &children[2].workload];
        assert_eq!(workloads, ["vm-a", "vm-a", "vm-b"]);
        assert!(children[1].backup_id.starts_with("vm-a_") && parent.backup_id.is_empty());
    }
}

#[tokio::test]
async fn stalled_batch_stands_still_until_it_ends() {
    let sim = api(quiet()).await.sim;
    let stuck = Batch::of(1)
        .running_for(600 * MINUTE)
        .kilobytes(600_000)
        .stalled_after(60 * MINUTE)
        .job_type("DUPLICATE");
    let id = *sim.submit(&stuck).start();
    let held = *sim.submit(&Batch::of(1).job_type("LOCKVM").running_for(600 * MINUTE)).start();
    sim.clock().advance(30 * MINUTE);
    assert_eq!((job(&sim, id).kilobytes, job(&sim, id).stalled_from_ms), (30_000, None));
    sim.clock().advance(90 * MINUTE);
    let stood = job(&sim, id);
    assert_eq!((stood.kilobytes, stood.stalled_from_ms), (60_000, Some(START + 3_600_000)));
    sim.clock().advance(300 * MINUTE);
    assert_eq!(job(&sim, id), stood);
    assert_eq!((job(&sim, held).state, job(&sim, held).stalled_from_ms), (JobState::Active, None));
    sim.clock().advance(300 * MINUTE);
    assert_eq!((job(&sim, id).kilobytes, job(&sim, id).stalled_from_ms), (600_000, None));
}

#[tokio::test]
async fn batch_has_the_place_size_and_backup_it_was_given() {
    let api = api(quiet()).await;
    let full = || Batch::of(1).schedule_type("FULL_BACKUP").kilobytes(5_000).files(10);
    let odd = [
        full().moved_kilobytes(1_200).backup_id("web01_1").workload("web01"),
        full().storage_unit("stu-gone"),
        full().false_green(FalseGreen::NoImage),
        full().false_green(FalseGreen::NoFiles),
        full().false_green(FalseGreen::TenfoldSize),
        full().false_green(FalseGreen::TenthOfSize),
    ];
    let ids = odd.map(|batch| *api.sim.submit(&batch).start());
    api.sim.clock().advance(MINUTE);
    let done = ids.map(|id| job(&api.sim, id));
    assert!(done.iter().all(|job| job.status == 0 && job.schedule_type == "FULL_BACKUP"));
    assert_eq!((done[0].moved_kilobytes, done[1].moved_kilobytes), (1_200, 5_000));
    assert_eq!((&*done[0].backup_id, &*done[0].workload), ("web01_1", "web01"));
    assert_eq!((&*done[1].storage_unit, &*done[1].media_server), ("stu-gone", ""));
    assert_eq!((&*done[0].storage_unit, &*done[0].media_id), ("stu-msdp-01", "@aaaaa"));
    assert_eq!(&*done[2].backup_id, "");
    assert_eq!(done.each_ref().map(|job| job.files), [10, 10, 10, 0, 10, 10]);
    assert_eq!(done.each_ref().map(|job| job.kilobytes), [5_000, 5_000, 5_000, 5_000, 50_000, 500]);
    let row = api.walk(&[("filter", &format!("jobId eq {}", ids[0]))]).await;
    assert_eq!(row[0]["attributes"]["kilobytesDataTransferred"], 1_200);
    assert_eq!(row[0]["attributes"]["backupId"], "web01_1");
}
