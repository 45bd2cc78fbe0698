//! The health of a collector: the state after its last run, and its counts.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::worker::{Failure, RunReport};
use crate::collectors::Row;
use crate::netbackup::ErrorKind;
use crate::snapshot::CollectorState;

#[derive(Debug, Default)]
pub(super) struct Health {
    /// `Pending`, `Up`, `Failing` or `LeftOut`.
    pub(super) state: CollectorState,
    /// The last run got 401, and that was not put down to the key yet.
    pub(super) unauthorized: bool,
    pub(super) last_success: Option<SystemTime>,
    /// Of the last run.
    pub(super) duration: Option<Duration>,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    pub(super) errors: BTreeMap<&'static str, u64>,
    pub(super) duplicates: usize,
    pub(super) permitted: Option<bool>,
}

impl Health {
    /// Counts a run, and logs a change of the state.
    pub(super) fn note(
        &mut self,
        site: &str,
        collector: &str,
        report: &RunReport,
        problems: &[Failure],
        series: usize,
    ) {
        self.duration = Some(report.took);
        self.unauthorized = is_unauthorized(problems);
        if !problems.is_empty() {
            self.note_failure(site, collector, problems);
            return;
        }
        self.succeeded += 1;
        self.last_success = Some(SystemTime::now());
        let ms = report.took.as_millis();
        match std::mem::replace(&mut self.state, CollectorState::Up) {
            CollectorState::Up => tracing::debug!(site, collector, series, ms, "collected"),
            CollectorState::Failing(_) => {
                tracing::info!(site, collector, series, ms, "collector recovered");
            }
            _ => tracing::info!(site, collector, series, ms, "first collection complete"),
        }
    }

    /// Counts nothing, and says once that a collector which nobody asked for is not permitted.
    pub(super) fn leave_out(&mut self, site: &str, row: &Row, problems: &[Failure]) {
        self.unauthorized = is_unauthorized(problems);
        self.permitted = Some(false);
        if self.state != CollectorState::LeftOut {
            self.state = CollectorState::LeftOut;
            tracing::info!(
                site,
                collector = row.name,
                permission = row.resource.permission.map(tracing::field::display),
                "the role of the API key may not read this; leaving it out: give the role the permission, or \
                 set collectors.{}.enabled to false",
                row.switch.unwrap_or_default()
            );
        }
    }

    fn note_failure(&mut self, site: &str, collector: &str, problems: &[Failure]) {
        self.failed += 1;
        if problems.iter().any(Failure::is_permission) {
            self.permitted = Some(false);
        }
        for problem in problems {
            *self.errors.entry(problem.kind()).or_default() += 1;
            if self.up() == Some(false) {
                tracing::debug!(site, collector, kind = problem.kind(), error = %problem, "collector still failing");
            } else {
                tracing::warn!(site, collector, kind = problem.kind(), error = %problem, "collector failed; exporting its last samples until they are stale");
            }
        }
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        self.state = CollectorState::Failing(texts.join("; "));
    }

    /// Forgets everything but the counts.
    pub(super) fn reset(&mut self) {
        self.state = CollectorState::Pending;
        self.unauthorized = false;
        self.last_success = None;
    }

    /// Returns whether the last run succeeded; `None` before the first one.
    pub(super) fn up(&self) -> Option<bool> {
        match self.state {
            CollectorState::Up => Some(true),
            CollectorState::Failing(_) => Some(false),
            CollectorState::Pending | CollectorState::Unsupported | CollectorState::LeftOut => None,
        }
    }
}

fn is_unauthorized(problems: &[Failure]) -> bool {
    problems.iter().any(
        |problem| matches!(problem, Failure::Api(error) if error.kind() == ErrorKind::Unauthorized),
    )
}
