//! Jobs that have not ended: how many are in which state, and why those that queue do.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::names::{Name, Names};
use super::{BACKUP, DONE, JOBS_STATE_COUNT, STATES, UNKNOWN, action};
use crate::metric::{Definition, Metric, Samples};
use crate::netbackup::wire::jobs::JobRow;

static JOBS_QUEUED_COUNT: Metric<2> = Metric::gauge(
    "nbu.jobs.queued.count",
    "{job}",
    &["action", "reason"],
    "Jobs in QUEUED by jobQueueReason (its number; 0 is no reason given, explicit where none queues).",
);

/// Queue reason of a job that names none.
const NO_REASON: i64 = 0;

pub(super) fn definitions() -> [&'static Definition; 1] {
    [JOBS_QUEUED_COUNT.definition()]
}

/// The live jobs of one sweep. A job is counted once, in the state in which it was met last.
#[derive(Debug)]
pub struct Live<'n> {
    action_names: &'n BTreeMap<String, String>,
    names: Names,
    jobs: HashMap<i64, (Name, Name, i64)>,
}

impl<'n> Live<'n> {
    /// Nothing folded yet.
    pub fn new(action_names: &'n BTreeMap<String, String>) -> Self {
        Self { action_names, names: Names::default(), jobs: HashMap::new() }
    }

    /// Folds one row; a job that ended since is passed over.
    pub fn add(&mut self, row: &JobRow<'_>) {
        let state = row.state.as_deref().filter(|state| !state.is_empty()).unwrap_or(UNKNOWN);
        if state == DONE {
            self.jobs.remove(&row.job_id);
            return;
        }
        let action = self.names.intern(action(self.action_names, row.job_type.as_deref()));
        let state = self.names.intern(state);
        let reason = row.job_queue_reason.unwrap_or(NO_REASON);
        self.jobs.insert(row.job_id, (action, state, reason));
    }

    /// Whether no job is live.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The actions that were seen.
    pub fn actions(&self) -> impl Iterator<Item = &str> {
        self.jobs.values().map(|(action, ..)| self.names.get(*action))
    }

    /// The sweep's numbers, with explicit zeros for each of `actions`.
    pub fn samples(&self, actions: &BTreeSet<String>) -> Samples {
        let mut states: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let mut queued: BTreeMap<(&str, i64), u64> = BTreeMap::new();
        for action in actions.iter().map(String::as_str).chain([BACKUP]) {
            for state in STATES.into_iter().filter(|state| *state != DONE) {
                states.insert((action, state), 0);
            }
            queued.insert((action, NO_REASON), 0);
        }
        for (action, state, reason) in self.jobs.values() {
            let (action, state) = (self.names.get(*action), self.names.get(*state));
            *states.entry((action, state)).or_default() += 1;
            if state == "QUEUED" {
                *queued.entry((action, *reason)).or_default() += 1;
            }
        }
        let mut samples = Samples::new();
        for ((action, state), count) in states {
            samples.record(&JOBS_STATE_COUNT, [action, state], count as f64);
        }
        for ((action, reason), count) in queued {
            samples.record(&JOBS_QUEUED_COUNT, [action, &reason.to_string()], count as f64);
        }
        samples
    }
}
