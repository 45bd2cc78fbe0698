//! Values of a row of the job list, as all of the ledger reads them, and the labels that they become.

use std::collections::BTreeMap;

use crate::metric::{Metric, UNKNOWN};
use crate::netbackup::wire::Text;
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
    row.child_count.unwrap_or(0) <= 0 && row.current_operation != Some(PARENT_JOB)
}

/// Types of jobs that write an image from its source, whose kilobytes are its front-end size.
const WRITING: [&str; 3] = ["BACKUP", "ARCHIVE", "DBBACKUP"];

/// Returns the backup id and the kilobytes of the image that a finished job wrote; `None` where it wrote none, and
/// where the row does not tell.
pub(crate) fn written_image<'r>(row: &'r JobRow<'_>) -> Option<(&'r str, u64)> {
    let writes = text(&row.state) == "DONE"
        && matches!(row.status, Some(0 | 1))
        && is_leaf(row)
        && WRITING.contains(&text(&row.job_type));
    let backup_id = Some(text(&row.backup_id)).filter(|id| writes && !id.is_empty())?;
    let kilobytes = row.kilobytes_transferred.and_then(|count| u64::try_from(count).ok());
    Some((backup_id, kilobytes.filter(|count| *count > 0)?))
}

/// The operation of a parent, which it tells while the number of its children lags.
const PARENT_JOB: i64 = 27;

/// Returns a text, empty if the row has none.
pub(super) fn text<'t>(text: &'t Text<'_>) -> &'t str {
    text.as_deref().unwrap_or_default()
}

/// Returns the machine or the like that a job protects: the display name that a virtual machine has, else the
/// client, which for a virtual machine is the host that backs it up.
pub(super) fn workload<'r>(row: &'r JobRow<'_>) -> &'r str {
    Some(text(&row.workload_display_name))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| text(&row.client_name))
}

/// Returns whether a job made something that can be restored, as far as the row tells: a job with an empty backup
/// id made nothing.
pub(super) fn has_image(row: &JobRow<'_>) -> bool {
    row.backup_id.as_deref() != Some("")
}
