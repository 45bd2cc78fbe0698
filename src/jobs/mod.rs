//! Jobs of one site: which ended in the window and which are live, folded into the numbers of the
//! `nbu_jobs_*` metrics. Pure: rows in, samples out; the collector fetches.

#[expect(dead_code, reason = "the ledger takes the label `role`, and comes with the next merge")]
mod completion;
mod lasts;
mod live;
mod names;
mod per_name;
mod window;

use crate::metric::{Definition, Metric};

pub use completion::{Completion, Outcome};
pub use lasts::{Lasts, Named, Selection, Unreadable};
pub use live::Live;
pub use per_name::PerName;
pub use window::{Finished, Window};

/// States of a job (contract, section 1.5). A closed set: each is exported, zero or not.
pub const STATES: [&str; 6] = ["QUEUED", "ACTIVE", "REQUEUED", "DONE", "SUSPENDED", "INCOMPLETE"];

/// The state of a job that ended.
pub const DONE: &str = "DONE";

/// What stands for a name that the server left out: an empty label would be no label at all.
const UNKNOWN: &str = "UNKNOWN";

/// The action that every site has, so that its zeros are there before the first job is.
const BACKUP: &str = "BACKUP";

static JOBS_STATE_COUNT: Metric<2> = Metric::gauge(
    "nbu.jobs.state.count",
    "{job}",
    &["action", "state"],
    "Jobs by state: DONE counts those that ended in the window, the others those that are live now.",
);

/// Everything that this module declares.
pub fn definitions() -> Vec<&'static Definition> {
    let mut all = vec![JOBS_STATE_COUNT.definition()];
    all.extend(window::definitions());
    all.extend(live::definitions());
    all.extend(lasts::definitions());
    all
}

/// The action of a job type, renamed where `collectors.jobs.actionNames` says so.
fn action<'a>(
    names: &'a std::collections::BTreeMap<String, String>,
    job_type: Option<&'a str>,
) -> &'a str {
    let job_type = job_type.filter(|name| !name.is_empty()).unwrap_or(UNKNOWN);
    names.get(job_type).map_or(job_type, String::as_str)
}
