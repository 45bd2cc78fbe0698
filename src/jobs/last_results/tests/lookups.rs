//! Which names are asked for, and when again.

use super::{asked, assert_value, clients, job, rules};
use crate::jobs::completion::Completion;
use crate::jobs::last_results::{LastResults, LookupAnswer, Subject};

const DAY: i64 = 86_400_000;

/// Clients that are spelt out, none of them seen.
fn unseen(count: usize) -> LastResults {
    let names: Vec<String> = (0..count).map(|n| format!("n{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut last_results = LastResults::new(Subject::Client, &rules(&names, 1000));
    last_results.set_now(0);
    last_results
}

#[test]
fn names_that_fail_go_behind_the_others() {
    let mut last_results = unseen(40);
    let mut answered = Vec::new();
    for _ in 0..20 {
        for name in asked(&mut last_results, 20) {
            if name.ends_with('0') {
                last_results.note_failed_lookup(&name);
            } else {
                last_results.apply_lookup(&name, LookupAnswer::Found(1));
                answered.push(name);
            }
        }
    }
    assert_eq!(answered.len(), 36);
}

#[test]
fn failing_name_is_looked_up_less_and_less_often() {
    let mut last_results = unseen(1);
    let mut rounds = Vec::new();
    for round in 0..64 {
        if !asked(&mut last_results, 20).is_empty() {
            rounds.push(round);
            last_results.note_failed_lookup("n00");
        }
    }
    assert_eq!(rounds, [0, 1, 3, 7, 15, 31, 47, 63]);
    last_results.apply_lookup("n00", LookupAnswer::Found(1));
    assert_eq!(asked(&mut last_results, 20), [""; 0]);
}

#[test]
fn few_failed_names_are_retried_per_round() {
    let mut last_results = unseen(40);
    for _ in 0..2 {
        for name in asked(&mut last_results, 20) {
            last_results.note_failed_lookup(&name);
        }
    }
    let questions = last_results.next_lookups(20);
    assert!(questions.iter().filter(|question| question.retried).count() <= 4);
    assert!(!questions.is_empty());
}

#[test]
fn lookup_without_result_is_repeated_after_a_day() {
    for (answer, never) in [(LookupAnswer::None, Some(1.0)), (LookupAnswer::Unknown, None)] {
        let mut last_results = unseen(1);
        last_results.apply_lookup("n00", answer);
        assert_value(&last_results, "nbu_client_never_succeeded n00", never);
        last_results.set_now(DAY - 1);
        assert_eq!(asked(&mut last_results, 9), [""; 0], "{answer:?}");
        last_results.set_now(DAY);
        assert_eq!(asked(&mut last_results, 9), ["n00"], "{answer:?}");
        last_results.apply_lookup("n00", LookupAnswer::Found(5000));
        assert_value(&last_results, "nbu_client_never_succeeded n00", 0.0);
        last_results.set_now(9 * DAY);
        assert_eq!(asked(&mut last_results, 9), [""; 0]);
    }
}

#[test]
fn lookup_answer_of_a_later_time_is_repeated() {
    let mut last_results = unseen(1);
    last_results.set_now(DAY);
    last_results.apply_lookup("n00", LookupAnswer::None);
    last_results.set_now(DAY / 2);
    assert_eq!(asked(&mut last_results, 9), ["n00"], "the server's clock was set back");
}

#[test]
fn time_of_lookup_survives_restart() {
    let mut last_results = unseen(2);
    last_results.apply_lookup("n00", LookupAnswer::None);
    last_results.set_now(DAY / 2);
    last_results.apply_lookup("n01", LookupAnswer::Unknown);
    let mut again = unseen(2);
    for (key, value) in last_results.all_records() {
        again.restore(&key, value.as_deref()).unwrap();
    }
    for (now, expected) in [(DAY - 1, &[][..]), (DAY, &["n00"]), (DAY / 2 * 3, &["n00", "n01"])] {
        again.set_now(now);
        assert_eq!(asked(&mut again, 9), expected, "{now}");
    }
}

#[test]
fn spelling_of_server_is_looked_up() {
    let spellings =
        |last_results: &mut LastResults| last_results.next_lookups(9).remove(0).spellings;
    let failed = Completion { client: "client1", ..job(1, 1000, 6) };
    let mut last_results = clients(&["CLIENT1"], &[failed]);
    assert_eq!(spellings(&mut last_results), ["client1", "CLIENT1"]);
    // One that was never seen may be listed either way.
    assert_eq!(spellings(&mut clients(&["Web1"], &[])), ["Web1", "web1", "WEB1"]);
    assert_eq!(spellings(&mut clients(&["10.1.2.3"], &[])), ["10.1.2.3"]);
    // It outlives a restart, and other rules.
    let mut again = clients(&["cLIENT1"], &[]);
    for (key, value) in last_results.all_records() {
        again.restore(&key, value.as_deref()).unwrap();
    }
    assert_eq!(spellings(&mut again)[..2], ["CLIENT1", "client1"]);
    let mut seen = clients(&["*"], &[failed]);
    assert_eq!(spellings(&mut seen), ["client1"]);
    seen.reconfigure(&rules(&["CLIENT1"], 10));
    assert_eq!(spellings(&mut seen), ["client1", "CLIENT1"]);
    let mut policies = LastResults::new(Subject::Policy, &rules(&["Daily"], 10));
    assert_eq!(spellings(&mut policies), ["Daily"], "names of policies have case");
}

#[test]
fn lookup_answer_for_removed_name_is_dropped() {
    let seen = Completion { client: "seen", ..job(1, 1000, 6) };
    let mut last_results = clients(&["*"], &[seen]);
    last_results.apply_lookup("stranger", LookupAnswer::Found(1000));
    assert_eq!(last_results.label("stranger"), Some("stranger"));
    assert_eq!(last_results.all_records().count(), 1);
}
