//! Windows that become complete late, grow and shrink; jobs that are met again.

use super::*;

/// Returns the part of the window that is covered.
fn fill_ratio(ledger: &Ledger) -> f64 {
    ledger.window.fill_ratio(&ledger.progress, 0)
}

fn minutes(minutes: i64) -> Duration {
    Duration::from_secs(60 * minutes.unsigned_abs())
}

fn shows(ledger: &mut Ledger) -> Option<i64> {
    let families = families(ledger.window_samples(&Actions::default())?);
    Some(sum(&families, "nbu_jobs_count"))
}

/// Backfills one job a minute that ended in the last hours before noon.
fn fill_by_the_minute(ledger: &mut Ledger) {
    let Some(span) = ledger.next_backfill() else { return };
    for minute in 0..600 {
        let end = NOON - minute * MINUTE;
        if span.from < end && end <= span.to {
            ledger.apply_backfilled(&row(1000 + minute, end));
        }
    }
    ledger.finish_backfill(span.from);
}

#[test]
fn window_is_complete_once_walks_cover_it() {
    let mut ledger = Ledger::new(NOON, minutes(10), SystemTime::UNIX_EPOCH);
    ledger.begin(NOON, Duration::ZERO);
    // Neither the fill nor the walk gets anywhere for longer than the window.
    later(&mut ledger, 14);
    assert!(ledger.next_backfill().is_none(), "time covered what was lacking");
    assert_eq!((shows(&mut ledger), fill_ratio(&ledger)), (None, 0.0));
    ledger.apply_changed(&row(1, NOON + 12 * MINUTE));
    ledger.finish_walk(UPDATE);
    assert_eq!((shows(&mut ledger), fill_ratio(&ledger)), (Some(1), 1.0));
    assert_eq!(counted(&mut ledger)[0], 1, "it ended after the ledger began");
}

#[test]
fn unfinished_walk_completes_no_window() {
    let mut ledger = Ledger::new(NOON, minutes(10), SystemTime::UNIX_EPOCH);
    ledger.begin(NOON, Duration::ZERO);
    later(&mut ledger, 60);
    ledger.progress.advance_watermark(UPDATE, NOON + 30 * MINUTE);
    assert_eq!(shows(&mut ledger), None);
    assert!(ledger.total_samples(&Actions::default()).is_none());
    assert!(fill_ratio(&ledger) < 1.0);
}

#[test]
fn each_window_length_is_in_force_once_covered() {
    for first in [60, 90] {
        for step in [59, 60, 61, 90, 119, 120, 121, 150, 180, 240, 30, 1] {
            let mut ledger = Ledger::new(NOON, minutes(first), SystemTime::UNIX_EPOCH);
            ledger.begin(NOON, Duration::ZERO);
            fill_by_the_minute(&mut ledger);
            ledger.finish_walk(UPDATE);
            assert_eq!(shows(&mut ledger), Some(first));
            let mut log: Vec<Vec<u8>> = ledger.all_records(SystemTime::UNIX_EPOCH).collect();
            ledger.set_window(minutes(step));
            let mut again = Ledger::new(0, minutes(step), SystemTime::now());
            log.drain(..).for_each(|part| again.restore(&part).unwrap());
            again.finish_restore().unwrap();
            for ledger in [&mut ledger, &mut again] {
                ledger.begin(NOON, Duration::ZERO);
                ledger.finish_walk(UPDATE);
                let covered = step <= first + 60;
                let shown = if covered { step } else { first };
                assert_eq!(shows(ledger), Some(shown), "{first} to {step}");
                assert_eq!(ledger.next_backfill().is_some(), !covered, "{first} to {step}");
                fill_by_the_minute(ledger);
                assert_eq!(shows(ledger), Some(step), "{first} to {step}, when it is read");
            }
        }
    }
}

#[test]
fn longer_window_comes_into_force_by_time() {
    let mut ledger = ledger();
    ledger.set_window(minutes(150));
    later(&mut ledger, 20);
    ledger.finish_walk(UPDATE);
    assert_eq!(ledger.window.in_force, Some(HOUR));
    later(&mut ledger, 10);
    ledger.finish_walk(UPDATE);
    assert_eq!(ledger.window.in_force, Some(150 * MINUTE));
    assert!(ledger.is_whole());
}

#[test]
fn first_window_resumes_after_restart() {
    let mut ledger = Ledger::new(NOON, minutes(300), SystemTime::UNIX_EPOCH);
    ledger.begin(NOON, Duration::ZERO);
    ledger.next_backfill();
    ledger.apply_backfilled(&row(1, NOON - MINUTE));
    ledger.finish_backfill(NOON - HOUR);
    ledger.apply_changed(&row(2, NOON + 1000));
    ledger.finish_walk(UPDATE);
    let records: Vec<_> = ledger.all_records(SystemTime::UNIX_EPOCH).collect();
    let mut copy = Ledger::new(0, minutes(300), SystemTime::now());
    for part in &records {
        copy.restore(part).unwrap();
    }
    copy.finish_restore().unwrap();
    copy.begin(NOON + 2 * MINUTE, Duration::ZERO);
    assert_eq!(copy.next_backfill().map(|span| span.to), Some(NOON - HOUR));
    assert!(copy.total_samples(&Actions::default()).is_none(), "the first window is not whole");
    let span = copy.next_backfill().unwrap();
    copy.finish_backfill(span.from);
    copy.apply_changed(&row(2, NOON + 1000));
    copy.finish_walk(UPDATE);
    assert_eq!((counted(&mut copy)[0], shows(&mut copy)), (1, Some(2)));
}

#[test]
fn retries_count_once_after_pruning() {
    for seen_live in [true, false] {
        let mut ledger = ledger();
        let now = later(&mut ledger, 5);
        ledger.apply_changed(&JobRow { try_count: Some(3), ..row(1, now) });
        ledger.finish_walk(UPDATE);
        assert_eq!(counted(&mut ledger)[1], 2);
        later(&mut ledger, 200);
        ledger.finish_walk(UPDATE);
        let now = later(&mut ledger, 1);
        assert_eq!(ledger.remembered(), 0, "pruned");
        let touched = JobRow { try_count: Some(3), ..row(1, NOON + 5 * MINUTE) };
        ledger.apply_changed(&touched);
        if seen_live {
            sweep(&mut ledger, &[unfinished(1, "ACTIVE", 4)]);
        }
        ledger.apply_changed(&JobRow { try_count: Some(4), ..row(1, now) });
        assert_eq!(counted(&mut ledger)[..2], [2, 3], "one completion and one retry more");
    }
}

#[test]
fn negative_sizes_count_nothing() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    let negative =
        |row| JobRow { kilobytes_transferred: Some(-5), number_of_files: Some(-3), ..row };
    ledger.apply_changed(&negative(row(1, now)));
    ledger.apply_changed(&row(2, now));
    sweep(&mut ledger, &[negative(unfinished(3, "ACTIVE", 1)), unfinished(4, "ACTIVE", 1)]);
    ledger.finish_walk(UPDATE);
    let families = families(ledger.window_samples(&Actions::default()).unwrap());
    assert_eq!(sum(&families, "nbu_jobs_bytes"), 10_240);
    assert_eq!(sum(&families, "nbu_jobs_files_count"), 3);
    let live = ledger
        .live_samples(&Actions::default(), (Duration::from_secs(1), Duration::from_secs(1)))
        .unwrap();
    assert_eq!(sum(&live.finish().0, "nbu_jobs_active_bytes"), 10_240);
    assert_eq!(counted(&mut ledger)[2], 10_240);
}

#[test]
fn reread_counts_unknown_jobs_once() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    ledger.apply_changed(&row(1, now - MINUTE));
    ledger.backfill.reread(Span { from: NOON - HOUR, to: now });
    assert_eq!(std::mem::take(&mut ledger.backfill.rereads).len(), 1);
    assert!(ledger.backfill.rereads.is_empty());
    for _ in 0..2 {
        ledger.apply_backfilled(&row(1, now - MINUTE));
        ledger.apply_backfilled(&row(2, now - MINUTE));
        ledger.apply_backfilled(&row(3, NOON - 2 * MINUTE));
    }
    assert_eq!([2, 3, 4].map(|id| ledger.finished.get(id).is_some()), [true, true, false]);
    assert_eq!(counted(&mut ledger)[0], 2, "one ended before the totals began");
    assert_eq!(in_window(&mut ledger), 3);
}

#[test]
fn changes_read_by_end_are_reread_by_change() {
    let mut ledger = ledger();
    let since = later(&mut ledger, 5);
    ledger.finish_walk(UPDATE);
    for _ in 0..3 {
        later(&mut ledger, 60);
        ledger.finish_walk(ChangeField::End);
    }
    assert_eq!(ledger.walk_from(UPDATE), since - 30_000);
    ledger.progress.advance_watermark(UPDATE, since + HOUR);
    assert_eq!(ledger.walk_from(UPDATE), since + HOUR - 30_000, "it goes on where it came to");
    let now = later(&mut ledger, 1);
    assert_eq!(ledger.walk_from(ChangeField::End), now - MINUTE - 30_000);
    ledger.finish_walk(UPDATE);
    assert_eq!(ledger.walk_from(UPDATE), now - 30_000);
}

#[test]
fn jobs_of_one_minute_leave_in_any_order() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 5);
    let mut rng = fastrand::Rng::with_seed(7);
    let mut ids: Vec<i64> = (1..=2000).collect();
    for id in &ids {
        ledger.apply_changed(&row(*id, now - id % 1000));
    }
    rng.shuffle(&mut ids);
    for id in &ids[..1500] {
        assert!(ledger.finished.remove(*id).is_some());
        assert!(ledger.finished.remove(*id).is_none());
    }
    let mut left: Vec<i64> = ledger.finished.ended(now - MINUTE, now).map(|job| job.id).collect();
    left.sort_unstable();
    ids[1500..].sort_unstable();
    assert_eq!(left, ids[1500..]);
}
