//! Expected last results of clients and policies, computed from the simulator's truth and from
//! what docs/metrics.md says of each metric.

use std::collections::BTreeMap;

use nbu_sim::{Completion, JobView, Truth};

use super::exposition::{Series, key};

/// Clients or policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Client,
    Policy,
}

impl Kind {
    const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Policy => "policy",
        }
    }

    fn of(self, job: &JobView) -> &str {
        match self {
            Self::Client => &job.client,
            Self::Policy => &job.policy,
        }
    }
}

/// Series of a site that this module covers.
pub fn is_of_names(name: &str) -> bool {
    let is_of_names = name.starts_with("nbu_client_") || name.starts_with("nbu_policy_");
    is_of_names && !super::details::is_by_class(name)
}

/// Returns the outcome of a status: success, partial or failure; none for a job that was cancelled or had nothing
/// to do.
const fn is(status: i64) -> (bool, bool, bool) {
    (status == 0, status == 1, !matches!(status, 0 | 1 | 150 | 190 | 200))
}

/// All that must be shown of the names that `selected` admits, where every completion that ended after
/// `since` (the server's time, Unix ms) was read and older backups were looked up. `literal` names have
/// their place whether seen or not.
pub fn lasts(
    truth: &Truth,
    site: &str,
    kind: Kind,
    since: i64,
    selected: impl Fn(&str) -> bool,
    literal: &[&str],
) -> BTreeMap<Series, f64> {
    let mut all: Vec<(Completion, JobView)> = truth
        .completions()
        // What ends later than now by the server's own clock is not known yet.
        .filter(|done| done.end_ms <= truth.server_time() + 60_000)
        .filter_map(|done| truth.job(done.job_id).map(|job| (done, job)))
        .collect();
    all.sort_by_key(|(done, _)| (done.end_ms, done.job_id, done.attempt));
    let mut expected = BTreeMap::new();
    let family = |suffix: &str| format!("nbu_{}_{suffix}", kind.label());
    for name in literal {
        let labels = [("site", site), (kind.label(), *name)];
        expected.insert(key(&family("never_succeeded"), &labels), 1.0);
    }
    for (done, job) in &all {
        let name = kind.of(job);
        if name.is_empty() || !selected(name) {
            continue;
        }
        let seconds = done.end_ms as f64 / 1000.0;
        let (success, partial, failure) = is(done.status);
        let named = [("site", site), (kind.label(), name)];
        let known = done.end_ms > since;
        let was_seen = known || literal.contains(&name);
        if success && done.job_type == "BACKUP" && was_seen {
            let last = family("last_successful_backup_timestamp_seconds");
            expected.insert(key(&last, &named), seconds);
            expected.insert(key(&family("never_succeeded"), &named), 0.0);
        }
        if !known {
            continue;
        }
        let full = [named[0], named[1], ("action", done.job_type)];
        if success {
            expected.insert(key(&family("last_success_timestamp_seconds"), &full), seconds);
            if kind == Kind::Client {
                let policy = if job.policy.is_empty() { "UNKNOWN" } else { &*job.policy };
                let pair = [full[0], full[1], full[2], ("policy", policy)];
                expected.insert(key("nbu_client_last_job_success_seconds", &pair), seconds);
            }
        }
        if failure {
            expected.insert(key(&family("last_failure_timestamp_seconds"), &full), seconds);
        }
        expected.insert(key(&family("last_status"), &full), done.status as f64);
        let failures = expected.entry(key(&family("consecutive_failures"), &full)).or_insert(0.0);
        if done.leaf && (success || partial) {
            *failures = 0.0;
            let bytes = done.kilobytes as f64 * 1024.0;
            expected.insert(key(&family("last_transferred_bytes"), &full), bytes);
            let took = (done.end_ms - done.start_ms) as f64 / 1000.0;
            expected.insert(key(&family("last_duration_seconds"), &full), took);
        } else if done.leaf && failure {
            *failures += 1.0;
        }
    }
    expected
}

/// The jobs of the selected clients in the window `(from, to]`.
pub fn client_counts(
    truth: &Truth,
    site: &str,
    (from, to): (i64, i64),
    selected: impl Fn(&str) -> bool,
) -> BTreeMap<Series, f64> {
    let mut expected = BTreeMap::new();
    for job in
        truth.jobs_ended(from, to).filter(|job| !job.client.is_empty() && selected(&job.client))
    {
        let status = job.status.to_string();
        let labels = [
            ("site", site),
            ("client", &*job.client),
            ("action", job.job_type),
            ("status", &status),
        ];
        *expected.entry(key("nbu_client_jobs_count", &labels)).or_default() += 1.0;
    }
    expected
}
