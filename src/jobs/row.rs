//! Values of a row of the job list, as all of the ledger reads them, and the labels that they become.

use std::collections::BTreeMap;

use crate::metric::{Metric, UNKNOWN};
use crate::netbackup::wire::jobs::JobRow;

/// States of a job (docs/netbackup-api.md#jobs-states). A closed set: each is exported, zero or not.
pub(super) const STATES: [&str; 6] =
    ["QUEUED", "ACTIVE", "REQUEUED", "DONE", "SUSPENDED", "INCOMPLETE"];

pub(super) const DONE: &str = "DONE";

pub(super) const BACKUP: &str = "BACKUP";

/// Fed by the window (DONE) and by the live jobs (the other states).
pub(super) static JOBS_STATE_COUNT: Metric<2> = Metric::gauge(
    "nbu.jobs.state.count",
    "{job}",
    &["action", "state"],
    "Jobs by state: DONE counts jobs that ended in the window, all other states count current jobs.",
);

/// Names of job types in the label `action`: `collectors.jobs.actionNames`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actions(pub(crate) BTreeMap<String, String>);

impl Actions {
    pub(super) fn of<'a>(&'a self, job_type: &'a str) -> &'a str {
        self.0.get(job_type).map_or(job_type, String::as_str)
    }
}

/// Returns a name, or `UNKNOWN` for an empty or missing one.
pub(super) fn name_or_unknown(name: Option<&str>) -> &str {
    name.filter(|name| !name.is_empty()).unwrap_or(UNKNOWN)
}

pub(super) fn status_label(status: Option<i64>) -> String {
    status.map_or_else(|| UNKNOWN.to_owned(), |code| code.to_string())
}

pub(super) fn tries(row: &JobRow<'_>) -> u16 {
    let tries = row.try_count.unwrap_or(1).clamp(1, i64::from(u16::MAX));
    u16::try_from(tries).unwrap_or(u16::MAX)
}

/// Returns whether a job has no children. Bytes and files of a parent may repeat its children's
/// (docs/netbackup-api.md#jobs-parents).
pub(super) fn is_leaf(row: &JobRow<'_>) -> bool {
    row.child_count.unwrap_or(0) <= 0
}
