//! Last results of jobs in any order.

mod grouped;
mod lookups;
mod present;
mod properties;

use std::collections::BTreeMap;

use super::last_result::MOST_FAILURES;
use super::name_results::{MOST_PAIRS, MOST_TYPES};
use super::results::SavedRecord;
use super::*;
use crate::jobs::NameFilterConfig;
use crate::jobs::completion::Completion;
use crate::jobs::row::Actions;
use crate::jobs::schedule::ScheduleClass;
use crate::metric::Value;

impl LastResults {
    /// Returns the records that changed, as if they were written at once.
    fn drain_changes(&mut self) -> Vec<SavedRecord> {
        let changes = self.changed_records().collect();
        self.changes.clear();
        changes
    }
}

/// Returns a leaf BACKUP of client `c` and policy `p` that took ten seconds and moved 2 KiB.
fn job(job_id: i64, end: i64, status: i64) -> Completion<'static> {
    Completion {
        job_id,
        tries: 1,
        start: Some(end - 10_000),
        end,
        job_type: "BACKUP",
        status: Some(status),
        leaf: true,
        kilobytes: 2,
        client: "c",
        policy: "p",
        workload: "c",
        class: ScheduleClass::Full,
        image: true,
    }
}

fn rules(allow: &[&str], limit: usize) -> NameFilterConfig {
    NameFilterConfig {
        enabled: true,
        allowlist: allow.iter().map(|entry| (*entry).to_owned()).collect(),
        limit,
        ..NameFilterConfig::default()
    }
}

fn clients(allow: &[&str], jobs: &[Completion<'_>]) -> LastResults {
    let mut last_results = LastResults::new(Subject::Client, &rules(allow, 1000));
    for job in jobs {
        last_results.record(job);
    }
    last_results
}

/// Returns all series with their values, as `name label label`.
fn series(last_results: &LastResults) -> BTreeMap<String, f64> {
    renamed(last_results, &[])
}

/// The same, with other names for some job types.
fn renamed(last_results: &LastResults, actions: &[(&str, &str)]) -> BTreeMap<String, f64> {
    let actions = actions.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
    let groups = last_results.samples_anew(&Actions(actions.collect()));
    let mut all = BTreeMap::new();
    for family in groups.iter().flat_map(|group| group.iter()) {
        for point in &family.points {
            let labels = point.attributes.join(" ");
            let name = family.definition.prometheus_name();
            let Value::Number(value) = point.value else { panic!("{name} is a number") };
            let twice = all.insert(format!("{name} {labels}").trim_end().to_owned(), value);
            assert_eq!(twice, None, "{name} {labels}");
        }
    }
    let folded = format!("nbu_agent_names_folded_total {}", last_results.subject.label());
    all.insert(folded, last_results.folded as f64);
    all
}

/// Returns the series whose name begins so, without that beginning.
fn of(last_results: &LastResults, begin: &str) -> Vec<(String, f64)> {
    let all = series(last_results);
    let found = all.iter().filter_map(|(name, value)| Some((name.strip_prefix(begin)?, *value)));
    found.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the names to be looked up, so many at most.
fn asked(last_results: &mut LastResults, most: usize) -> Vec<String> {
    last_results.next_lookups(most).into_iter().map(|question| question.name).collect()
}

#[track_caller]
fn assert_value(last_results: &LastResults, name: &str, expected: impl Into<Option<f64>>) {
    assert_eq!(
        series(last_results).get(name).copied(),
        expected.into(),
        "{name}: {:?}",
        series(last_results)
    );
}

#[test]
fn no_jobs_export_nothing_but_folded_zero() {
    for subject in [Subject::Client, Subject::Policy] {
        let last_results = LastResults::new(subject, &rules(&["*", "c"], 10));
        let expected = format!("nbu_agent_names_folded_total {}", subject.label());
        assert_eq!(series(&last_results), BTreeMap::from([(expected, 0.0)]));
        assert_eq!(last_results.all_records().count(), 0);
    }
}

#[test]
fn single_job_exports_all_series() {
    let last_results = clients(&["c"], &[job(7, 60_000, 0)]);
    let expected = [
        ("nbu_agent_names_folded_total client", 0.0),
        ("nbu_client_consecutive_failures c BACKUP", 0.0),
        ("nbu_client_last_duration_seconds c BACKUP", 10.0),
        ("nbu_client_last_job_success_seconds c p BACKUP", 60.0),
        ("nbu_client_last_status c BACKUP", 0.0),
        ("nbu_client_last_success_timestamp_seconds c BACKUP", 60.0),
        ("nbu_client_last_successful_backup_timestamp_seconds c", 60.0),
        ("nbu_client_last_transferred_bytes c BACKUP", 2048.0),
        ("nbu_client_never_succeeded c", 0.0),
    ];
    assert_eq!(series(&last_results), expected.map(|(name, v)| (name.to_owned(), v)).into());
    let mut last_results = LastResults::new(Subject::Policy, &rules(&["p"], 1));
    last_results.record(&job(7, 60_000, 5));
    let expected = [
        ("nbu_agent_names_folded_total policy", 0.0),
        ("nbu_policy_consecutive_failures p BACKUP", 1.0),
        ("nbu_policy_failing_seconds p full", 0.0),
        ("nbu_policy_last_failure_timestamp_seconds p BACKUP", 60.0),
        ("nbu_policy_last_status p BACKUP", 5.0),
    ];
    assert_eq!(series(&last_results), expected.map(|(name, v)| (name.to_owned(), v)).into());
}

#[test]
fn all_declared_metrics_can_be_exported() {
    let mut said: Vec<String> = Vec::new();
    for subject in [Subject::Client, Subject::Policy, Subject::Workload] {
        let mut last_results = LastResults::new(subject, &rules(&["*"], 1));
        (1..5).for_each(|day| last_results.record(&job(day, day * 86_400_000, 0)));
        last_results.record(&job(7, 5 * 86_400_000, 6));
        said.extend(series(&last_results).into_keys());
    }
    for definition in definitions() {
        let name = format!("{} ", definition.prometheus_name());
        assert!(said.iter().any(|series| series.starts_with(&name)), "{name}");
    }
}

#[test]
fn job_types_are_separate_and_renamed_ones_merge() {
    let restore = Completion { job_type: "RESTORE", ..job(2, 70_000, 6) };
    let unknown = Completion { job_type: "", policy: "", ..job(3, 50_000, 0) };
    let last_results = clients(&["c"], &[job(1, 60_000, 0), restore, unknown]);
    assert_value(&last_results, "nbu_client_last_status c RESTORE", 6.0);
    assert_value(&last_results, "nbu_client_last_status c BACKUP", 0.0);
    assert_value(&last_results, "nbu_client_last_job_success_seconds c UNKNOWN UNKNOWN", 50.0);
    let one = renamed(&last_results, &[("BACKUP", "ANY"), ("RESTORE", "ANY"), ("UNKNOWN", "ANY")]);
    assert_eq!(one.get("nbu_client_last_status c ANY"), Some(&6.0));
    assert_eq!(one.get("nbu_client_consecutive_failures c ANY"), Some(&1.0));
    assert_eq!(one.get("nbu_client_last_success_timestamp_seconds c ANY"), Some(&60.0));
    assert_eq!(one.len(), 11);
}

#[test]
fn higher_number_is_last_of_jobs_with_one_end() {
    for jobs in [[job(8, 60_000, 6), job(9, 60_000, 0)], [job(9, 60_000, 0), job(8, 60_000, 6)]] {
        let last_results = clients(&["c"], &jobs);
        assert_value(&last_results, "nbu_client_last_status c BACKUP", 0.0);
        assert_value(&last_results, "nbu_client_consecutive_failures c BACKUP", 0.0);
    }
}

#[test]
fn unknown_status_is_absent_and_a_failure() {
    let last_results =
        clients(&["c"], &[job(1, 1000, 0), Completion { status: None, ..job(2, 2000, 0) }]);
    assert_value(&last_results, "nbu_client_last_status c BACKUP", None);
    assert_value(&last_results, "nbu_client_consecutive_failures c BACKUP", 1.0);
    assert_value(&last_results, "nbu_client_last_failure_timestamp_seconds c BACKUP", 2.0);
}

#[test]
fn last_bytes_and_duration_are_those_of_last_done_leaf() {
    let parent = Completion { leaf: false, kilobytes: 99, start: Some(0), ..job(4, 90_000, 0) };
    let partial = Completion { kilobytes: 3, start: Some(55_500), ..job(2, 60_000, 1) };
    let failed = Completion { kilobytes: 50, ..job(3, 70_000, 6) };
    let last_results = clients(&["c"], &[job(1, 50_000, 0), partial, failed, parent]);
    assert_value(&last_results, "nbu_client_last_transferred_bytes c BACKUP", 3072.0);
    assert_value(&last_results, "nbu_client_last_duration_seconds c BACKUP", 4.5);
    assert_value(&last_results, "nbu_client_consecutive_failures c BACKUP", 1.0);
    assert_value(&last_results, "nbu_client_last_success_timestamp_seconds c BACKUP", 90.0);
}

#[test]
fn impossible_results_are_absent() {
    let early = Completion { start: Some(70_000), kilobytes: -1, ..job(1, 60_000, 0) };
    let far = Completion { start: Some(i64::MIN), ..early };
    for job in [early, far, Completion { start: None, ..early }] {
        let last_results = clients(&["c"], &[job]);
        assert_value(&last_results, "nbu_client_last_duration_seconds c BACKUP", None);
        assert_value(&last_results, "nbu_client_last_transferred_bytes c BACKUP", None);
        assert_value(&last_results, "nbu_client_last_status c BACKUP", 0.0);
    }
}

#[test]
fn late_success_resets_consecutive_failures() {
    let mut last_results = clients(&["c"], &[job(5, 5000, 6), job(3, 3000, 6), job(4, 4000, 150)]);
    assert_value(&last_results, "nbu_client_consecutive_failures c BACKUP", 2.0);
    last_results.record(&job(2, 2000, 0));
    assert_value(&last_results, "nbu_client_consecutive_failures c BACKUP", 2.0);
    last_results.record(&Completion { leaf: false, ..job(6, 6000, 0) });
    assert_value(&last_results, "nbu_client_consecutive_failures c BACKUP", 2.0);
    last_results.record(&job(7, 4500, 1));
    assert_value(&last_results, "nbu_client_consecutive_failures c BACKUP", 1.0);
    last_results.record(&job(1, 1000, 6));
    assert_value(&last_results, "nbu_client_consecutive_failures c BACKUP", 1.0);
    last_results.record(&job(8, 8000, 0));
    assert_value(&last_results, "nbu_client_consecutive_failures c BACKUP", 0.0);
}

#[test]
fn failures_are_bounded_and_exact_below_the_bound() {
    let most = i64::try_from(MOST_FAILURES).unwrap();
    let numbers = || 1..=2 * most;
    let forwards: Vec<i64> = numbers().collect();
    let backwards = numbers().rev().collect();
    // As slices that are read side by side.
    let sliced = (0..2 * most).map(|n| (n % 4) * (most / 2) + n / 4 + 1).collect();
    for order in [forwards, backwards, sliced] {
        let mut last_results = clients(&["c"], &[]);
        for n in order {
            last_results.record(&job(n, n * 1000, 6));
        }
        assert_value(&last_results, "nbu_client_consecutive_failures c BACKUP", most as f64);
        last_results.record(&job(9999, (most + 57) * 1000, 0));
        let since = (most - 57) as f64;
        assert_value(&last_results, "nbu_client_consecutive_failures c BACKUP", since);
    }
}

#[test]
fn client_has_one_label_in_any_spelling() {
    let other = Completion { client: "WEB", ..job(2, 2000, 6) };
    let mut last_results =
        clients(&["Web", "*"], &[Completion { client: "web", ..job(1, 1000, 0) }, other]);
    assert_eq!(of(&last_results, "nbu_client_last_status "), [("Web BACKUP".to_owned(), 6.0)]);
    assert_eq!(["web", "wEB"].map(|name| last_results.label(name)), [Some("Web"); 2]);
    // One that is not spelt out is called what it was called first.
    for client in ["Db", "DB", "db"] {
        last_results.record(&Completion { client, ..job(1, 1000, 0) });
        assert_eq!(last_results.label(client), Some("Db"));
    }
    let mut policies = LastResults::new(Subject::Policy, &rules(&["*"], 10));
    for policy in ["Db", "DB", "db"] {
        policies.record(&Completion { policy, ..job(1, 1000, 0) });
        assert_eq!(policies.label(policy), Some(policy));
    }
}

#[test]
fn names_beyond_the_limit_are_folded_and_counted() {
    let mut last_results = LastResults::new(Subject::Client, &rules(&["z", "y", "*"], 3));
    assert_eq!(
        (last_results.label("a"), last_results.label("z"), last_results.label("")),
        (Some("a"), Some("z"), None)
    );
    for (id, client) in (0..).zip(["a", "b", "a", "b", "y", "z", ""]) {
        last_results.record(&Completion { client, ..job(id, 1000, 0) });
    }
    let slots = ["a", "b", "other", "y", "z", ""].map(|name| last_results.label(name));
    let expected = [Some("a"), Some("other"), Some("other"), Some("y"), Some("z"), None];
    assert_eq!(slots, expected);
    assert_value(&last_results, "nbu_agent_names_folded_total client", 2.0);
    assert_eq!(of(&last_results, "nbu_client_never_succeeded ").len(), 3);
    // The rules themselves may name more than there is room for.
    let mut last_results = LastResults::new(Subject::Client, &rules(&["x", "y", "z"], 2));
    assert_eq!(
        ["x", "y", "z"].map(|n| last_results.label(n)),
        [Some("x"), Some("y"), Some("other")]
    );
    assert_eq!(asked(&mut last_results, 9), ["x", "y"]);
}

#[test]
fn literal_name_is_looked_up_once() {
    let mut last_results = clients(&["a", "b", "c", "d*"], &[job(1, 60_000, 0)]);
    assert_eq!(asked(&mut last_results, 0), [""; 0]);
    assert_eq!(asked(&mut last_results, 1), ["a"]);
    assert_eq!(asked(&mut last_results, 9), ["a", "b"]);
    assert_eq!(of(&last_results, "nbu_client_never_succeeded "), [("c".to_owned(), 0.0)]);
    last_results.apply_lookup("a", LookupAnswer::None);
    last_results.apply_lookup("b", LookupAnswer::Found(5000));
    last_results.apply_lookup("c", LookupAnswer::Found(9000));
    last_results.apply_lookup("stranger", LookupAnswer::Found(5000));
    assert_eq!(asked(&mut last_results, 9), [""; 0]);
    let never = [("a", 1.0), ("b", 0.0), ("c", 0.0)].map(|(name, v)| (name.to_owned(), v));
    assert_eq!(of(&last_results, "nbu_client_never_succeeded "), never);
    let backup = [("b", 5.0), ("c", 60.0)].map(|(name, v)| (name.to_owned(), v));
    assert_eq!(of(&last_results, "nbu_client_last_successful_backup_timestamp_seconds "), backup);
    last_results.record(&Completion { client: "a", ..job(2, 90_000, 0) });
    assert_value(&last_results, "nbu_client_never_succeeded a", 0.0);
}

#[test]
fn seen_name_without_backup_is_looked_up_after_literal_names() {
    let seen = Completion { client: "a", ..job(1, 1000, 6) };
    let mut last_results = clients(&["z", "*"], &[seen]);
    assert_eq!(asked(&mut last_results, 9), ["z", "a"]);
    assert_value(&last_results, "nbu_client_never_succeeded a", None);
    last_results.apply_lookup("a", LookupAnswer::None);
    assert_eq!(asked(&mut last_results, 9), ["z"]);
    assert_value(&last_results, "nbu_client_never_succeeded a", 1.0);
}

#[test]
fn only_status_0_counts_as_backup() {
    let other = Completion { job_type: "ARCHIVE", ..job(1, 1000, 0) };
    let mut last_results = clients(&["c"], &[other, job(2, 2000, 1), job(3, 3000, 6)]);
    assert_value(&last_results, "nbu_client_last_successful_backup_timestamp_seconds c", None);
    assert_eq!(asked(&mut last_results, 9), ["c"]);
}

#[test]
fn types_and_pairs_of_one_name_are_bounded() {
    let names: Vec<String> = (0..2 * MOST_PAIRS).map(|n| format!("n{n:03}")).collect();
    let mut last_results = LastResults::new(Subject::Client, &rules(&["c"], 1));
    for (n, policy) in (0..).zip(&names) {
        last_results.record(&Completion { policy, ..job(n, 1000 * n, 0) });
    }
    let pairs = of(&last_results, "nbu_client_last_job_success_seconds c ");
    assert_eq!(pairs.len(), MOST_PAIRS);
    assert_eq!(pairs[0].0, format!("n{MOST_PAIRS:03} BACKUP"));
    for (n, job_type) in (0..).zip(&names) {
        last_results.record(&Completion { job_type, ..job(n, 1000 * n, 6) });
    }
    assert_eq!(of(&last_results, "nbu_client_last_status c ").len(), MOST_TYPES + 1);
    assert_value(&last_results, "nbu_client_last_status c OTHER", 6.0);
}

#[test]
fn other_rules_keep_what_is_still_selected() {
    let jobs = ["a", "b", "c", "d"];
    let jobs: Vec<_> =
        (1..).zip(jobs).map(|(n, c)| Completion { client: c, ..job(n, 1000 * n, 0) }).collect();
    let known = |last_results: &LastResults| -> Vec<String> {
        of(last_results, "nbu_client_never_succeeded ").into_iter().map(|(name, _)| name).collect()
    };
    let mut last_results = clients(&["a", "b"], &jobs);
    last_results.apply_lookup("a", LookupAnswer::None);
    last_results.reconfigure(&rules(&["B", "c", "d"], 2));
    assert_eq!(known(&last_results), ["B"]);
    last_results.fill(jobs.iter().copied());
    assert_eq!(known(&last_results), ["B", "c"]);
    assert_value(&last_results, "nbu_client_last_successful_backup_timestamp_seconds c", 3.0);
    assert_value(&last_results, "nbu_agent_names_folded_total client", 0.0);
    assert_eq!(last_results.label("d"), Some("other"));
    // Where there is less room, those that came first stay.
    let mut last_results = clients(&["*"], &[jobs[3], jobs[0], jobs[2]]);
    last_results.drain_changes();
    last_results.reconfigure(&rules(&["*"], 2));
    assert_eq!(known(&last_results), ["a", "d"]);
    assert_eq!(last_results.drain_changes(), [(b"nc".to_vec(), None)], "nor is it on the disk");
    last_results.reconfigure(&NameFilterConfig::default());
    assert_eq!((known(&last_results).len(), last_results.label("a")), (0, None));
}

#[test]
fn records_come_back_as_they_were() {
    let mut last_results =
        clients(&["*"], &[job(1, 1000, 0), Completion { client: "x", ..job(2, 2000, 6) }]);
    last_results.apply_lookup("x", LookupAnswer::None);
    let records: Vec<_> = last_results.all_records().collect();
    assert_eq!(last_results.drain_changes().len(), 2);
    assert_eq!(last_results.drain_changes(), []);
    // The same again is no news.
    last_results.record(&job(1, 1000, 0));
    last_results.apply_lookup("x", LookupAnswer::None);
    assert_eq!(last_results.drain_changes(), []);
    let mut again = clients(&["*"], &[]);
    for (key, value) in &records {
        again.restore(key, value.as_deref()).unwrap();
    }
    assert_eq!(series(&again), series(&last_results));
    assert_eq!(again.drain_changes(), []);
    assert_eq!(asked(&mut again, 9), [""; 0]);
    // One that is not selected any more leaves the disk.
    let mut fewer = clients(&["x"], &[]);
    for (key, value) in &records {
        fewer.restore(key, value.as_deref()).unwrap();
    }
    assert_eq!(fewer.drain_changes(), [(b"nc".to_vec(), None)]);
    assert_value(&fewer, "nbu_client_never_succeeded x", 1.0);
}

#[test]
fn folded_names_stay_folded() {
    let mut last_results = LastResults::new(Subject::Policy, &rules(&["*"], 1));
    for policy in ["a", "b", "b"] {
        last_results.record(&Completion { policy, ..job(1, 1000, 0) });
    }
    let changes = last_results.drain_changes();
    assert_eq!(changes.len(), 2);
    let mut again = LastResults::new(Subject::Policy, &rules(&["*"], 1));
    for (key, value) in last_results.all_records() {
        assert!(changes.contains(&(key.clone(), value.clone())));
        again.restore(&key, value.as_deref()).unwrap();
    }
    assert_value(&again, "nbu_agent_names_folded_total policy", 2.0);
}

#[test]
fn damaged_records_are_refused_and_leave_nothing() {
    let last_results = clients(&["*"], &[job(1, 1000, 0)]);
    let (key, value) = last_results.all_records().next().unwrap();
    let value = value.unwrap();
    let mut again = clients(&["*"], &[]);
    for (key, value) in [
        (&key[..], &value[..value.len() - 1]),
        (&key[..], &[]),
        (b"", &value[..]),
        (b"x", &value[..]),
        (b"n\xff", &value[..]),
        (b"folded", b"1"),
    ] {
        assert!(again.restore(key, Some(value)).is_none(), "{key:?}");
    }
    assert_eq!(again.all_records().count(), 0);
    assert_eq!(again.drain_changes(), []);
}
