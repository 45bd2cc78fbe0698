//! Situations of a drawn world that an agent has to tell apart: families, causes, places, stalled jobs, false
//! successes. Each is in the truth, and rows say the same.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nbu_sim::{Cause, Completion, FalseGreen, JobState, JobView, Release, Settings, Truth};
use support::{START, api};

const HOUR: i64 = 3_600_000;

fn large() -> Settings {
    Settings { jobs_in_history: 6_000, jobs_per_hour: 300.0, live_jobs: 100, ..Settings::default() }
}

fn small() -> Settings {
    Settings { jobs_in_history: 50, ..large() }
}

fn families(truth: &Truth) -> Vec<(JobView, Vec<JobView>)> {
    let mut children: BTreeMap<i64, Vec<JobView>> = BTreeMap::new();
    for job in truth.all_jobs().filter(|job| job.parent != 0) {
        children.entry(job.parent).or_default().push(job);
    }
    children.into_iter().map(|(parent, jobs)| (truth.job(parent).unwrap(), jobs)).collect()
}

fn is_restore_or_verify(job_type: &str) -> bool {
    matches!(job_type, "RESTORE" | "VERIFY")
}

#[tokio::test]
async fn machines_are_children_of_a_parent_with_snapshots() {
    let sim = api(Settings { policies: 12, ..large() }).await.sim;
    let families = families(&sim.truth());
    let of = |policy_type: &str| {
        let is_of =
            |(parent, _): &&(JobView, _)| parent.policy_type == policy_type && parent.parent == 0;
        families.iter().filter(is_of).collect::<Vec<_>>()
    };
    for policy_type in ["VMWARE", "HYPERV", "NUTANIX_AHV", "NAS_DATA_PROTECTION"] {
        assert!(!of(policy_type).is_empty(), "{policy_type}");
        for (parent, children) in of(policy_type) {
            assert_eq!(parent.job_type, "BACKUP");
            let types: BTreeSet<_> = children.iter().map(|child| child.job_type).collect();
            assert_eq!(types, BTreeSet::from(["BACKUP", "SNAPSHOT"]), "{policy_type}");
            let workloads: BTreeSet<_> = children.iter().map(|child| &child.workload).collect();
            assert_eq!(workloads.len(), children.len(), "each child has a machine of its own");
            let on_host = children.iter().all(|child| child.client == parent.client);
            let by_share = children.iter().all(|child| child.client == child.workload);
            assert_eq!(
                (on_host, by_share),
                if policy_type.starts_with("NAS") { (false, true) } else { (true, false) }
            );
        }
    }
    let alone = |job: &JobView| job.parent == 0 && matches!(job.job_type, "SNAPSHOT" | "SNAPDUPE");
    let snapshots: Vec<_> = sim.truth().all_jobs().filter(alone).collect();
    for job_type in ["SNAPSHOT", "SNAPDUPE"] {
        for policy_type in ["NAS_DATA_PROTECTION", "CLOUD"] {
            let found = snapshots
                .iter()
                .any(|job| (job.job_type, job.policy_type) == (job_type, policy_type));
            assert!(found, "{job_type} of {policy_type}");
        }
    }
}

#[tokio::test]
async fn parents_have_neither_schedule_nor_place() {
    let api = api(large()).await;
    let truth = api.sim.truth();
    let parents: BTreeMap<i64, JobView> =
        families(&truth).into_iter().map(|(parent, _)| (parent.job_id, parent)).collect();
    let rows = api.walk(&[("page[limit]", "100")]).await;
    let (mut running, mut seen) = (0, 0);
    for row in rows.iter().map(|row| &row["attributes"]) {
        let job = truth.job(row["jobId"].as_i64().unwrap()).unwrap();
        let operation = row["currentOperation"].as_i64().unwrap();
        if !parents.contains_key(&job.job_id) {
            assert_ne!(operation, 27);
            continue;
        }
        seen += 1;
        running += i32::from(job.state == JobState::Active);
        assert_eq!(operation, if job.state == JobState::Active { 27 } else { 0 });
        for name in [
            "destinationStorageUnitName",
            "destinationMediaServerName",
            "destinationMediaId",
            "backupId",
        ] {
            assert_eq!(row[name], "", "{name}");
        }
        assert_eq!(
            (&row["scheduleName"], &row["scheduleType"]),
            (&"-".into(), &"UNRECOGNIZED_VALUE".into())
        );
    }
    assert!(running > 0 && seen > 50, "{running} of {seen} parents run");
}

#[tokio::test]
async fn catalog_backups_end_with_their_root() {
    for release in Release::ALL {
        let spelled = (release == Release::R11_2).then_some("NBU-Catalog");
        let settings = Settings { release, catalog_policy_type: spelled, ..large() };
        let api = api(settings).await;
        let policy_type = spelled.unwrap_or("NBU_CATALOG");
        let families = families(&api.sim.truth());
        let backups: Vec<_> =
            families.iter().filter(|(root, _)| root.policy_type == policy_type).collect();
        assert!(backups.len() > 10, "{} in {release}", backups.len());
        let mut statuses = BTreeSet::new();
        for (root, children) in backups {
            assert_eq!(root.job_type, if release < Release::R11_0 { "DBBACKUP" } else { "BACKUP" });
            let Some(end) = root.end_ms else { continue };
            assert!(children.iter().all(|child| child.end_ms.unwrap() <= end));
            let good = children.iter().all(|child| child.status == 0);
            assert_eq!(root.status == 0, good);
            assert_eq!(
                root.cause,
                children.iter().rfind(|child| child.status != 0).and_then(|child| child.cause)
            );
            statuses.insert(root.status);
        }
        assert!(statuses.contains(&0) && statuses.len() > 1, "{statuses:?}");
        let all: Vec<_> = api.sim.truth().all_jobs().collect();
        let alone =
            |job: &&JobView| job.policy_type == policy_type && job.parent == 0 && job.is_leaf();
        assert!(!all.iter().filter(|job| job.end_ms.is_some()).any(|job| alone(&job)));
        let rows = api.walk(&[("page[limit]", "100")]).await;
        assert!(rows.iter().any(|row| row["attributes"]["policyType"] == policy_type));
    }
}

#[tokio::test]
async fn each_cause_ends_jobs_that_it_can_strike() {
    let sim = api(large()).await.sim;
    let units: BTreeMap<_, _> =
        sim.truth().storage_units().into_iter().map(|unit| (unit.name.clone(), unit)).collect();
    let mut causes = BTreeSet::new();
    for done in sim.truth().completions().filter(|done| done.leaf) {
        assert_eq!(done.cause.is_some(), !matches!(done.status, 0 | 1 | 150), "{done:?}");
        let Some(cause) = done.cause else { continue };
        causes.insert(cause);
        match done.status {
            83..=87 => {
                let tape = units[&done.storage_unit].category == "TAPE";
                assert_eq!(cause, if tape { Cause::Tape } else { Cause::DiskIo });
            }
            190 | 200 => assert_eq!((cause, done.kilobytes), (Cause::NothingToDo, 0)),
            191 => assert!(matches!(done.job_type, "DUPLICATE" | "VERIFY")),
            196 => {
                assert_eq!((cause, done.active_start_ms), (Cause::WindowClosed, None));
                assert_eq!((&*done.storage_unit, done.kilobytes), ("", 0));
            }
            5 | 175 | 2800..=2899 => assert_eq!(done.job_type, "RESTORE"),
            _ => {}
        }
    }
    assert_eq!(causes, BTreeSet::from(Cause::ALL));
}

/// Returns what rows and truth must agree on, as text.
fn told(job: &JobView) -> Vec<String> {
    let mut told: Vec<String> =
        [&job.workload, &job.backup_id, &job.storage_unit, &job.media_server, &job.media_id]
            .map(ToString::to_string)
            .into();
    told.push(job.schedule_type.to_owned());
    let numbers = [
        job.current_operation,
        job.moved_kilobytes,
        job.kilobytes,
        job.files,
        job.attempt,
        job.active_start_ms.unwrap_or(0),
    ];
    told.extend(numbers.map(|number| number.to_string()));
    told
}

#[tokio::test]
async fn rows_tell_the_places_sizes_and_times_of_the_truth() {
    let settings = Settings { stalled_jobs: 5, false_greens: 0.1, storage_units: 40, ..large() };
    let api = api(settings).await;
    for _ in 0..2 {
        api.sim.clock().advance(Duration::from_millis(1_234_567));
        let truth = api.sim.truth();
        let mut media = BTreeSet::new();
        for row in api.walk(&[("page[limit]", "100")]).await {
            let row = &row["attributes"];
            let job = truth.job(row["jobId"].as_i64().unwrap()).unwrap();
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            let number = |name: &str| row[name].as_i64().unwrap().to_string();
            let started: jiff::Timestamp = text("activeTryStartTime").parse().unwrap();
            let row = [
                text("workloadDisplayName"),
                text("backupId"),
                text("destinationStorageUnitName"),
                text("destinationMediaServerName"),
                text("destinationMediaId"),
                text("scheduleType"),
                number("currentOperation"),
                number("kilobytesDataTransferred"),
                number("kilobytesTransferred"),
                number("numberOfFiles"),
                number("try"),
                started.as_millisecond().to_string(),
            ];
            assert_eq!(row[..], told(&job), "{job:?}");
            let leaf = job.is_leaf() && job.current_operation != 27;
            let reads = is_restore_or_verify(job.job_type);
            assert!(job.storage_unit.is_empty() || leaf && !reads, "{job:?}");
            media.insert(job.media_id.chars().next());
        }
        assert_eq!(media, BTreeSet::from([None, Some('@'), Some('T')]));
    }
}

#[tokio::test]
async fn completions_tell_of_the_last_try() {
    let settings = Settings { resumes_of_finished: true, ..large() };
    let sim = api(settings).await.sim;
    sim.clock().advance(Duration::from_secs(24 * 3600));
    let truth = sim.truth();
    let mut last: BTreeMap<i64, Completion> = BTreeMap::new();
    let (mut waits, mut retried) = (0, 0);
    for done in truth.completions() {
        if let Some(wait) = done.queue_wait_ms {
            assert_eq!((done.attempt, done.active_start_ms), (1, Some(done.start_ms + wait)));
            assert!(wait >= 0);
            waits += 1;
        }
        retried += i32::from(done.attempt > 1);
        last.insert(done.job_id, done);
    }
    assert!(waits > 1_000 && retried > 50, "{waits} waits, {retried} retries");
    for job in truth.jobs_ended(0, i64::MAX) {
        let done = &last[&job.job_id];
        assert_eq!(
            (done.active_start_ms, done.queue_wait_ms, done.attempt, done.end_ms),
            (job.active_start_ms, job.queue_wait_ms, job.attempt, job.end_ms.unwrap())
        );
        assert_eq!(
            (&done.storage_unit, &done.media_server, &done.media_id),
            (&job.storage_unit, &job.media_server, &job.media_id)
        );
        assert_eq!(
            (&done.workload, &done.backup_id, &done.client, &done.policy),
            (&job.workload, &job.backup_id, &job.client, &job.policy)
        );
        assert_eq!(
            (done.status, done.cause, done.parent, done.current_operation),
            (job.status, job.cause, job.parent, 0)
        );
        assert_eq!(
            (done.kilobytes, done.moved_kilobytes, done.files),
            (job.kilobytes, job.moved_kilobytes, job.files)
        );
        assert_eq!((done.schedule_type, done.job_type), (job.schedule_type, job.job_type));
    }
}

#[tokio::test]
async fn later_try_may_go_to_another_storage_unit() {
    let sim = api(Settings { storage_units: 12, ..small() }).await.sim;
    let mut first: BTreeMap<i64, JobView> = BTreeMap::new();
    let mut moved = 0;
    for _ in 0..240 {
        sim.clock().advance(Duration::from_secs(60));
        for job in sim.truth().live_jobs().filter(|job| !job.storage_unit.is_empty()) {
            let before = first.entry(job.job_id).or_insert_with(|| job.clone());
            let stays = before.storage_unit == job.storage_unit;
            assert!(stays || job.attempt > before.attempt, "{job:?}");
            moved += i32::from(!stays);
        }
    }
    assert!(moved > 0);
}

#[tokio::test]
async fn every_state_occurs_with_the_time_of_its_beginning() {
    let sim = api(small()).await.sim;
    let mut seen = BTreeSet::new();
    let mut before: BTreeMap<i64, JobView> = BTreeMap::new();
    for _ in 0..1_800 {
        sim.clock().advance(Duration::from_secs(1));
        let now = sim.truth();
        for job in now.live_jobs() {
            seen.insert(job.state);
            let old = before.insert(job.job_id, job.clone());
            let changed = old.as_ref().is_none_or(|old| old.state != job.state);
            if !changed {
                assert_eq!(old.unwrap().entered_ms, job.entered_ms);
            } else if old.is_some() {
                let since = now.server_time() - job.entered_ms;
                assert!((0..1_000).contains(&since), "{job:?}");
            }
        }
    }
    sim.truth().jobs_ended(0, i64::MAX).for_each(|job| {
        let end = job.end_ms.unwrap();
        assert!((end..end + 1_000).contains(&job.entered_ms));
        seen.insert(job.state);
    });
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[tokio::test]
async fn stalled_jobs_stand_still_and_others_move() {
    let settings = Settings { stalled_jobs: 3, long_lived_jobs: 4, ..large() };
    let api = api(settings).await;
    let mut moving = 0;
    let look = |truth: &Truth| -> BTreeMap<i64, JobView> {
        let active = truth.live_jobs().filter(|job| job.state == JobState::Active);
        active.map(|job| (job.job_id, job)).collect()
    };
    let mut before = look(&api.sim.truth());
    let stalled: Vec<i64> =
        before.values().filter(|job| job.stalled_from_ms.is_some()).map(|job| job.job_id).collect();
    assert_eq!(stalled.len(), 3);
    for _ in 0..60 {
        api.sim.clock().advance(Duration::from_secs(600));
        let now = look(&api.sim.truth());
        for (id, job) in &now {
            let Some(old) = before.get(id) else { continue };
            if old.attempt != job.attempt {
                continue;
            }
            let same = (old.kilobytes, old.files) == (job.kilobytes, job.files);
            let data = job.kilobytes > 0;
            assert_eq!(same && data, stalled.contains(id), "{job:?}");
            moving += i32::from(!same);
        }
        assert!(stalled.iter().all(|id| now[id].last_update_ms < START));
        assert!(stalled.iter().all(|id| now[id].stalled_from_ms.is_some_and(|from| from < START)));
        before = now;
    }
    assert!(moving > 20, "{moving} jobs were seen to move");
    let held: BTreeSet<_> = before
        .values()
        .filter(|job| job.start_ms < START - HOUR && job.stalled_from_ms.is_none())
        .map(|job| job.job_type)
        .collect();
    for name in ["INSTANT_ACCESS", "ACTIVATE_IR", "LOCKVM", "DEPLOYMENT"] {
        assert!(held.contains(name), "{name}");
    }
    api.sim.clock().advance(Duration::from_secs(24 * 3600));
    let truth = api.sim.truth();
    assert!(stalled.iter().all(|id| truth.job(*id).unwrap().status == 150));
}

#[tokio::test]
async fn settings_of_standing_jobs_leave_the_others_alone() {
    let plain: Vec<_> = api(large()).await.sim.truth().all_jobs().collect();
    let settings = Settings { stalled_jobs: 3, long_lived_jobs: 4, ..large() };
    let more: Vec<_> = api(settings).await.sim.truth().all_jobs().collect();
    assert_eq!(more.len(), plain.len() + 7);
    let sizes = |jobs: &[JobView]| {
        let mut sizes: Vec<_> = jobs.iter().map(|job| (job.start_ms, job.kilobytes)).collect();
        sizes.sort_unstable();
        sizes
    };
    let (mut plain, more) = (sizes(&plain), sizes(&more));
    plain.retain(|job| !more.contains(job));
    assert!(plain.is_empty());
}

#[tokio::test]
async fn false_greens_are_successes_without_a_good_backup() {
    let honest = api(large()).await.sim;
    assert!(honest.truth().completions().all(|done| done.false_green.is_none()));
    let sim = api(Settings { false_greens: 0.1, ..large() }).await.sim;
    let usual = |done: &Completion| {
        (done.workload.clone(), done.policy.clone(), done.schedule_type.contains("FULL"))
    };
    let good = |done: &Completion| done.leaf && done.job_type == "BACKUP" && done.status == 0;
    let mut sizes: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    for done in sim.truth().completions().filter(|done| good(done) && done.false_green.is_none()) {
        assert!(!done.backup_id.is_empty() && done.files > 0, "{done:?}");
        sizes.entry(usual(&done)).or_default().push(done.kilobytes);
    }
    for sizes in sizes.values() {
        let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
        assert!(most - least < most / 4, "sizes of one subject are alike: {sizes:?}");
    }
    let mut seen = BTreeSet::new();
    for done in sim.truth().completions() {
        let Some(false_green) = done.false_green else { continue };
        assert!(good(&done));
        let usual = sizes.get(&usual(&done)).map(|sizes| sizes[0] as f64 / done.kilobytes as f64);
        match false_green {
            FalseGreen::NoImage => assert_eq!(&*done.backup_id, ""),
            FalseGreen::NoFiles => {
                assert_eq!((done.files, done.schedule_type), (0, "FULL_BACKUP"));
            }
            FalseGreen::TenfoldSize => assert!(usual.is_none_or(|share| share < 0.2), "{usual:?}"),
            FalseGreen::TenthOfSize => assert!(usual.is_none_or(|share| share > 5.0), "{usual:?}"),
        }
        seen.insert(false_green);
    }
    assert_eq!(seen, BTreeSet::from(FalseGreen::ALL));
}
