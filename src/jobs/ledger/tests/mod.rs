//! Completions that count, and those that do not.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use super::Ledger;
use crate::jobs::live::Live;
use crate::jobs::row::DONE;
use crate::jobs::time::Span;
use crate::jobs::{Actions, ChangeField};
use crate::metric::{Family, SeriesGroups, Value};
use crate::netbackup::wire::jobs::JobRow;

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

/// 2026-03-01T12:00:00Z.
const NOON: i64 = 1_772_366_400_000;

const UPDATE: ChangeField = ChangeField::LastUpdate;

fn row(id: i64, end: i64) -> JobRow<'static> {
    JobRow {
        job_id: id,
        job_type: Some(Cow::Borrowed("BACKUP")),
        policy_type: Some(Cow::Borrowed("STANDARD")),
        policy_name: Some(Cow::Borrowed("nightly")),
        client_name: Some(Cow::Borrowed("db1")),
        state: Some(Cow::Borrowed(DONE)),
        status: Some(0),
        try_count: Some(1),
        kilobytes_transferred: Some(10),
        number_of_files: Some(3),
        dedup_ratio: Some(50.0),
        start_time: Some(end - 5 * MINUTE),
        end_time: Some(end),
        last_update_time: Some(end),
        child_count: Some(0),
        job_queue_reason: None,
        percent_complete: None,
        ..JobRow::default()
    }
}

fn unfinished(id: i64, state: &'static str, tries: i64) -> JobRow<'static> {
    JobRow {
        state: Some(Cow::Borrowed(state)),
        try_count: Some(tries),
        start_time: Some(NOON - HOUR),
        end_time: None,
        ..row(id, NOON)
    }
}

fn sweep(ledger: &mut Ledger, rows: &[JobRow<'_>]) {
    let mut live = Live::default();
    for row in rows {
        live.add(row);
    }
    ledger.apply_live(live);
}

/// Returns a ledger that began at noon with a window of an hour, which held nothing.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(NOON, Duration::from_secs(3600), SystemTime::UNIX_EPOCH);
    ledger.begin(NOON, Duration::ZERO);
    assert_eq!(ledger.next_backfill(), Some(Span { from: NOON - 2 * HOUR, to: NOON }));
    fill(&mut ledger);
    ledger.finish_walk(UPDATE);
    ledger
}

/// Takes all that the ledger lacks as read.
fn fill(ledger: &mut Ledger) {
    let span = ledger.next_backfill().expect("something is lacking");
    ledger.finish_backfill(span.from);
}

/// Begins a cycle so much later.
fn later(ledger: &mut Ledger, minutes: i64) -> i64 {
    let now = ledger.progress.now + minutes * MINUTE;
    ledger.begin(now, Duration::ZERO);
    now
}

fn sum(families: &[Family], name: &str) -> i64 {
    let family = families.iter().filter(|family| family.definition.prometheus_name() == name);
    let points = family.flat_map(|family| &family.points);
    points
        .map(|point| match &point.value {
            Value::Number(number) => whole(*number),
            Value::Distribution(distribution) => distribution.count().cast_signed(),
        })
        .sum()
}

#[allow(clippy::cast_possible_truncation, reason = "whole and small")]
fn whole(number: f64) -> i64 {
    number as i64
}

fn families(groups: SeriesGroups) -> Vec<Family> {
    groups.into_iter().flat_map(|group| group.to_vec()).collect()
}

/// Returns the completions, retries, bytes, and durations that were counted.
fn counted(ledger: &mut Ledger) -> [i64; 4] {
    let (groups, _) = ledger.total_samples(&Actions::default()).expect("a whole window");
    let families = families(groups);
    [
        "nbu_jobs_completed_total",
        "nbu_jobs_retries_total",
        "nbu_jobs_transferred_bytes_total",
        "nbu_job_duration_seconds",
    ]
    .map(|name| sum(&families, name))
}

/// Jobs in the window in force, as soon as all changes of the cycle are read.
fn in_window(ledger: &mut Ledger) -> i64 {
    ledger.finish_walk(UPDATE);
    let families = families(ledger.window_samples(&Actions::default()).expect("whole"));
    sum(&families, "nbu_jobs_count")
}

#[test]
fn completion_counts_once_however_often_read() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    for touched in 0..3 {
        let mut row = row(1, now - MINUTE);
        row.last_update_time = Some(now + touched);
        ledger.apply_changed(&row);
    }
    assert_eq!(counted(&mut ledger), [1, 0, 10_240, 1]);
    assert_eq!(in_window(&mut ledger), 1);
}

#[test]
fn later_change_of_children_or_end_counts_nothing() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    ledger.apply_changed(&row(1, now - 2 * MINUTE));
    let mut changed = row(1, now - MINUTE);
    (changed.child_count, changed.start_time) = (Some(2), Some(now - 7 * MINUTE));
    ledger.apply_changed(&changed);
    assert_eq!(counted(&mut ledger), [1, 0, 10_240, 1]);
    assert_eq!(in_window(&mut ledger), 1);
}

#[test]
fn first_window_counts_for_gauges_only() {
    let mut ledger = Ledger::new(NOON, Duration::from_secs(3600), SystemTime::UNIX_EPOCH);
    ledger.begin(NOON, Duration::ZERO);
    ledger.next_backfill();
    ledger.apply_backfilled(&row(1, NOON - MINUTE));
    // A change of the same span that comes by the other walk is of the first window, too.
    ledger.apply_changed(&row(2, NOON - 2 * MINUTE));
    assert!(ledger.window_samples(&Actions::default()).is_none(), "it is not whole yet");
    assert!(ledger.total_samples(&Actions::default()).is_none());
    fill(&mut ledger);
    ledger.finish_walk(UPDATE);
    assert_eq!(in_window(&mut ledger), 2);
    let (groups, _) = ledger.total_samples(&Actions::default()).expect("whole");
    let families = families(groups);
    let born = families.iter().find(|family| family.definition.name == "nbu.jobs.completed");
    let points = &born.expect("its combinations are there").points;
    assert_eq!(points.len(), 1);
    assert_eq!(points[0].value, Value::Number(0.0), "an explicit zero");
    // What became visible late counts: nobody had seen it when the ledger began.
    ledger.apply_changed(&row(3, NOON - 3 * MINUTE));
    assert_eq!(counted(&mut ledger), [1, 0, 10_240, 1]);
}

#[test]
fn resumed_job_leaves_window_and_completes_again() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    let first = JobRow { status: Some(13), try_count: Some(3), ..row(1, now - MINUTE) };
    ledger.apply_changed(&first);
    assert_eq!(counted(&mut ledger), [1, 2, 10_240, 1]);
    later(&mut ledger, 5);
    sweep(&mut ledger, &[unfinished(1, "ACTIVE", 4)]);
    assert_eq!(in_window(&mut ledger), 0, "it is live");
    // A late look meets the row of before: it is no completion.
    ledger.apply_changed(&first);
    assert_eq!(counted(&mut ledger)[0], 1);
    let now = later(&mut ledger, 5);
    let second = JobRow { try_count: Some(4), start_time: first.start_time, ..row(1, now) };
    ledger.apply_changed(&second);
    assert_eq!(counted(&mut ledger), [2, 3, 20_480, 2], "one retry more");
    assert_eq!(in_window(&mut ledger), 1);
    ledger.apply_changed(&first);
    assert_eq!(counted(&mut ledger)[0], 2, "an older try says nothing");
}

#[test]
fn job_that_ended_during_live_list_is_not_live() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    ledger.apply_changed(&row(1, now));
    sweep(&mut ledger, &[unfinished(1, "ACTIVE", 1), unfinished(2, "ACTIVE", 1)]);
    assert_eq!(ledger.live.as_ref().map(Live::len), Some(1));
    assert_eq!(in_window(&mut ledger), 1);
}

#[test]
fn incomplete_job_counts_once_done_whatever_its_end() {
    let mut ledger = ledger();
    later(&mut ledger, 5);
    ledger.apply_changed(&unfinished(1, "INCOMPLETE", 1));
    assert_eq!(counted(&mut ledger)[0], 0);
    sweep(&mut ledger, &[unfinished(1, "INCOMPLETE", 1)]);
    later(&mut ledger, 5 * 60);
    // Its end is that of the failed attempt, before the horizon.
    let failed = JobRow { status: Some(13), ..row(1, NOON - 3 * HOUR) };
    ledger.apply_changed(&failed);
    assert_eq!(counted(&mut ledger)[0], 1);
    ledger.apply_changed(&failed);
    later(&mut ledger, 5);
    ledger.apply_changed(&failed);
    assert_eq!(counted(&mut ledger)[0], 1, "once");
}

#[test]
fn row_from_before_the_horizon_counts_nothing() {
    let mut ledger = ledger();
    let touched = JobRow { last_update_time: Some(NOON), ..row(1, NOON - 30 * HOUR) };
    later(&mut ledger, 5);
    ledger.apply_changed(&touched);
    assert_eq!(counted(&mut ledger)[0], 0);
    assert_eq!(ledger.remembered(), 0);
}

#[test]
fn finished_jobs_stay_until_their_changes_were_read() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    ledger.apply_changed(&row(1, now));
    // No walk was complete for ten hours.
    later(&mut ledger, 600);
    ledger.apply_changed(&JobRow { last_update_time: Some(now + HOUR), ..row(1, now) });
    assert_eq!(counted(&mut ledger)[0], 1);
    ledger.finish_walk(UPDATE);
    later(&mut ledger, 5);
    assert_eq!(ledger.remembered(), 0, "now nobody needs it");
    assert_eq!(in_window(&mut ledger), 0);
}

#[test]
fn reused_job_number_is_another_job() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    ledger.apply_changed(&JobRow { try_count: Some(5), ..row(1, now - 2 * MINUTE) });
    ledger.apply_changed(&row(1, now));
    assert_eq!(counted(&mut ledger)[..2], [2, 4]);
}

#[test]
fn window_follows_its_ends_in_both_directions() {
    let mut ledger = ledger();
    later(&mut ledger, 10);
    for id in 1..=10 {
        ledger.apply_changed(&row(id, NOON + id * MINUTE));
    }
    let expect = |ledger: &mut Ledger, jobs: i64| assert_eq!(in_window(ledger), jobs);
    expect(&mut ledger, 10);
    later(&mut ledger, 55);
    expect(&mut ledger, 5);
    // The clock is set back: two of them are in the future.
    ledger.begin(NOON + 8 * MINUTE, Duration::ZERO);
    expect(&mut ledger, 8);
    // And jumps by more than the window.
    ledger.begin(NOON + 5 * HOUR, Duration::ZERO);
    expect(&mut ledger, 0);
    ledger.begin(NOON + 10 * MINUTE, Duration::ZERO);
    expect(&mut ledger, 10);
}

#[test]
fn clock_set_back_moves_the_next_walk_back() {
    let mut ledger = ledger();
    ledger.next_late_walk();
    let now = later(&mut ledger, 10);
    ledger.finish_walk(UPDATE);
    // By an hour, five minutes after the last poll.
    let set_back = now + 5 * MINUTE - HOUR;
    assert!(ledger.begin(set_back, Duration::from_secs(300)));
    let (from, late) = (ledger.walk_from(UPDATE), ledger.next_late_walk());
    assert!(from <= now - HOUR, "changes right after the last poll may be as old as that");
    assert!(late.is_some());
    // The same when it is seen by our clock alone.
    ledger.finish_walk(UPDATE);
    let now = later(&mut ledger, 5);
    ledger.finish_walk(UPDATE);
    assert!(ledger.begin(now + 60 * MINUTE, Duration::from_secs(2 * 3600)));
    assert!(ledger.walk_from(UPDATE) <= now - HOUR);
    assert!(!ledger.begin(now + 61 * MINUTE, Duration::from_secs(60)), "it goes on evenly");
}

#[test]
fn watermark_never_passes_server_time() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    ledger.progress.advance_watermark(UPDATE, now + HOUR);
    assert_eq!(ledger.progress.watermark, now);
    ledger.begin(now - HOUR, Duration::ZERO);
    assert!(ledger.progress.watermark <= now - HOUR);
}

#[test]
fn longer_window_is_backfilled_before_export() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 30);
    ledger.apply_changed(&row(1, now - MINUTE));
    ledger.finish_walk(UPDATE);
    ledger.set_window(Duration::from_secs(6 * 3600));
    let now = later(&mut ledger, 5);
    let span = ledger.next_backfill().expect("the window is not covered");
    assert_eq!(span, Span { from: now - 7 * HOUR, to: NOON - 90 * MINUTE });
    ledger.apply_backfilled(&row(2, NOON - 4 * HOUR));
    assert_eq!(in_window(&mut ledger), 1, "the old one is shown");
    fill(&mut ledger);
    assert_eq!(ledger.next_backfill(), None);
    assert_eq!(in_window(&mut ledger), 2);
    assert_eq!(counted(&mut ledger)[0], 1, "what is read backwards is not counted");
    ledger.set_window(Duration::from_secs(600));
    later(&mut ledger, 1);
    assert_eq!(in_window(&mut ledger), 1, "a shorter one is at once");
}

#[test]
fn late_walk_runs_every_five_minutes_and_resumes_if_cut() {
    let mut ledger = ledger();
    let (from, late) = (ledger.walk_from(UPDATE), ledger.next_late_walk());
    let whole = Span { from: NOON - 10 * MINUTE, to: NOON - 30_000 };
    assert_eq!((from, late), (NOON - 30_000, Some(whole)));
    ledger.progress.late_walk.advance(NOON - 4 * MINUTE);
    later(&mut ledger, 1);
    let rest = Span { from: NOON - 4 * MINUTE, ..whole };
    assert_eq!(ledger.next_late_walk(), Some(rest));
    ledger.progress.late_walk.advance(whole.to);
    ledger.finish_walk(UPDATE);
    assert_eq!(ledger.next_late_walk(), None);
    let now = later(&mut ledger, 5);
    assert_eq!(ledger.next_late_walk().map(|span| span.to), Some(now - 5 * MINUTE - 30_000));
}

#[test]
fn jobs_purged_during_outage_are_one_gap() {
    let mut ledger = ledger();
    assert!(!ledger.progress.gap.lacks_oldest_job());
    ledger.progress.gap.interrupt();
    later(&mut ledger, 48 * 60);
    assert!(ledger.progress.gap.lacks_oldest_job());
    assert_eq!(ledger.progress.gap.record(NOON - HOUR), Duration::ZERO, "nothing is missing");
    later(&mut ledger, 0);
    assert_eq!(ledger.progress.gap.record(NOON + 24 * HOUR), Duration::from_secs(24 * 3600));
    later(&mut ledger, 0);
    assert_eq!(ledger.progress.gap.record(NOON + 24 * HOUR), Duration::ZERO);
    later(&mut ledger, 0);
    assert_eq!(ledger.progress.gap.record(NOON + 25 * HOUR), Duration::from_secs(3600));
}

/// Restores a ledger from its records.
fn restored(parts: impl Iterator<Item = Vec<u8>>) -> Ledger {
    let mut ledger = Ledger::new(0, Duration::from_secs(3600), SystemTime::now());
    parts.for_each(|part| ledger.restore(&part).expect("records"));
    ledger.finish_restore().expect("a position");
    ledger
}

#[test]
fn ledger_is_restored_from_its_records() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 10);
    let at = SystemTime::UNIX_EPOCH;
    for id in 1..=500 {
        ledger.apply_changed(&JobRow { status: Some(id % 3), ..row(id, now - id * 1000) });
    }
    sweep(&mut ledger, &[unfinished(900, "ACTIVE", 1), unfinished(1, "QUEUED", 2)]);
    ledger.finish_walk(UPDATE);
    let mut log: Vec<Vec<u8>> = ledger.all_records(at).collect();
    ledger.hand_over_all();
    ledger.mark_saved();
    let check = |ledger: &mut Ledger, log: &[Vec<u8>]| {
        let mut copy = restored(log.iter().cloned());
        assert_eq!(counted(&mut copy), counted(ledger));
        assert_eq!(copy.remembered(), ledger.remembered());
        let progress = |ledger: &Ledger| ledger.progress.snapshot(ledger.window.in_force, 0, 0);
        assert_eq!(progress(&copy), progress(ledger));
        assert_eq!(copy.unfinished, ledger.unfinished);
        assert_eq!(in_window(&mut copy), in_window(ledger));
    };
    check(&mut ledger, &log);
    let now = later(&mut ledger, 30);
    ledger.apply_changed(&JobRow { client_name: Some(Cow::Borrowed("new")), ..row(900, now) });
    ledger.apply_changed(&JobRow { try_count: Some(2), start_time: None, ..row(1, now) });
    ledger.finish_walk(UPDATE);
    let changed = ledger.changed_records(at);
    assert!(changed.len() < 400, "{} bytes for two jobs", changed.len());
    log.push(changed);
    ledger.mark_saved();
    check(&mut ledger, &log);
    later(&mut ledger, 300);
    ledger.finish_walk(UPDATE);
    later(&mut ledger, 1);
    assert_eq!(ledger.remembered(), 0);
    log.push(ledger.changed_records(at));
    ledger.mark_saved();
    check(&mut ledger, &log);
    assert!(ledger.changed_records(at).len() < 100, "nothing changed");
}

#[test]
fn records_that_did_not_reach_the_disk_are_written_again() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 10);
    ledger.apply_changed(&row(1, now - 9000));
    ledger.finish_walk(UPDATE);
    let at = SystemTime::UNIX_EPOCH;
    let mut log: Vec<Vec<u8>> = ledger.all_records(at).collect();
    ledger.hand_over_all();
    ledger.mark_saved();
    for id in 2..6 {
        ledger.apply_changed(&JobRow {
            policy_name: Some(Cow::Borrowed("new")),
            ..row(id, now - 5000)
        });
        let lost = ledger.changed_records(at);
        // What changes while it is written belongs to the next one as well.
        ledger.apply_changed(&row(id * 100, now - 4000));
        ledger.mark_not_saved();
        let again = ledger.changed_records(at);
        assert!(again.len() > lost.len());
        log.push(again);
        ledger.mark_saved();
        let mut copy = restored(log.iter().cloned());
        assert_eq!(counted(&mut copy), counted(&mut ledger));
        assert_eq!(copy.remembered(), ledger.remembered());
    }
    // Handed over twice before either was acknowledged: both come back.
    ledger.apply_changed(&row(7, now - 3000));
    ledger.changed_records(at);
    ledger.apply_changed(&row(8, now - 2000));
    ledger.changed_records(at);
    ledger.mark_not_saved();
    log.push(ledger.changed_records(at));
    let mut copy = restored(log.into_iter());
    assert_eq!(counted(&mut copy), counted(&mut ledger));
}

#[test]
fn restarted_totals_count_only_new_completions() {
    let mut first = ledger();
    let now = later(&mut first, 10);
    for id in 1..=3 {
        first.apply_changed(&row(id, now - 9000));
    }
    first.finish_walk(UPDATE);
    let mut copy = restored(first.all_records(SystemTime::UNIX_EPOCH));
    assert_eq!(counted(&mut copy)[0], 3);
    let origin = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
    copy.restart_totals(origin);
    assert!(!copy.knows_what_changed(), "all of it has to be written");
    assert_eq!(copy.totals.origin, origin);
    assert_eq!(counted(&mut copy)[0], 0);
    copy.apply_changed(&row(2, now - 9000));
    copy.apply_changed(&row(4, now - 1000));
    assert_eq!(counted(&mut copy)[0], 1, "what was counted is known");
    assert_eq!(in_window(&mut copy), 4);
}

#[test]
fn records_that_do_not_fit_together_are_refused() {
    let mut first = ledger();
    let now = later(&mut first, 10);
    first.apply_changed(&row(1, now));
    let whole: Vec<u8> = first.all_records(SystemTime::now()).flatten().collect();
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x15;
        let mut ledger = Ledger::new(0, Duration::from_secs(3600), SystemTime::now());
        // Whether it is taken or not: it must not panic.
        let _ = ledger.restore(&bytes).and_then(|()| ledger.finish_restore());
    }
    let mut ledger = Ledger::new(0, Duration::from_secs(3600), SystemTime::now());
    assert!(ledger.restore(&whole[1..]).is_err());
    let mut empty = Ledger::new(0, Duration::from_secs(3600), SystemTime::now());
    assert!(empty.finish_restore().is_err(), "no position");
}

mod details;
mod recovery;

mod restart;

mod skew;
