//! Rows, and the details that they tell beside the number of jobs.

use super::*;
use crate::jobs::NameFilterConfig;
use crate::jobs::format::{NameV1, Record};

const FULL: Option<Cow<'static, str>> = Some(Cow::Borrowed("FULL_BACKUP"));

/// Returns the value of a series of counters, by its labels; of a histogram the number of observations and their sum.
fn counters(ledger: &mut Ledger, name: &str) -> Vec<(String, f64)> {
    let (groups, _) = ledger.counter_samples(&Actions::default()).expect("a whole window");
    values(&families(groups), name)
}

fn values(families: &[Family], name: &str) -> Vec<(String, f64)> {
    let family = families.iter().filter(|family| family.definition.prometheus_name() == name);
    let mut all: Vec<(String, f64)> = family
        .flat_map(|family| &family.points)
        .map(|point| {
            let value = match &point.value {
                Value::Number(number) => *number,
                Value::Distribution(times) => times.sum,
            };
            (point.attributes.join(" "), value)
        })
        .filter(|(_, value)| *value != 0.0)
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

fn live(ledger: &mut Ledger, name: &str) -> Vec<(String, f64)> {
    let after = (Duration::from_secs(3600), Duration::from_secs(3600));
    let samples = ledger.live_samples(&Actions::default(), after).expect("a list");
    values(&samples.finish().0, name)
}

fn kept(ledger: &Ledger, name: &str) -> Vec<(String, f64)> {
    values(&ledger.own_samples(0).finish().0, name)
}

fn one(labels: &str, value: f64) -> Vec<(String, f64)> {
    vec![(labels.to_owned(), value)]
}

/// A leaf that waited for ten seconds and wrote to a place.
fn placed(id: i64, end: i64) -> JobRow<'static> {
    JobRow {
        start_time: Some(end - 70_000),
        active_try_start_time: Some(end - 60_000),
        kilobytes_data_transferred: Some(2),
        destination_storage_unit_name: Some(Cow::Borrowed("u1")),
        destination_media_server_name: Some(Cow::Borrowed("m1")),
        destination_media_id: Some(Cow::Borrowed("@aaaa")),
        backup_id: Some(Cow::Borrowed("db1_1")),
        schedule_type: FULL,
        ..row(id, end)
    }
}

/// Saves a ledger and restores it.
fn restarted(ledger: &Ledger) -> Ledger {
    let mut again = Ledger::new(0, Duration::from_secs(3600), SystemTime::now());
    let written = SystemTime::UNIX_EPOCH;
    ledger.all_records(written).for_each(|part| again.restore(&part).expect("records"));
    again.finish_restore().expect("a ledger");
    again
}

#[test]
fn leaf_tells_its_wait_its_work_and_its_places() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    ledger.apply_changed(&placed(1, now));
    ledger.apply_changed(&JobRow { try_count: Some(2), ..placed(2, now) });
    ledger.apply_changed(&JobRow { child_count: Some(1), ..placed(3, now) });
    ledger.apply_changed(&JobRow { current_operation: Some(27), ..placed(4, now) });
    ledger.apply_changed(&JobRow { active_try_start_time: Some(0), ..placed(5, now + HOUR) });
    assert_eq!(counters(&mut ledger, "nbu_job_queue_wait_seconds"), one("BACKUP", 10.0));
    let duration = counters(&mut ledger, "nbu_job_active_duration_seconds");
    assert_eq!(duration, one("BACKUP STANDARD", 120.0));
    let bytes = 3.0 * 10_240.0;
    let units = counters(&mut ledger, "nbu_storage_unit_transferred_bytes_total");
    assert_eq!(units, one("u1 BACKUP", bytes));
    let servers = counters(&mut ledger, "nbu_media_server_transferred_bytes_total");
    assert_eq!(servers, one("m1 BACKUP", bytes));
    let moved = counters(&mut ledger, "nbu_jobs_moved_bytes_total");
    assert_eq!(moved, one("BACKUP STANDARD", 3.0 * 2048.0));
}

#[test]
fn places_beyond_the_limit_are_other() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    for id in 0..600 {
        let unit = Some(Cow::Owned(format!("u{id}")));
        ledger.apply_changed(&JobRow { destination_storage_unit_name: unit, ..placed(id, now) });
    }
    let units = counters(&mut ledger, "nbu_storage_unit_transferred_bytes_total");
    assert_eq!(units.len(), 501);
    assert!(units.contains(&("other BACKUP".to_owned(), 100.0 * 10_240.0)), "{units:?}");
}

#[test]
fn failures_are_counted_by_family_and_storage() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    let tape = Some(Cow::Borrowed("A00001"));
    for (id, status, medium) in
        [(1, 84, None), (2, 84, tape), (3, 0, None), (4, 190, None), (5, 196, None), (6, 150, None)]
    {
        let medium = medium.or(Some(Cow::Borrowed("@aaaa")));
        let failed =
            JobRow { status: Some(status), destination_media_id: medium, ..placed(id, now) };
        ledger.apply_changed(&failed);
    }
    let expected = ["disk_io", "tape", "window_or_limit"];
    let expected: Vec<_> = expected.map(|family| (format!("BACKUP {family}"), 1.0)).into();
    assert_eq!(counters(&mut ledger, "nbu_jobs_failures_total"), expected);
    let (groups, _) = ledger.total_samples(&Actions::default()).expect("a whole window");
    let outcomes = values(&families(groups), "nbu_jobs_outcomes_total");
    let expected = [
        ("cancelled", 1.0),
        ("failure", 2.0),
        ("missed", 1.0),
        ("nothing_to_do", 1.0),
        ("success", 1.0),
    ];
    let expected: Vec<_> =
        expected.map(|(outcome, jobs)| (format!("BACKUP {outcome}"), jobs)).into();
    assert_eq!(outcomes, expected);
}

#[test]
fn totals_of_the_first_rule_stay_what_they_were() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    let missed = |id| JobRow { status: Some(196), ..row(id, now) };
    ledger.apply_changed(&missed(1));
    ledger.apply_changed(&missed(2));
    // As the build before wrote it: one record of the total, which the first rule calls failures.
    let mut old = Ledger::new(0, Duration::from_secs(3600), SystemTime::now());
    for part in ledger.all_records(SystemTime::UNIX_EPOCH) {
        let mut bytes = &part[..];
        while !bytes.is_empty() {
            let mut out = Vec::new();
            match Record::next(&mut bytes).expect("a record").expect("a known one") {
                Record::Total(total) => total.of_first_rule(2).put(&mut out),
                Record::RuleTotal(_) | Record::Counter(_) | Record::Details(_) => {}
                record => record.put(&mut out),
            }
            old.restore(&out).expect("records");
        }
    }
    old.finish_restore().expect("a ledger");
    let shown = |ledger: &mut Ledger| {
        let (groups, _) = ledger.total_samples(&Actions::default()).expect("a whole window");
        let families = families(groups);
        let outcomes = values(&families, "nbu_jobs_outcomes_total");
        [outcomes, values(&families, "nbu_jobs_completed_total")].concat()
    };
    let failures = ("BACKUP failure".to_owned(), 2.0);
    let completed = ("BACKUP STANDARD 196 failure leaf".to_owned(), 2.0);
    assert_eq!(shown(&mut old), [failures.clone(), completed.clone()]);
    let now = later(&mut old, 5);
    old.apply_changed(&JobRow { status: Some(196), ..row(3, now) });
    for mut ledger in [restarted(&old), old] {
        let expected = [
            failures.clone(),
            ("BACKUP missed".to_owned(), 1.0),
            completed.clone(),
            ("BACKUP STANDARD 196 missed leaf".to_owned(), 1.0),
        ];
        assert_eq!(shown(&mut ledger), expected);
    }
}

#[test]
fn job_without_progress_is_stalled_also_after_a_restart() {
    let mut ledger = ledger();
    let active = |id: i64, kilobytes: i64, job_type: &'static str| JobRow {
        job_type: Some(Cow::Borrowed(job_type)),
        kilobytes_transferred: Some(kilobytes),
        active_try_start_time: Some(NOON - HOUR / 2),
        destination_storage_unit_name: Some(Cow::Borrowed("u1")),
        ..unfinished(id, "ACTIVE", 1)
    };
    let sweep_at = |ledger: &mut Ledger, minutes: i64, moved: i64| {
        later(ledger, minutes);
        sweep(
            ledger,
            &[
                active(1, 7, "BACKUP"),
                active(2, moved, "BACKUP"),
                active(3, 7, "INSTANT_ACCESS"),
                JobRow { child_count: Some(2), ..active(4, 7, "BACKUP") },
                JobRow { state: Some(Cow::Borrowed("QUEUED")), ..active(5, 7, "BACKUP") },
            ],
        );
    };
    for moved in 0..5 {
        sweep_at(&mut ledger, 15, moved);
    }
    assert_eq!(live(&mut ledger, "nbu_jobs_stalled"), one("BACKUP", 1.0));
    assert_eq!(live(&mut ledger, "nbu_storage_unit_active_jobs"), one("u1", 3.0));
    let ages = [("BACKUP ACTIVE", 105.0 * 60.0), ("BACKUP QUEUED", 135.0 * 60.0)];
    let ages: Vec<_> = ages.map(|(labels, age)| (labels.to_owned(), age)).into();
    assert_eq!(live(&mut ledger, "nbu_jobs_oldest_age_seconds"), ages);
    let mut again = restarted(&ledger);
    sweep_at(&mut again, 5, 9);
    assert_eq!(live(&mut again, "nbu_jobs_stalled"), one("BACKUP", 1.0));
    sweep_at(&mut again, 5, 9);
    later(&mut again, 5);
    sweep(&mut again, &[active(1, 8, "BACKUP")]);
    assert_eq!(live(&mut again, "nbu_jobs_stalled"), []);
    assert_eq!(
        live(&mut restarted_and_seen(&again, &active(1, 8, "BACKUP")), "nbu_jobs_stalled"),
        []
    );
}

/// Restores a ledger, and lists one live job after an hour.
fn restarted_and_seen(ledger: &Ledger, job: &JobRow<'_>) -> Ledger {
    let mut again = restarted(ledger);
    later(&mut again, 60);
    sweep(&mut again, std::slice::from_ref(job));
    again
}

#[test]
fn false_greens_are_counted_once_by_kind() {
    let mut ledger = ledger();
    for id in 0..8 {
        let now = later(&mut ledger, 5);
        ledger.apply_changed(&placed(id, now));
    }
    assert_eq!(counters(&mut ledger, "nbu_false_green_total"), []);
    let mut ledger = restarted(&ledger);
    let now = later(&mut ledger, 5);
    let none = Some(Cow::Borrowed(""));
    ledger.apply_changed(&JobRow { backup_id: none.clone(), ..placed(11, now) });
    ledger.apply_changed(&JobRow { backup_id: None, ..placed(12, now) });
    ledger.apply_changed(&JobRow { number_of_files: Some(0), ..placed(13, now) });
    let huge = JobRow { kilobytes_transferred: Some(101), ..placed(14, now) };
    ledger.apply_changed(&huge);
    ledger.apply_changed(&huge);
    ledger.apply_changed(&JobRow { status: Some(1), backup_id: none, ..placed(15, now) });
    let expected = ["no_backup_id", "no_files", "odd_size"];
    let expected: Vec<_> = expected.map(|kind| (kind.to_owned(), 1.0)).into();
    assert_eq!(counters(&mut ledger, "nbu_false_green_total"), expected);
}

#[test]
fn catalogue_backup_is_told_by_its_root_in_any_spelling() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    let root = |id: i64, end: i64, status: i64, spelling: &'static str| JobRow {
        policy_type: Some(Cow::Borrowed(spelling)),
        job_type: Some(Cow::Borrowed("DBBACKUP")),
        parent_job_id: Some(0),
        child_count: Some(2),
        status: Some(status),
        ..row(id, end)
    };
    ledger.apply_changed(&root(1, now - 4 * MINUTE, 0, "NBU-Catalog"));
    ledger.apply_changed(&root(2, now - MINUTE, 2, "NBU_CATALOG"));
    ledger.apply_changed(&JobRow { parent_job_id: Some(1), ..root(3, now, 0, "NBU_CATALOG") });
    ledger.apply_changed(&root(4, now, 0, "STANDARD"));
    for ledger in [restarted(&ledger), ledger] {
        let end = (now - 4 * MINUTE) as f64 / 1000.0;
        for (name, value) in [
            ("nbu_catalog_backup_last_success_timestamp_seconds", end),
            ("nbu_catalog_backup_last_status", 2.0),
            ("nbu_catalog_backup_last_duration_seconds", 300.0),
            ("nbu_catalog_backup_last_bytes", 10_240.0),
        ] {
            assert_eq!(kept(&ledger, name), one("", value), "{name}");
        }
    }
}

#[test]
fn restorable_backups_are_of_workloads_by_class() {
    let mut ledger = ledger();
    let all = || NameFilterConfig {
        enabled: true,
        allowlist: vec!["*".to_owned()],
        ..NameFilterConfig::default()
    };
    ledger.select(&NameFilterConfig::default(), &all(), &all());
    let now = later(&mut ledger, 5);
    let machine = |id: i64, end: i64, status: i64| JobRow {
        workload_display_name: Some(Cow::Borrowed("vm-1")),
        status: Some(status),
        ..placed(id, end)
    };
    ledger.apply_changed(&machine(1, now - 4 * MINUTE, 1));
    ledger.apply_changed(&JobRow { schedule_type: None, ..machine(2, now, 0) });
    ledger.apply_changed(&JobRow { backup_id: Some(Cow::Borrowed("")), ..machine(3, now, 0) });
    ledger.apply_changed(&machine(4, now - 2 * MINUTE, 13));
    ledger.apply_changed(&machine(5, now - MINUTE, 196));
    ledger.apply_changed(&machine(6, now, 200));
    let restore = Some(Cow::Borrowed("RESTORE"));
    ledger.apply_changed(&JobRow { job_type: restore, ..machine(7, now, 0) });
    ledger.apply_changed(&placed(8, now));
    let mut again = restarted(&ledger);
    again.select(&NameFilterConfig::default(), &all(), &all());
    for ledger in [&mut ledger, &mut again] {
        let (groups, _) = ledger.last_samples(&Actions::default()).expect("a whole window");
        let families = families(groups);
        let name = "nbu_workload_last_restorable_backup_timestamp_seconds";
        let expected = [
            ("db1 full".to_owned(), now as f64 / 1000.0),
            ("vm-1 full".to_owned(), (now - 4 * MINUTE) as f64 / 1000.0),
        ];
        assert_eq!(values(&families, name), expected);
        assert_eq!(values(&families, "nbu_workload_failing_seconds"), one("vm-1 full", 60.0));
        let name = "nbu_policy_last_restorable_backup_timestamp_seconds";
        assert_eq!(values(&families, name), one("nightly full", now as f64 / 1000.0));
        let of_clients =
            families.iter().any(|family| family.definition.name.starts_with("nbu.client"));
        assert!(!of_clients, "clients are not selected");
    }
}

#[test]
fn texts_of_codes_are_the_servers_or_built_in() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    for (id, status) in [(1, 58), (2, 59), (3, 4242), (4, 0), (5, 1)] {
        ledger.apply_changed(&JobRow { status: Some(status), ..placed(id, now) });
    }
    assert_eq!(ledger.unknown_statuses(9), [1, 58, 59, 4242]);
    ledger.note_status_text(58, Some("can't connect to client"));
    ledger.note_status_text(4242, None);
    let mut queued = unfinished(9, "QUEUED", 1);
    queued.job_queue_reason = Some(5);
    sweep(&mut ledger, &[queued]);
    let reasons = live(&mut ledger, "nbu_queue_reason_info");
    assert_eq!(reasons, one("5 the storage unit runs its most jobs", 1.0));
    for ledger in [restarted(&ledger), ledger] {
        assert_eq!(ledger.unknown_statuses(9), [1, 59]);
        let texts: Vec<String> =
            kept(&ledger, "nbu_status_info").into_iter().map(|(labels, _)| labels).collect();
        let expected = [
            "1 partial some files were not backed up",
            "4242 snapshot_or_hypervisor UNKNOWN",
            "58 network can't connect to client",
            "59 access_or_certificate the client does not allow this server",
        ];
        assert_eq!(texts, expected);
    }
}

/// Returns a transaction as a build that knows no details would have written it.
fn of_older_build(transaction: &[u8]) -> Vec<u8> {
    let (mut bytes, mut out) = (transaction, Vec::new());
    while !bytes.is_empty() {
        let record = Record::next(&mut bytes).expect("a record").expect("a known one");
        if !record.is_optional() {
            record.put(&mut out);
        }
    }
    out
}

#[test]
fn build_that_knows_no_details_lets_them_begin_anew() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    ledger.apply_changed(&placed(1, now));
    let mut log: Vec<Vec<u8>> = ledger.all_records(SystemTime::UNIX_EPOCH).collect();
    ledger.hand_over_all();
    ledger.mark_saved();
    // The build before gives the numbers of names that it does not know of again, one to a client.
    let unit = ledger.dictionary.names.find("u1").expect("a name");
    let now = later(&mut ledger, 5);
    ledger.apply_changed(&placed(2, now));
    let mut older = of_older_build(&ledger.changed_records(SystemTime::UNIX_EPOCH));
    let name = NameV1 { id: unit.0, text: Cow::Borrowed("client-of-others") };
    Record::Name(name).put(&mut older);
    log.push(older);
    let restore = |log: &[Vec<u8>]| {
        let mut again = Ledger::new(0, Duration::from_secs(3600), SystemTime::now());
        for part in log {
            again.restore(part).expect("records");
        }
        again.finish_restore().expect("a ledger");
        again
    };
    let mut again = restore(&log);
    assert_eq!(counters(&mut again, "nbu_storage_unit_transferred_bytes_total"), []);
    assert_eq!(counted(&mut again), [2, 0, 20_480, 2], "the totals go on");
    let now = later(&mut again, 5);
    again.apply_changed(&placed(3, now));
    log.push(again.changed_records(SystemTime::UNIX_EPOCH));
    for mut ledger in [restore(&log), again] {
        let units = counters(&mut ledger, "nbu_storage_unit_transferred_bytes_total");
        assert_eq!(units, one("u1 BACKUP", 10_240.0));
    }
}

#[test]
fn resumed_job_of_the_same_try_waited_once() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    let first = placed(1, now);
    ledger.apply_changed(&first);
    later(&mut ledger, 5);
    sweep(&mut ledger, &[unfinished(1, "ACTIVE", 1)]);
    let now = later(&mut ledger, 5);
    ledger.apply_changed(&JobRow { start_time: first.start_time, ..placed(1, now) });
    assert_eq!(counted(&mut ledger)[0], 2);
    assert_eq!(counters(&mut ledger, "nbu_job_queue_wait_seconds"), one("BACKUP", 10.0));
    let duration = counters(&mut ledger, "nbu_job_active_duration_seconds");
    assert_eq!(duration, one("BACKUP STANDARD", 120.0));
}

#[test]
fn failures_of_the_future_are_none_of_the_last_hour() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    let failed = |id: i64, end: i64| JobRow { status: Some(13), ..placed(id, end) };
    (0..12).for_each(|id| ledger.apply_changed(&failed(id, now - MINUTE)));
    ledger.apply_changed(&JobRow { last_update_time: Some(now), ..failed(20, now + 50 * HOUR) });
    let recent = |ledger: &mut Ledger| {
        ledger.finish_walk(UPDATE);
        let families = ledger.failure_samples().expect("whole").finish().0;
        values(&families, "nbu_jobs_failed_recently")
    };
    assert_eq!(recent(&mut ledger), one("", 12.0));
    ledger.begin(now - 2 * HOUR, Duration::ZERO);
    ledger.begin(now + MINUTE, Duration::ZERO);
    assert_eq!(recent(&mut ledger), [], "the clock was set back over them");
}
