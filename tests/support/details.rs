//! Expected series of what jobs tell beside their number, computed from what happened in the simulated world.

use std::collections::{BTreeMap, BTreeSet};

use nbu_sim::{Cause, Completion, FalseGreen, JobState, JobView, Truth};

use super::exposition::{Series, key};

const HOUR: i64 = 3_600_000;

/// Metrics that [`counted`] covers completely, histograms as their counts and sums.
pub const COUNTED: [&str; 9] = [
    "nbu_job_queue_wait_seconds_count",
    "nbu_job_queue_wait_seconds_sum",
    "nbu_job_active_duration_seconds_count",
    "nbu_job_active_duration_seconds_sum",
    "nbu_storage_unit_transferred_bytes_total",
    "nbu_media_server_transferred_bytes_total",
    "nbu_jobs_moved_bytes_total",
    "nbu_jobs_failures_total",
    "nbu_jobs_failed_recently",
];

/// Metrics that [`live`] covers completely.
pub const LIVE: [&str; 4] = [
    "nbu_storage_unit_active_jobs",
    "nbu_media_server_active_jobs",
    "nbu_jobs_stalled",
    "nbu_jobs_oldest_age_seconds",
];

/// Returns whether a series of policies or workloads is by class of schedule.
pub fn is_by_class(name: &str) -> bool {
    let ends = [
        "_last_restorable_backup_timestamp_seconds",
        "_backup_interval_seconds",
        "_failing_seconds",
    ];
    ends.iter().any(|end| name.ends_with(end))
}

/// The operator's word for a cause; none where there was nothing to do.
const fn family(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::Network => "network",
        Cause::Access => "access_or_certificate",
        Cause::Client => "client",
        Cause::Snapshot => "snapshot_or_hypervisor",
        Cause::StorageFull => "storage_full",
        Cause::StorageDown => "storage_down",
        Cause::DiskIo => "disk_io",
        Cause::Tape => "tape",
        Cause::WindowClosed => "window_or_limit",
        Cause::CopyFailed => "copy",
        Cause::Catalog => "catalogue_or_server",
        Cause::Restore => "restore",
        Cause::NothingToDo => return None,
    })
}

/// Numbers of ended leaves, of which those that ended in the world after `begun` were counted. Series that are zero
/// are left out.
pub fn counted(truth: &Truth, site: &str, begun: i64) -> BTreeMap<Series, f64> {
    let mut all: BTreeMap<Series, f64> = BTreeMap::new();
    let now = truth.server_time();
    let mut add = |name: &str, labels: &[(&str, &str)], value: f64| {
        let labels = [&[("site", site)], labels].concat();
        *all.entry(key(name, &labels)).or_default() += value;
    };
    for done in truth.completions().filter(|done| done.leaf) {
        let action = ("action", done.job_type);
        let family = done.cause.and_then(family);
        if family.is_some() && now - HOUR < done.end_ms && done.end_ms <= now {
            add("nbu_jobs_failed_recently", &[], 1.0);
        }
        if done.done_at <= begun {
            continue;
        }
        let by_type = [action, ("policy_type", done.policy_type)];
        if let Some(wait) = done.queue_wait_ms {
            add("nbu_job_queue_wait_seconds_count", &[action], 1.0);
            add("nbu_job_queue_wait_seconds_sum", &[action], wait as f64 / 1000.0);
        }
        if let Some(start) = done.active_start_ms {
            add("nbu_job_active_duration_seconds_count", &by_type, 1.0);
            let seconds = (done.end_ms - start) as f64 / 1000.0;
            add("nbu_job_active_duration_seconds_sum", &by_type, seconds);
        }
        let bytes = done.kilobytes as f64 * 1024.0;
        if !done.storage_unit.is_empty() {
            let labels = [("name", &*done.storage_unit), action];
            add("nbu_storage_unit_transferred_bytes_total", &labels, bytes);
        }
        if !done.media_server.is_empty() {
            let labels = [("media_server", &*done.media_server), action];
            add("nbu_media_server_transferred_bytes_total", &labels, bytes);
        }
        add("nbu_jobs_moved_bytes_total", &by_type, done.moved_kilobytes as f64 * 1024.0);
        if let Some(family) = family {
            add("nbu_jobs_failures_total", &[action, ("family", family)], 1.0);
        }
    }
    all.retain(|_, value| *value != 0.0);
    all
}

/// Numbers of backups that only look good, counted after `begun` in the world, of the kinds that a single job
/// tells.
pub fn false_greens(truth: &Truth, site: &str, begun: i64) -> [(Series, f64); 2] {
    let kinds = [("no_backup_id", FalseGreen::NoImage), ("no_files", FalseGreen::NoFiles)];
    kinds.map(|(kind, found)| {
        let jobs = truth.completions().filter(|done| {
            done.false_green == Some(found) && done.done_at > begun && done.status == 0
        });
        (key("nbu_false_green_total", &[("site", site), ("kind", kind)]), jobs.count() as f64)
    })
}

/// Types of jobs that move data while they run.
const MOVING: [&str; 10] = [
    "BACKUP",
    "ARCHIVE",
    "RESTORE",
    "DUPLICATE",
    "REPLICATE",
    "IMPORT",
    "REPLICA_IMPORT",
    "SNAPDUPE",
    "DBBACKUP",
    "VERIFY",
];

/// Numbers of live leaves; those that do nothing were seen to do nothing since `watched`, the server's time. Series
/// that are zero are left out.
pub fn live(truth: &Truth, site: &str, watched: i64) -> BTreeMap<Series, f64> {
    let now = truth.server_time();
    let mut all: BTreeMap<Series, f64> = BTreeMap::new();
    for job in truth.live_jobs().filter(|job| job.is_leaf() && job.current_operation != 27) {
        let mut add = |name: &str, labels: &[(&str, &str)], value: f64, most: bool| {
            let labels = [&[("site", site)], labels].concat();
            let known = all.entry(key(name, &labels)).or_default();
            *known = if most { known.max(value) } else { *known + value };
        };
        let (action, moves) = (("action", job.job_type), MOVING.contains(&job.job_type));
        let active = job.state == JobState::Active;
        if active && !job.storage_unit.is_empty() {
            add("nbu_storage_unit_active_jobs", &[("name", &job.storage_unit)], 1.0, false);
        }
        if active && !job.media_server.is_empty() {
            let server = [("media_server", &*job.media_server)];
            add("nbu_media_server_active_jobs", &server, 1.0, false);
        }
        let idle = job.stalled_from_ms.is_some_and(|from| from <= watched);
        if active && moves && idle && now - watched >= HOUR {
            add("nbu_jobs_stalled", &[action], 1.0, false);
        }
        let since = match job.state {
            JobState::Active if !moves => None,
            JobState::Active => job.active_start_ms,
            _ => Some(job.start_ms),
        };
        if let Some(since) = since {
            let labels = [action, ("state", job.state.as_str())];
            let age = (now - since).max(0) as f64 / 1000.0;
            add("nbu_jobs_oldest_age_seconds", &labels, age, true);
        }
    }
    all.retain(|_, value| *value != 0.0);
    all
}

/// The end of the last restorable backup, and those of the failures since.
type ClassResult = (Option<i64>, Vec<i64>);

/// Results by class of schedule of each policy and each workload, where every job that ended since `since`, the
/// server's time, was read. Intervals are not known before four days, and not shown.
pub fn by_class(truth: &Truth, site: &str, since: i64) -> BTreeMap<Series, f64> {
    let protecting = ["BACKUP", "ARCHIVE", "SNAPDUPE", "DBBACKUP", "SNAPSHOT"];
    let mut done: Vec<Completion> = truth
        .completions()
        .filter(|job| job.leaf && job.end_ms > since && protecting.contains(&job.job_type))
        .collect();
    done.sort_by_key(|job| (job.end_ms, job.job_id));
    let mut results: BTreeMap<(&str, String, &str), ClassResult> = BTreeMap::new();
    for job in &done {
        let class = match job.schedule_type {
            "FULL_BACKUP" => "full",
            "DIFFERENTIAL_INCREMENTAL_BACKUP" | "CUMULATIVE_INCREMENTAL_BACKUP" => "incremental",
            "TRANSACTION_LOG_BACKUP" | "ARCHIVE_REDO_LOG_BACKUP" => "log",
            "USER_BACKUP" | "APPLICATION_BACKUP" => "application",
            "UNRECOGNIZED_VALUE" => continue,
            "VAULT_CATALOG_BACKUP" => "other",
            unknown => panic!("a class for {unknown}"),
        };
        let good = matches!(job.status, 0 | 1);
        if good && job.backup_id.is_empty() {
            continue;
        }
        let failed = !good && job.status != 150 && job.cause != Some(Cause::NothingToDo);
        for (kind, name) in [("policy", &job.policy), ("workload", &job.workload)] {
            if name.is_empty() {
                continue;
            }
            let result = results.entry((kind, name.to_string(), class)).or_default();
            if good {
                *result = (Some(job.end_ms), Vec::new());
            } else if failed {
                result.1.push(job.end_ms);
            }
        }
    }
    let mut all = BTreeMap::new();
    for ((kind, name, class), (restorable, failures)) in results {
        let labels = [("site", site), (kind, name.as_str()), ("schedule_class", class)];
        if let Some(end) = restorable {
            let name = format!("nbu_{kind}_last_restorable_backup_timestamp_seconds");
            all.insert(key(&name, &labels), end as f64 / 1000.0);
        }
        let failing = failures.last().unwrap_or(&0) - failures.first().unwrap_or(&0);
        let name = format!("nbu_{kind}_failing_seconds");
        all.insert(key(&name, &labels), failing as f64 / 1000.0);
    }
    all
}

/// A family, and what else failures have in common: their number and that of each status.
type Common = BTreeMap<(&'static str, &'static str, String), BTreeMap<i64, usize>>;

/// Clusters of the failures of the last hour, of which the policies are selected and the clients are not.
pub fn clusters(truth: &Truth, site: &str) -> BTreeMap<Series, f64> {
    let now = truth.server_time();
    let failures: Vec<(Completion, &str)> = truth
        .completions()
        .filter(|done| done.leaf && now - HOUR < done.end_ms && done.end_ms <= now)
        .filter_map(|done| Some((done.cause.and_then(family)?, done)))
        .map(|(family, done)| (done, family))
        .collect();
    let mut common = Common::new();
    for (done, family) in &failures {
        let values = [
            ("family", (*family).to_owned()),
            ("storage_unit", done.storage_unit.to_string()),
            ("media_server", done.media_server.to_string()),
            ("policy", done.policy.to_string()),
            ("client", done.client.to_string()),
        ];
        for (dimension, value) in values {
            let statuses = common.entry((dimension, family, value)).or_default();
            *statuses.entry(done.status).or_default() += 1;
        }
    }
    let mut all = BTreeMap::new();
    for ((dimension, family, value), statuses) in common {
        let jobs: usize = statuses.values().sum();
        if failures.len() < 10 || jobs * 10 <= failures.len() * 6 || value.is_empty() {
            continue;
        }
        let most = statuses.iter().rev().max_by_key(|(_, count)| **count).map(|(status, _)| status);
        let value = if dimension == "client" { "(not selected)" } else { value.as_str() };
        let status = most.map_or(String::new(), i64::to_string);
        let labels = [
            ("site", site),
            ("dimension", dimension),
            ("value", value),
            ("family", family),
            ("status", status.as_str()),
        ];
        all.insert(key("nbu_failure_cluster", &labels), jobs as f64);
    }
    all
}

/// The last catalogue backup of those that ended since `since`, the server's time.
pub fn catalogue(truth: &Truth, site: &str, since: i64) -> BTreeMap<Series, f64> {
    let roots = truth.completions().filter(|job| {
        let is_catalogue = job.policy_type == "NBU_CATALOG" && job.parent == 0;
        is_catalogue && job.end_ms > since && matches!(job.job_type, "BACKUP" | "DBBACKUP")
    });
    let mut roots: Vec<Completion> = roots.collect();
    roots.sort_by_key(|job| (job.end_ms, job.job_id));
    let mut all = BTreeMap::new();
    let mut put = |name: &str, value: f64| {
        all.insert(key(&format!("nbu_catalog_backup_{name}"), &[("site", site)]), value);
    };
    if let Some(last) = roots.last() {
        put("last_status", last.status as f64);
    }
    if let Some(good) = roots.iter().rev().find(|job| job.status == 0) {
        put("last_success_timestamp_seconds", good.end_ms as f64 / 1000.0);
        put("last_duration_seconds", (good.end_ms - good.start_ms) as f64 / 1000.0);
        put("last_bytes", good.kilobytes as f64 * 1024.0);
    }
    all
}

/// Status codes other than 0 with which jobs ended.
pub fn statuses(ended: &[JobView]) -> BTreeSet<i64> {
    ended.iter().map(|job| job.status).filter(|status| *status != 0).collect()
}
