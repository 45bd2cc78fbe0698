//! Results in the future, and names that were not seen for long.

use std::time::Duration;

use super::{asked, assert_value, clients, job, of, rules, series};
use crate::jobs::NameFilterConfig;
use crate::jobs::completion::Completion;
use crate::jobs::last_results::{AHEAD, LastResults, LookupAnswer, Subject};

const HOUR: i64 = 3_600_000;

#[test]
fn end_in_future_hides_no_present_result() {
    let mut last_results = clients(&["c"], &[]);
    last_results.set_now(HOUR);
    let future = job(9, 3 * HOUR, 0);
    last_results.record(&future);
    let early: Vec<_> = (1..5).map(|n| job(n, HOUR - 10_000 * (5 - n), 6)).collect();
    for failed in &early {
        last_results.record(failed);
    }
    assert_value(&last_results, "nbu_client_last_status c BACKUP", 6.0);
    assert_value(&last_results, "nbu_client_consecutive_failures c BACKUP", 4.0);
    assert_value(&last_results, "nbu_client_last_success_timestamp_seconds c BACKUP", None);
    assert_eq!(of(&last_results, "nbu_client_last_successful_backup_timestamp_seconds "), []);
    assert_eq!(of(&last_results, "nbu_client_last_job_success_seconds "), []);
    // A clock that is a little ahead is none in the future.
    last_results.record(&job(6, HOUR + AHEAD, 0));
    assert_value(&last_results, "nbu_client_last_status c BACKUP", 0.0);
    last_results.record(&job(7, HOUR + AHEAD + 1, 6));
    assert_value(&last_results, "nbu_client_last_status c BACKUP", 0.0);
    last_results.apply_lookup("c", LookupAnswer::Found(5 * HOUR));
    let newest = [("c".to_owned(), 3660.0)];
    assert_eq!(of(&last_results, "nbu_client_last_successful_backup_timestamp_seconds "), newest);
}

#[test]
fn restored_results_in_future_are_dropped() {
    let results = [job(1, HOUR, 6), job(2, 5 * HOUR, 0), job(3, 6 * HOUR, 6)];
    let wrong = clients(&["c"], &results);
    let mut last_results = clients(&["c"], &[]);
    for (key, value) in wrong.all_records() {
        last_results.restore(&key, value.as_deref()).unwrap();
    }
    last_results.set_now(2 * HOUR);
    assert!(last_results.drop_future());
    assert!(!last_results.drop_future());
    last_results.fill(results.into_iter());
    let right = clients(&["c"], &results[..1]);
    assert_eq!(series(&last_results), series(&right));
    assert_eq!(asked(&mut last_results, 9), ["c"]);
    assert_eq!(last_results.drain_changes().len(), 1, "the disk is told");
}

fn forgetting(allow: &[&str], after: Option<i64>) -> LastResults {
    let forget_after = after.map(|ms| Duration::from_millis(ms.unsigned_abs()));
    let mut last_results =
        LastResults::new(Subject::Client, &NameFilterConfig { forget_after, ..rules(allow, 3) });
    last_results.set_now(0);
    last_results
}

fn clients_of(last_results: &LastResults) -> Vec<String> {
    of(last_results, "nbu_client_last_status ").into_iter().map(|(name, _)| name).collect()
}

#[test]
fn clients_that_are_gone_leave_their_place() {
    let mut last_results = forgetting(&["*", "kept"], Some(24 * HOUR));
    for (client, end) in [("kept", 1), ("a", 2), ("b", 3)] {
        last_results.record(&Completion { client, ..job(1, end, 6) });
    }
    assert_eq!(last_results.label("new"), Some("other"));
    last_results.drain_changes();
    last_results.set_now(24 * HOUR + 1);
    assert_eq!(clients_of(&last_results).len(), 3);
    last_results.set_now(24 * HOUR + 2);
    assert_eq!(clients_of(&last_results), ["b BACKUP", "kept BACKUP"]);
    assert_eq!(last_results.drain_changes(), [(b"na".to_vec(), None)], "nor is it on the disk");
    assert_eq!(last_results.label("new"), Some("new"));
    last_results.record(&Completion { client: "b", ..job(2, 24 * HOUR, 6) });
    last_results.record(&Completion { client: "a", ..job(3, 24 * HOUR, 6) });
    last_results.set_now(48 * HOUR - 1);
    assert_eq!(clients_of(&last_results).len(), 3, "it came back");
    last_results.set_now(99 * HOUR);
    assert_eq!(clients_of(&last_results), ["kept BACKUP"], "what is spelt out stays");
}

#[test]
fn clients_stay_if_none_is_to_be_forgotten() {
    let mut last_results = forgetting(&["*"], None);
    last_results.record(&job(1, 1, 6));
    last_results.set_now(i64::MAX / 2);
    assert_eq!(clients_of(&last_results).len(), 1);
    last_results.reconfigure(&NameFilterConfig {
        forget_after: Some(Duration::from_secs(1)),
        ..rules(&["*"], 3)
    });
    last_results.set_now(i64::MAX / 2);
    assert_eq!(clients_of(&last_results).len(), 0, "a reload takes effect");
}
