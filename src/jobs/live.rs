//! Jobs that have not ended: how many are in which state and why those that queue do, how old they
//! are, and how far those that run have come.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::row::{self, Actions, DONE, JOBS_STATE_COUNT, STATES};
use super::time::ms;
use crate::metric::{Definition, Metric, Samples};
use crate::netbackup::wire::jobs::JobRow;

static JOBS_QUEUED_COUNT: Metric<2> = Metric::gauge(
    "nbu.jobs.queued.count",
    "{job}",
    &["action", "reason"],
    "Jobs in state QUEUED by jobQueueReason (a number; 0 is no reason given, and is exported even if no job is queued).",
);
static OLDEST_QUEUED: Metric<1> = Metric::gauge(
    "nbu.jobs.oldest_queued.age",
    "s",
    &["action"],
    "Age of the oldest QUEUED job, from its startTime by the server's clock; absent if no job is queued.",
);
static OLDEST_ACTIVE: Metric<1> = Metric::gauge(
    "nbu.jobs.oldest_active.age",
    "s",
    &["action"],
    "Age of the oldest ACTIVE job, from its startTime by the server's clock; absent if no job is active.",
);
static LONG_RUNNING: Metric<1> = Metric::gauge(
    "nbu.jobs.long_running",
    "{job}",
    &["action"],
    "ACTIVE jobs that started longer ago than collectors.jobs.longRunningAfter.",
);
static ACTIVE_BYTES: Metric<1> = Metric::gauge(
    "nbu.jobs.active",
    "By",
    &["action"],
    "Bytes transferred so far by ACTIVE jobs without children (kilobytesTransferred x 1024).",
);
static ACTIVE_PERCENT: Metric<1> = Metric::gauge(
    "nbu.jobs.active.percent_complete",
    "",
    &["action"],
    "Mean percentComplete of the ACTIVE jobs for which the API reports it, 0 to 100.",
);

/// Queue reason of a job that names none.
const NO_REASON: i64 = 0;

pub(super) const QUEUED: &str = "QUEUED";
pub(super) const ACTIVE: &str = "ACTIVE";

pub(super) fn definitions() -> [&'static Definition; 6] {
    [
        JOBS_QUEUED_COUNT.definition(),
        OLDEST_QUEUED.definition(),
        OLDEST_ACTIVE.definition(),
        LONG_RUNNING.definition(),
        ACTIVE_BYTES.definition(),
        ACTIVE_PERCENT.definition(),
    ]
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct LiveJob {
    pub(super) job_type: Box<str>,
    pub(super) state: Box<str>,
    pub(super) reason: i64,
    pub(super) tries: u16,
    pub(super) start: Option<i64>,
    /// The start of the try, Unix ms.
    pub(super) active_start: Option<i64>,
    kilobytes: i64,
    pub(super) leaf: bool,
    percent: Option<i64>,
    /// Empty if it writes nowhere.
    pub(super) storage_unit: Box<str>,
    pub(super) media_server: Box<str>,
    /// A hash of what tells progress.
    pub(super) print: u64,
}

/// The live jobs of one cycle. A job is counted once, in the state in which it was listed last.
#[derive(Debug, Default)]
pub struct Live {
    pub(super) jobs: HashMap<i64, LiveJob>,
}

impl Live {
    /// Adds a row; one of a job that ended since is skipped.
    pub fn add(&mut self, listed: &JobRow<'_>) {
        let state = row::name_or_unknown(listed.state.as_deref());
        if state == DONE {
            self.jobs.remove(&listed.job_id);
            return;
        }
        let job = LiveJob {
            job_type: row::name_or_unknown(listed.job_type.as_deref()).into(),
            state: state.into(),
            reason: listed.job_queue_reason.unwrap_or(NO_REASON),
            tries: row::tries(listed),
            start: listed.start_time,
            active_start: listed.active_try_start_time.filter(|start| *start > 0),
            kilobytes: listed.kilobytes_transferred.unwrap_or(0).max(0),
            leaf: row::is_leaf(listed),
            percent: listed.percent_complete.filter(|percent| (0..=100).contains(percent)),
            storage_unit: row::text(&listed.destination_storage_unit_name).into(),
            media_server: row::text(&listed.destination_media_server_name).into(),
            print: print(listed),
        };
        self.jobs.insert(listed.job_id, job);
    }

    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Returns the samples at `now` (the server's, Unix ms), with explicit zeros for the `known` actions.
    pub(super) fn samples(
        &self,
        actions: &Actions,
        known: &BTreeSet<String>,
        now: i64,
        long_running_after: Duration,
    ) -> Samples {
        let mut states: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let mut queued: BTreeMap<(&str, i64), u64> = BTreeMap::new();
        let mut works: BTreeMap<&str, Work> = BTreeMap::new();
        for action in known.iter().map(String::as_str) {
            for state in STATES.into_iter().filter(|state| *state != DONE) {
                states.insert((action, state), 0);
            }
            queued.insert((action, NO_REASON), 0);
            works.insert(action, Work::default());
        }
        let long = ms(long_running_after);
        for job in self.jobs.values() {
            let action = actions.of(&job.job_type);
            *states.entry((action, &job.state)).or_default() += 1;
            if &*job.state == QUEUED {
                *queued.entry((action, job.reason)).or_default() += 1;
            }
            works.entry(action).or_default().add(job, now, long);
        }
        let mut samples = Samples::new();
        for ((action, state), count) in states {
            samples.record(&JOBS_STATE_COUNT, [action, state], count as f64);
        }
        for ((action, reason), count) in queued {
            samples.record(&JOBS_QUEUED_COUNT, [action, &reason.to_string()], count as f64);
        }
        for (action, work) in works {
            work.record(action, &mut samples);
        }
        samples
    }
}

/// Returns a hash of what changes in the row of a job that gets on.
fn print(row: &JobRow<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (row.kilobytes_transferred, row.number_of_files, row.current_operation, row.try_count)
        .hash(&mut hasher);
    hasher.finish()
}

/// Sums over the live jobs of one action.
#[derive(Debug, Default)]
struct Work {
    oldest_queued: Option<i64>,
    oldest_active: Option<i64>,
    long_running: u64,
    kilobytes: i64,
    percents: i64,
    percent_sum: i64,
}

impl Work {
    fn add(&mut self, job: &LiveJob, now: i64, long: i64) {
        // A start in the server's future is a clock that was set back.
        let age = job.start.map(|start| (now - start).max(0));
        match &*job.state {
            QUEUED => self.oldest_queued = self.oldest_queued.max(age),
            ACTIVE => {
                self.oldest_active = self.oldest_active.max(age);
                self.long_running += u64::from(age.is_some_and(|age| age > long));
                if job.leaf {
                    self.kilobytes = self.kilobytes.saturating_add(job.kilobytes);
                }
                if let Some(percent) = job.percent {
                    self.percents += 1;
                    self.percent_sum += percent;
                }
            }
            _ => {}
        }
    }

    fn record(&self, action: &str, samples: &mut Samples) {
        // No age, and 0 of 0, are no number, and what is no number is not recorded.
        let seconds = |age: Option<i64>| age.map_or(f64::NAN, |age| age as f64 / 1000.0);
        samples.record(&OLDEST_QUEUED, [action], seconds(self.oldest_queued));
        samples.record(&OLDEST_ACTIVE, [action], seconds(self.oldest_active));
        samples.record(&LONG_RUNNING, [action], self.long_running as f64);
        samples.record(&ACTIVE_BYTES, [action], self.kilobytes as f64 * 1024.0);
        let mean = self.percent_sum as f64 / self.percents as f64;
        samples.record(&ACTIVE_PERCENT, [action], mean);
    }
}
