//! Jobs of one site: finished and live ones, each completion counted once, as the samples of the
//! `nbu_jobs_*` metrics (docs/adr/0010-job-ledger.md). Pure: rows in, samples out; the collector
//! fetches.
//!
//! [`Ledger`] applies rows to the parts that it consists of: `progress` (what was read), `finished` and
//! `unfinished` jobs, the `window` of the gauges, the `totals`, the `details`, and the `last_results` of clients,
//! policies and workloads. `format` is how they are saved.

pub(crate) mod audit;
mod backfill_plan;
mod client_sums;
mod completion;
mod details;
mod dictionary;
mod finished;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod groups;
mod interner;
mod last_results;
mod ledger;
mod live;
mod progress;
mod row;
mod schedule;
mod time;
mod totals;
mod type_counts;
mod unfinished;
mod unsaved;
mod window;
mod window_sums;

use crate::metric::Definition;

pub(crate) use format::RestoreError;
pub use last_results::{LookupAnswer, LookupQuery, NameFilter, NameFilterConfig, Subject};
pub use ledger::Ledger;
pub(crate) use ledger::Summary;
pub use live::Live;
pub use progress::ChangeField;
pub use row::Actions;
pub(crate) use row::written_image;
pub use time::Span;

/// Returns the metrics of jobs.
pub(crate) fn definitions() -> Vec<&'static Definition> {
    let mut all = vec![row::JOBS_STATE_COUNT.definition()];
    all.extend(ledger::definitions());
    all.extend(client_sums::definitions());
    all.extend(window_sums::definitions());
    all.extend(live::definitions());
    all.extend(totals::definitions());
    all.extend(details::definitions());
    all.extend(last_results::definitions());
    all.extend(audit::definitions());
    all
}
