//! Expected gauges of live jobs, computed from the simulator's truth.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nbu_sim::{JobState, JobView};

use super::expected::{Renames, action};
use super::exposition::{Series, key};

/// Metrics that [`work`] covers completely.
pub const WORK: [&str; 5] = [
    "nbu_jobs_active_bytes",
    "nbu_jobs_active_percent_complete",
    "nbu_jobs_long_running",
    "nbu_jobs_oldest_active_age_seconds",
    "nbu_jobs_oldest_queued_age_seconds",
];

/// Ages, bytes and progress of the live jobs at `now`, the server's; explicit zeros for the actions of
/// the jobs that ended in the window, too.
pub fn work(
    ended: &[JobView],
    live: &[JobView],
    site: &str,
    renames: &Renames,
    now: i64,
    long_running_after: Duration,
) -> BTreeMap<Series, f64> {
    let mut expected = BTreeMap::new();
    let types = ended.iter().chain(live).map(|job| action(renames, job.job_type));
    let actions: BTreeSet<&str> = types.chain(["BACKUP"]).collect();
    for name in actions {
        let mine = |state: JobState| {
            let of_action = live.iter().filter(move |job| job.state == state);
            of_action.filter(move |job| action(renames, job.job_type) == name)
        };
        let age = |job: &JobView| (now - job.start_ms).max(0) as f64 / 1000.0;
        let oldest = |state| mine(state).map(age).reduce(f64::max);
        let mut put = |metric: &str, value: f64| {
            expected.insert(key(metric, &[("site", site), ("action", name)]), value);
        };
        if let Some(age) = oldest(JobState::Queued) {
            put("nbu_jobs_oldest_queued_age_seconds", age);
        }
        if let Some(age) = oldest(JobState::Active) {
            put("nbu_jobs_oldest_active_age_seconds", age);
        }
        let long = mine(JobState::Active).filter(|job| age(job) > long_running_after.as_secs_f64());
        put("nbu_jobs_long_running", long.count() as f64);
        let leaves =
            mine(JobState::Active).filter(|job| job.is_leaf() && job.current_operation != 27);
        put("nbu_jobs_active_bytes", leaves.map(|job| job.kilobytes as f64 * 1024.0).sum());
        let percents: Vec<i64> = mine(JobState::Active).map(|job| job.percent_complete).collect();
        if !percents.is_empty() {
            let mean = percents.iter().sum::<i64>() as f64 / percents.len() as f64;
            put("nbu_jobs_active_percent_complete", mean);
        }
    }
    expected
}
