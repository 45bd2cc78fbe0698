//! Recording rules for the expressions that dashboards and alerts share.

use super::rule::{Recorded, m};
use super::slp::{COPYING, RESTS};
use crate::declared::{POOL, SITE, UNIT};
use crate::query::Query;

/// Outcomes that are a backup that can be restored from.
pub(super) const GOOD: &str = "success|partial";

/// Types of jobs that protect data.
pub(super) const PROTECTING: &str = "BACKUP|ARCHIVE|SNAPDUPE|DBBACKUP|SNAPSHOT";

/// The family of jobs that missed their window or met a limit: nothing failed, and they have an alert of their own.
pub(super) const MISSED: &str = "window_or_limit";

/// Types of jobs that make copies under an SLP, and names that nbu_exporter's dashboards want for them.
const COPY_JOBS: &str = "DUPLICATE|DUPLICATION|REPLICATE|REPLICATION";

/// All recording rules, in the order in which they are evaluated.
pub static RECORDED: &[Recorded] = &[
    Recorded {
        name: "site:nbu_backups_failed:increase6h",
        help: "Backups of a site without child jobs that failed in the last six hours; those that missed their window are none.",
        query: failed,
    },
    Recorded {
        name: "site:nbu_backups_good:increase6h",
        help: "Backups of a site without child jobs that ended in the last six hours with status 0 or 1.",
        query: || {
            let good = m("nbu_jobs_completed_total").is("role", "leaf").like("action", PROTECTING);
            let good = good.like("outcome", GOOD).increase("6h").sum(&SITE);
            // A site of which nothing ever succeeded has no such series.
            good.or(&SITE, m("site:nbu_backups_failed:increase6h").now().times(0))
        },
    },
    Recorded {
        name: "site:nbu_backups_completed:increase6h",
        help: "Both of them. What was cancelled, or had nothing to do, is not among them.",
        query: || {
            let good = m("site:nbu_backups_good:increase6h").now();
            good.with("+", m("site:nbu_backups_failed:increase6h").now())
        },
    },
    Recorded {
        name: "site:nbu_backup_success:ratio6h",
        help: "Share of the backups of the last six hours that ended with status 0 or 1. Absent if none ended.",
        query: || {
            let some = m("site:nbu_backups_completed:increase6h").now().compared(">", 0);
            m("site:nbu_backups_good:increase6h").now().with("/", some)
        },
    },
    Recorded {
        name: "site:nbu_backup_success:ratio6h_behind",
        help: "Difference between the median success rate of all sites and that of the site.",
        query: || {
            let ratio = || m("site:nbu_backup_success:ratio6h").now();
            let median = ratio().median(&["job"]);
            ratio().with_each("-", &["job"], median).negated()
        },
    },
    Recorded {
        name: "site:nbu_job_queue_wait_seconds:p95_2h",
        help: "95th percentile of the wait in the queue of the jobs that ended in the last two hours, by job type.",
        query: || {
            let waits = m("nbu_job_queue_wait_seconds_bucket").rate("2h");
            waits.sum(&["job", "site", "action", "le"]).quantile(0.95)
        },
    },
    Recorded {
        name: "storage:nbu_storage_unit_jobs:ratio",
        help: "Active jobs of a storage unit, as a share of its maximum.",
        query: || {
            let unit = ["job", "site", "name"];
            let most = m("nbu_storage_max_concurrent_jobs").now().max(&unit);
            let active = m("nbu_storage_unit_active_jobs").now().max(&unit);
            active.with("/", most.compared(">", 0))
        },
    },
    Recorded {
        name: "pool:nbu_disk_pool_used:ratio",
        help: "Used share of a disk pool's capacity. At its high water mark it is full.",
        query: || {
            let used = m("nbu_disk_pool_used_bytes").now().max(&POOL);
            used.with("/", m("nbu_disk_pool_capacity_bytes").now().max(&POOL).compared(">", 0))
        },
    },
    Recorded {
        name: "storage:nbu_disk_used:ratio",
        help: "Used share of a storage unit's capacity.",
        query: || {
            let used = m("nbu_disk_bytes").is("size", "used").now().max(&UNIT);
            used.with("/", capacity().compared(">", 0))
        },
    },
    Recorded {
        name: "storage:nbu_disk_full:days",
        help: "Days until a storage unit is full, by the trend of 14 days; 3650 if it does not fill. Absent before three days of data.",
        query: || {
            let free = m("nbu_disk_bytes").is("size", "free").now().max(&UNIT);
            let course = m("nbu_disk_bytes").is("size", "free").over("deriv", "14d").max(&UNIT);
            // Backups fill at night and clean-up frees by day: a slope of a day tells the hour.
            let course = course.and(&UNIT, known_for_days());
            // A byte a second is no filling.
            free.with("/", course.negated().at_least(1)).divided_by(86_400).at_most(3650)
        },
    },
    Recorded {
        name: "site:nbu_slp_backlog_drain_seconds:rate6h",
        help: "Time that duplications and replications need for what waits, at their rate of the last six hours; at most 30 days. What is suspended does not count.",
        query: || {
            let waits = m("nbu_slp_backlog_bytes").like("operation", COPYING);
            let waits = waits.unlike("state", RESTS).now().sum(&SITE);
            let jobs = m("nbu_jobs_transferred_bytes_total").like("action", COPY_JOBS);
            waits.with("/", jobs.rate("6h").sum(&SITE).at_least(1)).at_most(30 * 86_400)
        },
    },
    Recorded {
        name: "site:nbu_agent_api_request_duration_seconds:p95_10m",
        help: "95th percentile of the duration of requests to the site's API.",
        query: || {
            let buckets = m("nbu_agent_api_request_duration_seconds_bucket").rate("10m");
            buckets.sum(&["job", "site", "le"]).quantile(0.95)
        },
    },
];

/// Returns the failures that have been counted from zero: the series of a status in `nbu_jobs_completed_total` begins
/// with its first failures.
fn failed() -> Query {
    let failed = m("nbu_jobs_failures_total").like("action", PROTECTING);
    failed.is_not("family", MISSED).increase("6h").sum(&SITE)
}

/// Returns the storage units whose free space was known three days ago.
pub(super) fn known_for_days() -> Query {
    m("nbu_disk_bytes").is("size", "free").before("3d").now()
}

pub(super) fn capacity() -> Query {
    m("nbu_disk_capacity_bytes").now().max(&UNIT)
}
