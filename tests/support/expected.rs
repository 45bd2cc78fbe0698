//! Expected series of a site, computed from the simulator's truth and from the meaning of the metrics
//! as operators know it, not from the agent's code.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use nbu_sim::{JobState, JobView, Truth};

use super::exposition::{Series, key};

/// Names of job types in the label `action`.
pub type Renames = BTreeMap<String, String>;

const STATES: [&str; 6] = ["QUEUED", "ACTIVE", "REQUEUED", "DONE", "SUSPENDED", "INCOMPLETE"];

/// Name of a state as the API spells it.
fn state_name(state: JobState) -> &'static str {
    state.as_str()
}

/// Metrics that [`jobs`] covers completely.
pub const WINDOWED: [&str; 7] = [
    "nbu_jobs_bytes",
    "nbu_jobs_count",
    "nbu_jobs_dedup_ratio",
    "nbu_jobs_files_count",
    "nbu_jobs_queued_count",
    "nbu_jobs_state_count",
    "nbu_status_count",
];

/// Counts of a site by state, and those of its window `(from, to]`, Unix ms.
pub fn jobs(truth: &Truth, site: &str, from: i64, to: i64) -> BTreeMap<Series, f64> {
    let (ended, live): (Vec<_>, Vec<_>) =
        (truth.jobs_ended(from, to).collect(), truth.live_jobs().collect());
    jobs_of(&ended, &live, site, &Renames::new())
}

/// The action of a job type.
pub fn action<'a>(renames: &'a Renames, job_type: &'a str) -> &'a str {
    renames.get(job_type).map_or(job_type, String::as_str)
}

/// The same of these jobs: those that ended in the window, and those that are live.
pub fn jobs_of(
    ended: &[JobView],
    live: &[JobView],
    site: &str,
    renames: &Renames,
) -> BTreeMap<Series, f64> {
    let mut expected: BTreeMap<Series, f64> = BTreeMap::new();
    let mut ratios: BTreeMap<Series, Vec<f64>> = BTreeMap::new();
    let mut actions: BTreeSet<&str> = BTreeSet::from(["BACKUP"]);
    let mut add = |series: Series, value: f64| *expected.entry(series).or_default() += value;
    for job in ended {
        let (action, policy_type) = (action(renames, job.job_type), job.policy_type);
        let status = job.status.to_string();
        actions.insert(action);
        let by_action = [("site", site), ("action", action)];
        let by_type = [by_action[0], by_action[1], ("policy_type", policy_type)];
        let full = [by_type[0], by_type[1], by_type[2], ("status", status.as_str())];
        add(key("nbu_jobs_count", &full), 1.0);
        add(key("nbu_jobs_bytes", &full), job.kilobytes as f64 * 1024.0);
        add(key("nbu_jobs_files_count", &by_type), job.files as f64);
        add(key("nbu_status_count", &[by_action[0], by_action[1], full[3]]), 1.0);
        add(key("nbu_jobs_state_count", &[by_action[0], by_action[1], ("state", "DONE")]), 1.0);
        ratios.entry(key("nbu_jobs_dedup_ratio", &by_type)).or_default().push(job.dedup_ratio);
    }
    actions.extend(live.iter().map(|job| action(renames, job.job_type)));
    for action in actions {
        for state in STATES {
            add(
                key(
                    "nbu_jobs_state_count",
                    &[("site", site), ("action", action), ("state", state)],
                ),
                0.0,
            );
        }
        add(
            key("nbu_jobs_queued_count", &[("site", site), ("action", action), ("reason", "0")]),
            0.0,
        );
    }
    for job in live {
        let by_action = [("site", site), ("action", action(renames, job.job_type))];
        let state = state_name(job.state);
        add(key("nbu_jobs_state_count", &[by_action[0], by_action[1], ("state", state)]), 1.0);
        if state == "QUEUED" {
            let reason = job.queue_reason.to_string();
            add(
                key("nbu_jobs_queued_count", &[by_action[0], by_action[1], ("reason", &reason)]),
                1.0,
            );
        }
    }
    for (series, values) in ratios {
        expected.insert(series, values.iter().sum::<f64>() / values.len() as f64);
    }
    expected
}

/// Returns whether a metric is one of storage units.
pub fn is_of_storage(name: &str) -> bool {
    let of_pools = ["nbu_disk_pool_", "nbu_disk_volume_"];
    (name.starts_with("nbu_disk_") && !of_pools.iter().any(|pools| name.starts_with(pools)))
        || name.starts_with("nbu_storage_max_")
}

/// All `nbu_disk_*` and `nbu_storage_*` series of a site but `nbu_storage_info`.
pub fn storage(truth: &Truth, site: &str) -> BTreeMap<Series, f64> {
    let mut expected = BTreeMap::new();
    for unit in truth.storage_units() {
        let labels = [("site", site), ("name", unit.name.as_ref()), ("type", unit.server_type)];
        let mut put = |name: &str, more: Option<(&str, &str)>, value: Option<i64>| {
            let labels: Vec<_> = labels.iter().copied().chain(more).collect();
            if let Some(value) = value {
                expected.insert(key(name, &labels), value as f64);
            }
        };
        let tape = unit.category == "TAPE";
        let unlimited = unit.total == Some(0) && unit.free == Some(0);
        if !tape && !unlimited {
            let known = |value: Option<i64>| value.filter(|bytes| *bytes != i64::MAX);
            put("nbu_disk_bytes", Some(("size", "free")), known(unit.free));
            put("nbu_disk_bytes", Some(("size", "used")), known(unit.used));
            put("nbu_disk_capacity_bytes", None, known(unit.total));
        }
        put("nbu_storage_max_concurrent_jobs", None, unit.max_concurrent_jobs);
        put("nbu_storage_max_fragment_size_bytes", None, Some(unit.max_fragment_mb * 1_048_576));
    }
    expected
}

/// Holds what a page shows against what it must show.
pub fn assert_same(shown: &BTreeMap<Series, f64>, expected: &BTreeMap<Series, f64>) {
    let differences = differences(shown, expected);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(!expected.is_empty(), "nothing was compared");
}

/// Each difference between what is shown and what must be, in words. Sums of floats may differ in
/// their last digit, as their order does.
pub fn differences(shown: &BTreeMap<Series, f64>, expected: &BTreeMap<Series, f64>) -> Vec<String> {
    let mut differences = Vec::new();
    for (series, value) in expected {
        match shown.get(series) {
            None => differences.push(format!("missing: {series:?} {value}")),
            Some(seen) if (seen - value).abs() > value.abs() * 1e-12 => {
                differences.push(format!("differs: {series:?} is {seen}, should be {value}"));
            }
            Some(_) => {}
        }
    }
    let unexpected = shown.keys().filter(|series| !expected.contains_key(*series));
    differences.extend(unexpected.map(|series| format!("unexpected: {series:?}")));
    differences
}
