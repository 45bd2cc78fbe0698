//! Recording rules for the expressions that dashboards and alerts share.

use super::rule::{Recorded, m};
use crate::declared::{SITE, UNIT};
use crate::query::Query;

/// Outcomes that are a backup that can be restored from.
pub(super) const GOOD: &str = "success|partial";

/// All but what a person ended.
const COUNTED: &str = "success|partial|failure";

/// All recording rules, in the order in which they are evaluated.
pub static RECORDED: &[Recorded] = &[
    Recorded {
        name: "site:nbu_backups_completed:increase6h",
        help: "Backups of a site that ended in the last six hours, without cancelled ones.",
        query: || completed(COUNTED),
    },
    Recorded {
        name: "site:nbu_backup_success:ratio6h",
        help: "Share of the backups of the last six hours that ended with status 0 or 1. Absent if none ended.",
        query: || {
            let some = m("site:nbu_backups_completed:increase6h").now().compared(">", 0);
            completed(GOOD).with("/", some)
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
        name: "storage:nbu_disk_used:ratio",
        help: "Used share of a storage unit's capacity.",
        query: || {
            let used = m("nbu_disk_bytes").is("size", "used").now().max(&UNIT);
            used.with("/", capacity().compared(">", 0))
        },
    },
    Recorded {
        name: "storage:nbu_disk_full:days",
        help: "Days until a storage unit is full, at the rate of the last day; 3650 if it does not fill.",
        query: || {
            let free = m("nbu_disk_bytes").is("size", "free").now().max(&UNIT);
            let course = m("nbu_disk_bytes").is("size", "free").over("deriv", "1d").max(&UNIT);
            // A byte a second is no filling.
            free.with("/", course.negated().at_least(1)).divided_by(86_400).at_most(3650)
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

fn completed(outcomes: &str) -> Query {
    let backups = m("nbu_jobs_outcomes_total").is("action", "BACKUP").like("outcome", outcomes);
    backups.increase("6h").sum(&SITE)
}

pub(super) fn capacity() -> Query {
    m("nbu_disk_capacity_bytes").now().max(&UNIT)
}
