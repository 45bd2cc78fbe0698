//! Clocks that are set, and outages.

use super::*;

/// Returns a ledger that knows that the server numbers its jobs up to 100.
fn ledger_at_100() -> Ledger {
    let mut ledger = ledger();
    ledger.progress.ids.highest.get_or_insert(100);
    ledger.finish_walk(UPDATE);
    ledger
}

#[test]
fn clock_set_back_loses_no_new_job() {
    for hours in [1, 2, 5, 30 * 24] {
        let mut ledger = ledger_at_100();
        let now = later(&mut ledger, 10);
        ledger.apply_changed(&row(101, now));
        ledger.finish_walk(UPDATE);
        let present = now + MINUTE - hours * HOUR;
        assert!(ledger.begin(present, Duration::from_secs(60)));
        assert!(!ledger.progress.gap.lacks_oldest_job(), "the clock invents no gap");
        // Out of order, as the walk meets them; and one that was purged long ago and shows again.
        for id in [104, 102, 103, 50] {
            ledger.apply_changed(&row(id, present - (104 - id) * 10));
        }
        ledger.apply_changed(&row(101, now));
        assert_eq!(counted(&mut ledger)[0], if hours > 2 { 4 } else { 5 }, "{hours} h back");
        ledger.apply_changed(&row(102, present - 20));
        ledger.finish_walk(UPDATE);
        let before = counted(&mut ledger)[0];
        later(&mut ledger, 5);
        ledger.apply_changed(&row(103, present - 10));
        assert_eq!(counted(&mut ledger)[0], before, "each once");
    }
}

#[test]
fn clock_set_back_during_failed_polls_makes_no_gap() {
    let mut ledger = ledger_at_100();
    let now = later(&mut ledger, 10);
    ledger.finish_walk(UPDATE);
    ledger.begin(now - 5 * HOUR, Duration::from_secs(60));
    for _ in 0..5 {
        ledger.progress.gap.interrupt();
        later(&mut ledger, 1);
        assert!(!ledger.progress.gap.lacks_oldest_job());
    }
}

#[test]
fn outage_after_clock_set_back_by_days_is_no_gap() {
    for known in [false, true] {
        let mut ledger = ledger_at_100();
        let now = later(&mut ledger, 10);
        ledger.apply_changed(&row(101, now));
        ledger.finish_walk(UPDATE);
        ledger.begin(now - 96 * HOUR, Duration::from_secs(60));
        ledger.finish_walk(UPDATE);
        if known {
            ledger.apply_changed(&row(102, ledger.progress.now));
            ledger.finish_walk(UPDATE);
        }
        ledger.progress.gap.interrupt();
        later(&mut ledger, 8 * 60);
        // Nothing that ended before the outage could have been purged, unless it is known.
        assert_eq!(ledger.progress.gap.lacks_oldest_job(), known);
    }
}

#[test]
fn end_in_future_counts_without_duration() {
    let mut ledger = ledger();
    let now = later(&mut ledger, 10);
    // A clock may be off by a minute.
    for (id, ahead) in [(1, 0), (2, HOUR), (3, MINUTE)] {
        ledger.apply_changed(&JobRow { last_update_time: Some(now), ..row(id, now + ahead) });
    }
    ledger.finish_walk(UPDATE);
    let [completed, _, _, durations] = counted(&mut ledger);
    assert_eq!((completed, durations), (3, 2));
}

#[test]
fn clock_set_forward_between_polls_is_no_outage() {
    let mut ledger = ledger_at_100();
    later(&mut ledger, 10);
    ledger.finish_walk(UPDATE);
    later(&mut ledger, 48 * 60);
    assert!(!ledger.progress.gap.lacks_oldest_job());
    ledger.finish_walk(UPDATE);
    ledger.progress.gap.interrupt();
    later(&mut ledger, 48 * 60);
    assert!(ledger.progress.gap.lacks_oldest_job(), "polls failed in between");
}

#[test]
fn gap_is_found_by_a_late_answer() {
    let mut ledger = ledger();
    ledger.progress.gap.interrupt();
    let back = later(&mut ledger, 10 * 60);
    ledger.finish_walk(UPDATE);
    let mut copy = restored(ledger.all_records(SystemTime::UNIX_EPOCH));
    // What is purged by now was read meanwhile, but not while the process was down.
    for (ledger, hours) in [(&mut ledger, 10), (&mut copy, 11)] {
        later(ledger, 8 * 60);
        assert!(ledger.progress.gap.lacks_oldest_job());
        let lost = ledger.progress.gap.record(back + HOUR);
        assert_eq!(lost, Duration::from_secs(hours * 3600));
        assert!(!ledger.progress.gap.lacks_oldest_job());
    }
}

#[test]
fn job_in_future_is_old_until_first_complete_walk() {
    let mut ledger = Ledger::new(NOON, Duration::from_secs(3600), SystemTime::UNIX_EPOCH);
    ledger.begin(NOON, Duration::ZERO);
    // The first cycles fail on the way.
    later(&mut ledger, 1);
    let now = later(&mut ledger, 1);
    ledger.apply_changed(&row(1, now + HOUR));
    fill(&mut ledger);
    ledger.finish_walk(UPDATE);
    assert_eq!(counted(&mut ledger)[0], 0);
    let now = later(&mut ledger, 1);
    ledger.apply_changed(&row(2, now + HOUR));
    assert_eq!(counted(&mut ledger)[0], 1);
}

#[test]
fn late_walk_reaches_back_to_the_previous_one() {
    let mut ledger = ledger();
    let first = ledger.next_late_walk().unwrap();
    // It takes twenty minutes.
    for _ in 0..4 {
        later(&mut ledger, 5);
        ledger.finish_walk(UPDATE);
        assert_eq!(
            ledger.next_late_walk().map(|span| span.to),
            Some(first.to),
            "it keeps its span"
        );
    }
    ledger.progress.late_walk.advance(first.to);
    later(&mut ledger, 0);
    assert_eq!(ledger.next_late_walk().map(|span| span.from), Some(NOON - 5 * MINUTE));
}

#[test]
fn new_job_number_counts_below_the_horizon() {
    let mut ledger = ledger_at_100();
    later(&mut ledger, 5);
    ledger.apply_changed(&row(99, NOON - 30 * HOUR));
    assert_eq!(counted(&mut ledger)[0], 0, "it was there before the ledger");
    ledger.apply_changed(&row(101, NOON - 30 * HOUR));
    ledger.apply_changed(&row(101, NOON - 30 * HOUR));
    assert_eq!(counted(&mut ledger)[0], 1);
}
