//! Jobs of one site: which ended and which are live, each completion counted once, folded into the
//! numbers of the `nbu_jobs_*` metrics (docs/adr/0010-job-ledger.md). Pure: rows in, samples out; the
//! collector fetches.
//!
//! [`Ledger`] is the entrance. It holds the `keys` (jobs that ended), the `gauges` of the window, the
//! `totals`, and hands completions on; `cycle` says what is to be asked for. `record` is how all of it
//! goes to disk.

pub mod audit;
mod completion;
mod cycle;
mod effect;
mod finished;
mod format;
mod gauges;
mod interner;
mod label_sets;
mod last_result_tables;
mod last_results;
mod ledger;
mod live;
mod name_filter;
mod outage;
mod persist;
mod restore;
mod samples;
mod summary;
mod totals;
mod unfinished;

use std::collections::BTreeMap;

use crate::metric::{Definition, Metric, UNKNOWN};
use crate::netbackup::wire::jobs::JobRow;

pub use completion::{Completion, Outcome};
pub use cycle::ChangeField;
pub use gauges::Window;
pub use last_results::{Answer, LastResults, NameFilter, Question, Subject, Unreadable};
pub use ledger::{Ledger, Span};
pub use live::Live;
pub use name_filter::NameFilterConfig;
pub use persist::RestoreError;
pub use summary::Summary;

/// States of a job (docs/netbackup-api.md#jobs-states). A closed set: each is exported, zero or not.
pub const STATES: [&str; 6] = ["QUEUED", "ACTIVE", "REQUEUED", "DONE", "SUSPENDED", "INCOMPLETE"];

/// The state of a job that ended.
pub const DONE: &str = "DONE";

/// The action that every site has, so that its zeros are there before the first job is.
const BACKUP: &str = "BACKUP";

static JOBS_STATE_COUNT: Metric<2> = Metric::gauge(
    "nbu.jobs.state.count",
    "{job}",
    &["action", "state"],
    "Jobs by state: DONE counts jobs that ended in the window, all other states count current jobs.",
);

/// Everything that this module declares.
pub fn definitions() -> Vec<&'static Definition> {
    let mut all = vec![JOBS_STATE_COUNT.definition()];
    all.extend(samples::definitions());
    all.extend(audit::definitions());
    all
}

/// The names of job types on the way out: `collectors.jobs.actionNames`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actions(BTreeMap<String, String>);

impl Actions {
    /// Renames by this map.
    pub fn new(names: &BTreeMap<String, String>) -> Self {
        Self(names.clone())
    }

    /// The action of a job type.
    pub fn of<'a>(&'a self, job_type: &'a str) -> &'a str {
        self.0.get(job_type).map_or(job_type, String::as_str)
    }
}

fn name_or_unknown(name: Option<&str>) -> &str {
    name.filter(|name| !name.is_empty()).unwrap_or(UNKNOWN)
}

fn status_label(status: Option<i64>) -> String {
    status.map_or_else(|| UNKNOWN.to_owned(), |code| code.to_string())
}

/// How many tries there were, at least one.
fn tries(row: &JobRow<'_>) -> u16 {
    let tries = row.try_count.unwrap_or(1).clamp(1, i64::from(u16::MAX));
    u16::try_from(tries).unwrap_or(u16::MAX)
}

/// Bytes and files of a parent may repeat its children's (docs/netbackup-api.md#jobs-parents).
fn is_leaf(row: &JobRow<'_>) -> bool {
    row.child_count.unwrap_or(0) <= 0
}
