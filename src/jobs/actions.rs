//! Names of job types in labels.

use std::collections::BTreeMap;

/// The action that every site has, so that its zeros are exported before the first job.
pub(super) const BACKUP: &str = "BACKUP";

/// Names of job types in the label `action`: `collectors.jobs.actionNames`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actions(BTreeMap<String, String>);

impl Actions {
    /// Renames job types by this map.
    pub(crate) fn new(names: &BTreeMap<String, String>) -> Self {
        Self(names.clone())
    }

    /// Returns the action of a job type.
    pub(super) fn of<'a>(&'a self, job_type: &'a str) -> &'a str {
        self.0.get(job_type).map_or(job_type, String::as_str)
    }
}
