//! What lies in the future is not known yet, and who was not seen for long is gone.

use std::time::Duration;

use super::{asked, assert_value, clients, job, of, rules, series};
use crate::jobs::NameFilterConfig;
use crate::jobs::lasts::{AHEAD, Answer, Completion, Lasts, Subject};

const HOUR: i64 = 3_600_000;

#[test]
fn an_end_in_the_future_hides_no_present_result() {
    let mut lasts = clients(&["c"], &[]);
    lasts.set_now(HOUR);
    let future = job(9, 3 * HOUR, 0);
    lasts.record(&future);
    let early: Vec<_> = (1..5).map(|n| job(n, HOUR - 10_000 * (5 - n), 6)).collect();
    for failed in &early {
        lasts.record(failed);
    }
    assert_value(&lasts, "nbu_client_last_status c BACKUP", 6.0);
    assert_value(&lasts, "nbu_client_consecutive_failures c BACKUP", 4.0);
    assert_value(&lasts, "nbu_client_last_success_timestamp_seconds c BACKUP", None);
    assert_eq!(of(&lasts, "nbu_client_last_successful_backup_timestamp_seconds "), []);
    assert_eq!(of(&lasts, "nbu_client_last_job_success_seconds "), []);
    // A clock that is a little ahead is none in the future.
    lasts.record(&job(6, HOUR + AHEAD, 0));
    assert_value(&lasts, "nbu_client_last_status c BACKUP", 0.0);
    lasts.record(&job(7, HOUR + AHEAD + 1, 6));
    assert_value(&lasts, "nbu_client_last_status c BACKUP", 0.0);
    lasts.looked_up("c", Answer::Found(5 * HOUR));
    let newest = [("c".to_owned(), 3660.0)];
    assert_eq!(of(&lasts, "nbu_client_last_successful_backup_timestamp_seconds "), newest);
}

#[test]
fn stored_results_of_the_future_are_dropped_and_the_rest_stays() {
    let results = [job(1, HOUR, 6), job(2, 5 * HOUR, 0), job(3, 6 * HOUR, 6)];
    let wrong = clients(&["c"], &results);
    let mut lasts = clients(&["c"], &[]);
    for (key, value) in wrong.all_records() {
        lasts.restore(&key, &value).unwrap();
    }
    lasts.set_now(2 * HOUR);
    assert!(lasts.drop_future());
    assert!(!lasts.drop_future());
    lasts.refill(results.into_iter());
    let right = clients(&["c"], &results[..1]);
    assert_eq!(series(&lasts), series(&right));
    assert_eq!(asked(&mut lasts, 9), ["c"]);
    assert_eq!(lasts.drain_changes().len(), 1, "the disk is told");
}

fn forgetting(allow: &[&str], after: Option<i64>) -> Lasts {
    let forget_after = after.map(|ms| Duration::from_millis(ms.unsigned_abs()));
    let mut lasts = Lasts::new(Subject::Client, &NameFilterConfig { forget_after, ..rules(allow, 3) });
    lasts.set_now(0);
    lasts
}

fn clients_of(lasts: &Lasts) -> Vec<String> {
    of(lasts, "nbu_client_last_status ").into_iter().map(|(name, _)| name).collect()
}

#[test]
fn clients_that_are_gone_leave_their_place() {
    let mut lasts = forgetting(&["*", "kept"], Some(24 * HOUR));
    for (client, end) in [("kept", 1), ("a", 2), ("b", 3)] {
        lasts.record(&Completion { client, ..job(1, end, 6) });
    }
    assert_eq!(lasts.slot("new"), Some("other"));
    lasts.drain_changes();
    lasts.set_now(24 * HOUR + 1);
    assert_eq!(clients_of(&lasts).len(), 3);
    lasts.set_now(24 * HOUR + 2);
    assert_eq!(clients_of(&lasts), ["b BACKUP", "kept BACKUP"]);
    assert_eq!(lasts.drain_changes(), [(b"na".to_vec(), None)], "nor is it on the disk");
    assert_eq!(lasts.slot("new"), Some("new"));
    lasts.record(&Completion { client: "b", ..job(2, 24 * HOUR, 6) });
    lasts.record(&Completion { client: "a", ..job(3, 24 * HOUR, 6) });
    lasts.set_now(48 * HOUR - 1);
    assert_eq!(clients_of(&lasts).len(), 3, "it came back");
    lasts.set_now(99 * HOUR);
    assert_eq!(clients_of(&lasts), ["kept BACKUP"], "what is spelt out stays");
}

#[test]
fn clients_stay_where_none_is_to_be_forgotten() {
    let mut lasts = forgetting(&["*"], None);
    lasts.record(&job(1, 1, 6));
    lasts.set_now(i64::MAX / 2);
    assert_eq!(clients_of(&lasts).len(), 1);
    lasts.reconfigure(&NameFilterConfig { forget_after: Some(Duration::from_secs(1)), ..rules(&["*"], 3) });
    lasts.set_now(i64::MAX / 2);
    assert_eq!(clients_of(&lasts).len(), 0, "a reload takes effect");
}
