//! The world lives: what happens to jobs over time, and that lists, counts and the truth agree on it.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nbu_sim::{JobState, JobView, Rows, Settings, Simulator, Truth};
use support::{START, api, ids};

const HOUR: i64 = 3_600_000;

fn busy() -> Settings {
    Settings { jobs_in_history: 300, jobs_per_hour: 300.0, live_jobs: 100, ..Settings::default() }
}

fn by_id(truth: &Truth) -> BTreeMap<i64, JobView> {
    truth.all_jobs().map(|job| (job.job_id, job)).collect()
}

async fn manual(settings: Settings) -> Simulator {
    api(settings).await.sim
}

#[tokio::test]
async fn world_starts_with_the_requested_size() {
    for jobs_in_history in [0, 1, 37, 2_000] {
        let sim = manual(Settings { jobs_in_history, ..busy() }).await;
        let truth = sim.truth();
        assert_eq!(truth.server_time(), START);
        assert_eq!(truth.jobs_ended(START - 24 * HOUR, START).count(), jobs_in_history);
        assert_eq!(truth.jobs_ended(0, i64::MAX).count(), jobs_in_history);
        // Children that arrive later make it less than was asked for.
        assert!((80..=100).contains(&truth.live_jobs().count()));
    }
    let sim = manual(Settings { live_jobs: 0, jobs_per_hour: 0.0, ..busy() }).await;
    sim.clock().advance(Duration::from_secs(24 * 3600));
    assert_eq!(sim.truth().all_jobs().count(), 300);
}

#[tokio::test]
async fn about_as_many_jobs_are_live_at_any_time() {
    let sim = manual(busy()).await;
    let mut sum = 0;
    for _ in 0..24 {
        sim.clock().advance(Duration::from_secs(1800));
        sum += sim.truth().live_jobs().count();
    }
    assert!((60..200).contains(&(sum / 24)), "{} live on average", sum / 24);
}

/// Returns true if `to` may follow the state `from` (docs/netbackup-api.md#jobs-states).
fn may_follow(from: JobState, to: JobState) -> bool {
    use JobState::{Active, Done, Incomplete, Queued, Requeued, Suspended};
    match from {
        Queued => matches!(to, Active | Done),
        Active => to != Queued,
        Requeued => to == Active,
        Incomplete => matches!(to, Queued | Done),
        Suspended | Done => to == Queued,
    }
}

#[tokio::test]
async fn job_states_follow_valid_transitions_with_one_completion_each() {
    let settings = Settings { resumes_of_finished: true, updates_of_finished: true, ..busy() };
    let sim = manual(settings).await;
    let mut seen = BTreeSet::new();
    let mut ends = BTreeSet::new();
    let mut before = by_id(&sim.truth());
    for _ in 0..7_200 {
        // Scripts keep a second between two changes: a look each second misses none.
        sim.clock().advance(Duration::from_secs(1));
        let now = by_id(&sim.truth());
        for (id, job) in &now {
            let state = before.get(id).map_or(JobState::Queued, |job| job.state);
            if job.state != state {
                assert!(may_follow(state, job.state), "{id}: {state:?} to {:?}", job.state);
                seen.insert((state, job.state));
                if let Some(end) = job.end_ms {
                    assert!(ends.insert((*id, job.attempt, end)));
                }
            }
        }
        before = now;
        if sim.truth().server_time() > START + 2 * HOUR {
            break;
        }
    }
    let later = sim.truth().completions().filter(|done| done.updated_ms > START);
    let keys: BTreeSet<_> = later.map(|done| (done.job_id, done.attempt, done.end_ms)).collect();
    assert_eq!(keys, ends);
    assert!(seen.len() >= 8, "few transitions were seen: {seen:?}");
}

#[tokio::test]
async fn row_fields_are_consistent() {
    let sim = manual(Settings { jobs_in_history: 3_000, ..busy() }).await;
    sim.clock().advance(Duration::from_secs(1800));
    let jobs = by_id(&sim.truth());
    let mut children: BTreeMap<i64, Vec<&JobView>> = BTreeMap::new();
    for job in jobs.values() {
        assert!(job.end_ms.is_none_or(|end| end >= job.start_ms));
        assert!(job.last_update_ms <= START + HOUR / 2);
        assert_eq!(job.end_ms.is_some(), job.state == JobState::Done);
        assert_eq!(job.start_ms % 1000, 0);
        assert!(job.end_ms.is_none_or(|end| end % 1000 == 0 && end <= job.last_update_ms));
        let waits = matches!(job.state, JobState::Queued | JobState::Requeued);
        assert_eq!(job.queue_reason != 0, waits);
        match job.state {
            JobState::Queued | JobState::Active | JobState::Suspended => assert_eq!(job.status, 0),
            JobState::Requeued | JobState::Incomplete => assert_ne!(job.status, 0),
            JobState::Done => {}
        }
        if job.parent != 0 {
            children.entry(job.parent).or_default().push(job);
        }
    }
    assert!(children.len() > 20);
    for (parent, children) in children {
        let parent = &jobs[&parent];
        assert_eq!(parent.child_count, i64::try_from(children.len()).unwrap());
        assert!(children.iter().all(|child| child.start_ms > parent.start_ms));
        if let Some(end) = parent.end_ms {
            assert_eq!(parent.kilobytes, children.iter().map(|child| child.kilobytes).sum::<i64>());
            assert!(children.iter().all(|child| child.end_ms.is_some_and(|at| at <= end)));
        }
    }
    let statuses: BTreeSet<i64> = jobs.values().map(|job| job.status).collect();
    assert!([0, 1, 150, 2, 13, 58, 84, 96, 156, 191, 2106].iter().all(|s| statuses.contains(s)));
    let types: BTreeSet<&str> = jobs.values().map(|job| job.job_type).collect();
    assert!(["BACKUP", "DUPLICATE", "RESTORE", "IMAGEDELETE"].iter().all(|t| types.contains(t)));
    assert!(jobs.values().any(|job| job.kilobytes > i64::from(i32::MAX)));
}

#[tokio::test]
async fn size_of_time_steps_changes_nothing() {
    let settings = Settings { late_visibility: Duration::from_secs(300), ..busy() };
    let (slow, fast) = (api(settings.clone()).await, api(settings.clone()).await);
    for step in 0..900_u64 {
        slow.sim.clock().advance(Duration::from_millis(7_000 + step));
        let _ = slow.sim.truth();
    }
    fast.sim.clock().advance(Duration::from_millis(900 * 7_000 + (0..900).sum::<u64>()));
    assert!(slow.sim.truth().all_jobs().eq(fast.sim.truth().all_jobs()));
    let query = [("page[limit]", "100"), ("sort", "lastUpdateTime")];
    assert_eq!(slow.walk(&query).await, fast.walk(&query).await);
}

#[tokio::test]
async fn same_seed_gives_the_same_bytes() {
    let text = async |seed| {
        let api = api(Settings { seed, ..busy() }).await;
        api.sim.clock().advance(Duration::from_secs(900));
        let jobs = api.get("/admin/jobs", &[("page[limit]", "100")]).await.text().await.unwrap();
        let units = api.get("/storage/storage-units", &[]).await.text().await.unwrap();
        (jobs, units)
    };
    assert_eq!(text(1).await, text(1).await);
    assert_ne!(text(1).await, text(2).await);
}

#[tokio::test]
async fn lists_agree_with_the_truth() {
    let api = api(busy()).await;
    for _ in 0..4 {
        api.sim.clock().advance(Duration::from_millis(1_234_567));
        let truth = api.sim.truth();
        let query = [("page[limit]", "100"), ("sort", "jobId")];
        for row in api.walk(&query).await {
            let row = &row["attributes"];
            let job = truth.job(row["jobId"].as_i64().unwrap()).unwrap();
            assert_eq!(row["state"], job.state.as_str());
            assert_eq!(row["status"], job.status);
            assert_eq!(row["try"], job.attempt);
            assert_eq!(row["kilobytesTransferred"], job.kilobytes);
            assert_eq!(row["numberOfFiles"], job.files);
            assert_eq!(row["jobType"], job.job_type);
            assert_eq!(row["policyType"], job.policy_type);
            assert_eq!(row["policyName"], *job.policy);
            assert_eq!(row["clientName"], *job.client);
            assert_eq!(row["scheduleName"], *job.schedule);
            assert_eq!(row["parentJobId"], job.parent);
            assert_eq!(row["childCount"], job.child_count);
            assert_eq!(row["jobQueueReason"], job.queue_reason);
            assert_eq!(row["dedupRatio"], job.dedup_ratio);
            assert_eq!(row["destinationStorageUnitName"], *job.storage_unit);
            for (name, ms) in [
                ("startTime", job.start_ms),
                ("endTime", job.end_ms.unwrap_or(0)),
                ("lastUpdateTime", job.last_update_ms),
            ] {
                let time: jiff::Timestamp = row[name].as_str().unwrap().parse().unwrap();
                assert_eq!(time.as_millisecond(), ms, "{name}");
            }
            let path = row["jobPath"].as_str().unwrap();
            assert_eq!(path.contains('.'), job.parent != 0);
            assert!(path.ends_with(&job.job_id.to_string()));
        }
        let live = api.walk(&[("filter", "state ne 'DONE'"), ("sort", "jobId")]).await;
        assert_eq!(ids(&live), truth.live_jobs().map(|job| job.job_id).collect::<Vec<_>>());
        let active = truth.live_jobs().filter(|job| job.state == JobState::Active).count();
        assert_eq!(api.count("state eq 'ACTIVE'").await["data"]["attributes"]["count"], active);
    }
}

#[tokio::test]
async fn late_rows_show_when_the_truth_says_and_not_before() {
    let api = api(Settings { late_visibility: Duration::from_secs(600), ..busy() }).await;
    let mut late = 0;
    for _ in 0..10 {
        api.sim.clock().advance(Duration::from_secs(120));
        let truth = api.sim.truth();
        let rows = api.walk(&[("filter", "state eq 'DONE'"), ("sort", "lastUpdateTime")]).await;
        let shown: BTreeSet<i64> = ids(&rows).into_iter().collect();
        for job in truth.jobs_ended(0, i64::MAX) {
            let visible = job.visible_from_ms <= truth.server_time();
            assert_eq!(shown.contains(&job.job_id), visible, "{job:?}");
            late += i32::from(!visible);
        }
    }
    assert!(late > 10);
}

#[tokio::test]
async fn finished_jobs_may_be_touched_and_resumed() {
    let settings = Settings {
        updates_of_finished: true,
        resumes_of_finished: true,
        jobs_in_history: 4_000,
        ..busy()
    };
    let sim = manual(settings).await;
    let before = by_id(&sim.truth());
    sim.clock().advance(Duration::from_secs(12 * 3600));
    let after = by_id(&sim.truth());
    let touched = before.values().filter(|old| {
        let new = &after[&old.job_id];
        old.end_ms.is_some() && new.end_ms == old.end_ms && new.last_update_ms > old.last_update_ms
    });
    assert!(touched.count() > 5);
    let mut times: BTreeMap<i64, u32> = BTreeMap::new();
    for completion in sim.truth().completions() {
        *times.entry(completion.job_id).or_default() += 1;
    }
    assert!(times.values().any(|times| *times == 2));
    assert_eq!(by_id(&sim.truth().at(START)), before);
}

#[tokio::test]
async fn finished_jobs_are_purged_after_the_retention() {
    let settings = Settings { retention: Duration::from_secs(6 * 3600), ..busy() };
    let api = api(settings).await;
    api.sim.clock().advance(Duration::from_secs(3600));
    for sort in ["jobId", "endTime", "-lastUpdateTime", "clientName"] {
        let rows = api.walk(&[("page[limit]", "100"), ("sort", sort)]).await;
        let mut shown = ids(&rows);
        shown.sort_unstable();
        let kept = api.sim.truth().all_jobs().filter(|job| !job.purged);
        assert_eq!(shown, kept.map(|job| job.job_id).collect::<Vec<_>>(), "{sort}");
    }
    let truth = api.sim.truth();
    let end = truth.server_time() - 6 * HOUR;
    assert!(truth.all_jobs().filter(|job| job.purged).all(|job| job.end_ms.unwrap() <= end));
    assert!(truth.all_jobs().any(|job| job.purged));
}

#[tokio::test]
async fn server_clock_set_back_stamps_new_rows_earlier() {
    let api = api(busy()).await;
    api.sim.clock().advance(Duration::from_secs(600));
    let ended = api.sim.truth().jobs_ended(0, i64::MAX);
    let newest = ended.map(|job| job.last_update_ms).max().unwrap();
    let arrived = api.sim.truth().all_jobs().count();
    api.sim.clock().set_skew_ms(-2 * HOUR);
    assert_eq!(api.sim.truth().server_time(), START + 600_000 - 2 * HOUR);
    api.sim.clock().advance(Duration::from_secs(1200));
    let truth = api.sim.truth();
    let fresh: Vec<JobView> = truth.all_jobs().skip(arrived).collect();
    assert!(!fresh.is_empty() && fresh.iter().all(|job| job.last_update_ms < START));
    assert!(truth.all_jobs().any(|job| job.last_update_ms == newest));
    for sort in ["startTime", "lastUpdateTime", "endTime"] {
        let rows = api.walk(&[("sort", sort), ("page[limit]", "100")]).await;
        assert!(rows.is_sorted_by_key(|row| row["attributes"][sort].as_str().unwrap().to_owned()));
        assert_eq!(rows.len(), truth.all_jobs().count());
    }
}

#[tokio::test]
async fn progress_moves_the_row_where_that_is_asked_for() {
    let sim = manual(Settings { progress_updates: Duration::from_secs(30), ..busy() }).await;
    let active = |truth: &Truth| {
        truth.live_jobs().filter(|job| job.state == JobState::Active).collect::<Vec<_>>()
    };
    sim.clock().advance(Duration::from_secs(60));
    let truth = sim.truth();
    assert!(active(&truth).iter().all(|job| truth.server_time() - job.last_update_ms < 30_000));
}

#[tokio::test]
async fn capacities_drift_and_add_up() {
    let api = api(busy()).await;
    let before = api.sim.truth().storage_units();
    api.sim.clock().advance(Duration::from_secs(24 * 3600));
    let units = api.sim.truth().storage_units();
    assert_ne!(before, units);
    let page = api.json("/storage/storage-units", &[]).await;
    for (unit, row) in units.iter().zip(page["data"].as_array().unwrap()) {
        let row = &row["attributes"];
        assert_eq!(row["name"], *unit.name);
        assert_eq!(row["freeCapacityBytes"].as_i64(), unit.free);
        assert_eq!(row["usedCapacityBytes"].as_i64(), unit.used);
        assert_eq!(row["totalCapacityBytes"].as_i64(), unit.total);
        assert_eq!(row["maxConcurrentJobs"].as_i64(), unit.max_concurrent_jobs);
        assert_eq!(row["maxConcurrentDrives"].as_i64(), unit.max_concurrent_drives);
        match unit.category {
            "TAPE" => assert_eq!(unit.total, None),
            "CLOUD" => assert_eq!(unit.free, Some(i64::MAX)),
            _ => assert_eq!(unit.free.unwrap() + unit.used.unwrap(), unit.total.unwrap()),
        }
    }
    assert!(units.iter().any(|unit| unit.total == Some(0)));
}

#[tokio::test]
async fn rows_of_unknown_list_are_refused_with_the_names() {
    let rows = Rows::default().with("tapes", 3).with("tape_drives", 3);
    let refused = Simulator::start(Settings { rows, ..Settings::default() }).await.unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("\"tape_drives\": ") && said.contains("tape-drives, tapes"), "{said}");
    let rows = Rows::default().with("tapes", 3);
    let sim = Simulator::start(Settings { rows, ..Settings::default() }).await.unwrap();
    assert_eq!((sim.truth().tapes().len(), sim.truth().slos().len()), (3, 6));
}

#[test]
fn lists_of_fixtures_have_names_of_their_own() {
    let lists = || nbu_sim::fixtures().flat_map(|fixture| fixture.rows);
    let names: std::collections::BTreeSet<_> = lists().map(|list| list.name).collect();
    assert_eq!(names.len(), lists().count());
}
