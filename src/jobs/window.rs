//! Jobs that ended in the window, folded row by row: memory follows the combinations of labels,
//! not the number of jobs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::names::{Name, Names};
use super::{BACKUP, DONE, JOBS_STATE_COUNT, UNKNOWN, action};
use crate::metric::{Definition, Metric, Samples};
use crate::netbackup::wire::jobs::JobRow;

static JOBS_BYTES: Metric<3> = Metric::gauge(
    "nbu.jobs",
    "By",
    &["action", "policy_type", "status"],
    "Bytes that the jobs that ended in the window transferred (kilobytesTransferred x 1024). A parent may repeat its children's.",
);
static JOBS_COUNT: Metric<3> = Metric::gauge(
    "nbu.jobs.count",
    "{job}",
    &["action", "policy_type", "status"],
    "Jobs that ended in the window.",
);
static STATUS_COUNT: Metric<2> = Metric::gauge(
    "nbu.status.count",
    "{job}",
    &["action", "status"],
    "Jobs that ended in the window, by status code.",
);
static JOBS_FILES_COUNT: Metric<2> = Metric::gauge(
    "nbu.jobs.files.count",
    "{file}",
    &["action", "policy_type"],
    "Files of the jobs that ended in the window (numberOfFiles). A parent may repeat its children's.",
);
static JOBS_DEDUP_RATIO: Metric<2> = Metric::gauge(
    "nbu.jobs.dedup_ratio",
    "",
    &["action", "policy_type"],
    "Mean dedupRatio of the jobs that ended in the window, as the API gives it; jobs without one do not count.",
);

pub(super) fn definitions() -> [&'static Definition; 5] {
    [
        JOBS_BYTES.definition(),
        JOBS_COUNT.definition(),
        STATUS_COUNT.definition(),
        JOBS_FILES_COUNT.definition(),
        JOBS_DEDUP_RATIO.definition(),
    ]
}

/// A span of the server's time, without its beginning and with its end: `(from, to]`, Unix ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The instant before the window.
    pub from: i64,
    /// The last instant of the window: the server's time at the poll.
    pub to: i64,
}

impl Window {
    /// The window of this length that ends at `to`.
    pub fn ending(to: i64, length: Duration) -> Self {
        let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        Self { from: to.saturating_sub(length), to }
    }

    fn holds(self, time: i64) -> bool {
        self.from < time && time <= self.to
    }
}

#[derive(Debug, Default)]
struct Done {
    count: u64,
    kilobytes: i64,
}

#[derive(Debug, Default)]
struct Volume {
    files: i64,
    dedup_sum: f64,
    dedup_count: u64,
}

/// The jobs that ended in a window.
#[derive(Debug)]
pub struct Finished<'n> {
    window: Window,
    action_names: &'n BTreeMap<String, String>,
    names: Names,
    seen: HashSet<(i64, i64, i64)>,
    done: HashMap<(Name, Name, Option<i64>), Done>,
    volumes: HashMap<(Name, Name), Volume>,
}

impl<'n> Finished<'n> {
    /// Nothing folded yet.
    pub fn new(window: Window, action_names: &'n BTreeMap<String, String>) -> Self {
        Self {
            window,
            action_names,
            names: Names::default(),
            seen: HashSet::new(),
            done: HashMap::new(),
            volumes: HashMap::new(),
        }
    }

    /// Folds one row. A row that did not end in the window is passed over, and so is a completion
    /// (job, try, end) that was folded before: pages may overlap while rows move.
    pub fn add(&mut self, row: &JobRow<'_>) {
        let Some(end) = row.end_time.filter(|end| self.window.holds(*end)) else { return };
        if row.state.as_deref() != Some(DONE)
            || !self.seen.insert((row.job_id, row.try_count.unwrap_or(0), end))
        {
            return;
        }
        let action = self.names.intern(action(self.action_names, row.job_type.as_deref()));
        let policy_type = row.policy_type.as_deref().filter(|name| !name.is_empty());
        let policy_type = self.names.intern(policy_type.unwrap_or(UNKNOWN));
        let done = self.done.entry((action, policy_type, row.status)).or_default();
        done.count += 1;
        done.kilobytes = done.kilobytes.saturating_add(row.kilobytes_transferred.unwrap_or(0));
        let volume = self.volumes.entry((action, policy_type)).or_default();
        volume.files = volume.files.saturating_add(row.number_of_files.unwrap_or(0));
        if let Some(ratio) = row.dedup_ratio {
            volume.dedup_sum += ratio;
            volume.dedup_count += 1;
        }
    }

    /// How many jobs were folded.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether no job was folded.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// The actions that were seen.
    pub fn actions(&self) -> impl Iterator<Item = &str> {
        self.volumes.keys().map(|(action, _)| self.names.get(*action))
    }

    /// The window's numbers, with an explicit zero of jobs that are done for each of `actions`.
    pub fn samples(&self, actions: &BTreeSet<String>) -> Samples {
        let mut samples = Samples::new();
        let mut by_status: HashMap<(Name, Option<i64>), u64> = HashMap::new();
        let known = actions.iter().map(String::as_str).chain([BACKUP]);
        let mut by_action: HashMap<&str, u64> = known.map(|action| (action, 0)).collect();
        for ((action, policy_type, status), done) in &self.done {
            *by_status.entry((*action, *status)).or_default() += done.count;
            let (action, policy_type) = (self.names.get(*action), self.names.get(*policy_type));
            *by_action.entry(action).or_default() += done.count;
            let status = status_label(*status);
            let labels = [action, policy_type, &status];
            samples.record(&JOBS_COUNT, labels, done.count as f64);
            samples.record(&JOBS_BYTES, labels, done.kilobytes as f64 * 1024.0);
        }
        for ((action, status), count) in by_status {
            let labels = [self.names.get(action), &status_label(status)];
            samples.record(&STATUS_COUNT, labels, count as f64);
        }
        for (action, count) in by_action {
            samples.record(&JOBS_STATE_COUNT, [action, DONE], count as f64);
        }
        for ((action, policy_type), volume) in &self.volumes {
            let labels = [self.names.get(*action), self.names.get(*policy_type)];
            samples.record(&JOBS_FILES_COUNT, labels, volume.files as f64);
            // 0 of 0 is no number, and what is no number is not recorded.
            let mean = volume.dedup_sum / volume.dedup_count as f64;
            samples.record(&JOBS_DEDUP_RATIO, labels, mean);
        }
        samples
    }
}

fn status_label(status: Option<i64>) -> String {
    status.map_or_else(|| UNKNOWN.to_owned(), |code| code.to_string())
}
