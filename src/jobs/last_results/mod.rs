//! The last results of each client, policy and workload that is selected: when one succeeded and failed, the
//! result of the last job, the number of failures in a row, and by class of schedule the last backup that can be restored.

mod class_result;
mod format;
mod last_result;
mod lookup;
mod metrics;
mod name_filter;
mod name_results;
mod places;
mod results;
mod subject;
mod tables;
#[cfg(test)]
mod tests;

pub use lookup::{LookupAnswer, LookupQuery};
pub(super) use metrics::definitions;
pub use name_filter::{NameFilter, NameFilterConfig};
pub(super) use results::{AHEAD, LastResults, RecordKey};
pub use subject::Subject;
pub(crate) use tables::LastResultTables;
