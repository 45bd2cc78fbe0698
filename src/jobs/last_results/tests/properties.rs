//! Properties that hold for jobs of any kind in any order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{clients, job, of, rules, series};
use crate::jobs::completion::Completion;
use crate::jobs::last_results::{LastResults, Subject};

/// Jobs of a few clients, policies and types, some of them at once.
fn any_jobs() -> impl Strategy<Value = Vec<Completion<'static>>> {
    let one = (
        0..40_i64,
        prop::sample::select(vec![Some(0), Some(1), Some(150), Some(6), Some(6), None]),
        any::<bool>(),
        prop::sample::select(vec!["c", "d"]),
        prop::sample::select(vec!["p", "q", "r"]),
        prop::sample::select(vec!["BACKUP", "BACKUP", "RESTORE"]),
    );
    prop::collection::vec(one, 0..60).prop_map(|jobs| {
        let jobs = (1..).zip(jobs);
        let job = |(n, (end, status, leaf, client, policy, job_type))| Completion {
            status,
            leaf,
            client,
            policy,
            job_type,
            kilobytes: n,
            ..job(n, end * 1000, 0)
        };
        jobs.map(job).collect()
    })
}

/// Counts the leaf jobs that failed in a row, by going through all of them in order.
fn failures_in_order(jobs: &[Completion<'_>], client: &str, job_type: &str) -> usize {
    let mut jobs: Vec<_> =
        jobs.iter().filter(|j| j.leaf && j.client == client && j.job_type == job_type).collect();
    jobs.sort_by_key(|job| (job.end, job.job_id));
    let mut failures = 0;
    for job in jobs {
        match job.status {
            Some(0 | 1) => failures = 0,
            Some(150) => {}
            _ => failures += 1,
        }
    }
    failures
}

proptest! {
    #[test]
    fn order_of_jobs_does_not_matter(
        (jobs, shuffled) in any_jobs().prop_flat_map(|jobs| (Just(jobs.clone()), Just(jobs).prop_shuffle())),
        subject in prop::sample::select(vec![Subject::Client, Subject::Policy]),
    ) {
        let mut one = LastResults::new(subject, &rules(&["*"], 10));
        let mut other = LastResults::new(subject, &rules(&["*"], 10));
        for (job, another) in jobs.iter().zip(&shuffled) {
            one.record(job);
            other.record(another);
        }
        prop_assert_eq!(series(&one), series(&other));
        prop_assert!(one.all_records().eq(other.all_records()));
        other.drain_changes();
        other.fill(jobs.iter().copied());
        prop_assert_eq!(other.drain_changes(), []);
    }

    #[test]
    fn failures_are_those_after_the_last_that_was_done(jobs in any_jobs()) {
        let last_results = clients(&["*"], &jobs);
        for (labels, count) in of(&last_results, "nbu_client_consecutive_failures ") {
            let (client, job_type) = labels.split_once(' ').unwrap();
            let expected = failures_in_order(&jobs, client, job_type) as f64;
            prop_assert!((count - expected).abs() < 0.5, "{count}, not {expected}");
        }
    }

    #[test]
    fn changes_applied_to_disk_restore_all_results(
        jobs in any_jobs(),
        at in prop::collection::vec(0_usize..60, 0..4),
        other in prop::sample::select(vec![&["c"][..], &["d", "?"], &[], &["C", "*"]]),
    ) {
        let mut last_results = LastResults::new(Subject::Client, &rules(&["*"], 1));
        let mut disk = BTreeMap::new();
        for (n, job) in jobs.iter().enumerate() {
            last_results.record(job);
            if n == jobs.len() / 2 {
                last_results.reconfigure(&rules(other, 2));
                last_results.fill(jobs[..=n].iter().copied());
            }
            if at.contains(&n) || n + 1 == jobs.len() {
                for (key, value) in last_results.drain_changes() {
                    if value.is_some() {
                        disk.insert(key, value);
                    } else {
                        disk.remove(&key);
                    }
                }
            }
        }
        prop_assert_eq!(&disk, &last_results.all_records().collect::<BTreeMap<_, _>>());
        let mut again = LastResults::new(Subject::Client, &rules(other, 2));
        for (key, value) in &disk {
            again.restore(key, value.as_deref()).unwrap();
        }
        if jobs.len() > 1 {
            prop_assert_eq!(series(&again), series(&last_results));
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_harm(key in prop::collection::vec(any::<u8>(), 0..4), value in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut last_results = clients(&["*"], &[]);
        let _ = last_results.restore(&key, Some(&value));
        let _ = series(&last_results);
    }
}
