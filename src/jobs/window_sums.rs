//! Sums over the jobs in a window, kept by adding the jobs that enter it and subtracting those that
//! leave: in integers, so that nothing drifts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::client_sums::ClientSums;
use super::dictionary::LabelResolver;
use super::finished::FinishedJob;
use super::interner::LabelSetId;
use super::row::{self, DONE, JOBS_STATE_COUNT};
use crate::metric::{Definition, Metric, Samples};

static JOBS_BYTES: Metric<3> = Metric::gauge(
    "nbu.jobs",
    "By",
    &["action", "policy_type", "status"],
    "Bytes transferred by jobs that ended in the window (kilobytesTransferred x 1024). A parent job may include the bytes of its children.",
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
    "Files of jobs that ended in the window (numberOfFiles). A parent job may include the files of its children.",
);
static JOBS_DEDUP_RATIO: Metric<2> = Metric::gauge(
    "nbu.jobs.dedup_ratio",
    "",
    &["action", "policy_type"],
    "Mean dedupRatio of the jobs that ended in the window and have one, as reported by the API.",
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

/// Parts of one of a ratio: 2^60, more than a double can tell apart.
const PARTS: f64 = 1_152_921_504_606_846_976.0;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sum {
    jobs: i64,
    kilobytes: i128,
    files: i128,
    /// In [`PARTS`].
    dedup: i128,
    deduped: i64,
}

impl Sum {
    fn add(&mut self, job: &FinishedJob, sign: i64) {
        let wide = i128::from(sign);
        self.jobs += sign;
        self.kilobytes += wide * i128::from(job.kilobytes);
        self.files += wide * i128::from(job.files);
        if job.dedup.is_finite() {
            self.dedup += wide * parts(job.dedup);
            self.deduped += sign;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.jobs += other.jobs;
        self.kilobytes += other.kilobytes;
        self.files += other.files;
        self.dedup += other.dedup;
        self.deduped += other.deduped;
    }

    fn mean_dedup(&self) -> f64 {
        // 0 of 0 is no number, and what is no number is not recorded.
        self.dedup as f64 / PARTS / self.deduped as f64
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a cast saturates, and a billion of them fit")]
fn parts(ratio: f64) -> i128 {
    (ratio.clamp(-1e9, 1e9) * PARTS).round() as i128
}

#[derive(Debug, Default)]
pub(super) struct WindowSums {
    sums: Vec<Sum>,
    /// Jobs by client, if clients are told apart.
    pub(super) clients: Option<ClientSums>,
}

impl WindowSums {
    pub(super) fn new(by_client: bool) -> Self {
        Self { sums: Vec::new(), clients: by_client.then(ClientSums::default) }
    }

    /// Adds a job (1), or subtracts one that was added before (-1).
    pub(super) fn change(&mut self, job: &FinishedJob, sign: i64) {
        self.sum(job.label_set).add(job, sign);
        if let Some(clients) = &mut self.clients {
            clients.change(job.client, job.label_set, sign);
        }
    }

    fn sum(&mut self, label_set: LabelSetId) -> &mut Sum {
        let place = label_set.0 as usize;
        if self.sums.len() <= place {
            self.sums.resize(place + 1, Sum::default());
        }
        &mut self.sums[place]
    }

    fn present(&self) -> impl Iterator<Item = (LabelSetId, &Sum)> {
        (0..).map(LabelSetId).zip(&self.sums).filter(|(_, sum)| sum.jobs > 0)
    }

    pub(super) fn actions(&self, resolver: LabelResolver<'_>) -> BTreeSet<String> {
        let labels = self.present().filter_map(|(label_set, _)| resolver.labels(label_set));
        labels.map(|(action, ..)| action.to_owned()).collect()
    }

    /// Returns the samples, with an explicit zero of jobs in DONE for the `known` actions.
    pub(super) fn samples(&self, resolver: LabelResolver<'_>, known: &BTreeSet<String>) -> Samples {
        let mut samples = Samples::new();
        let mut full: BTreeMap<(&str, &str, Option<i64>), Sum> = BTreeMap::new();
        let mut by_type: BTreeMap<(&str, &str), Sum> = BTreeMap::new();
        let mut by_status: BTreeMap<(&str, Option<i64>), i64> = BTreeMap::new();
        let mut by_action: HashMap<&str, i64> =
            known.iter().map(|action| (action.as_str(), 0)).collect();
        for (label_set, sum) in self.present() {
            let Some((action, policy_type, status)) = resolver.labels(label_set) else { continue };
            full.entry((action, policy_type, status)).or_default().merge(sum);
            by_type.entry((action, policy_type)).or_default().merge(sum);
            *by_status.entry((action, status)).or_default() += sum.jobs;
            *by_action.entry(action).or_default() += sum.jobs;
        }
        for ((action, policy_type, status), sum) in full {
            let labels = [action, policy_type, &row::status_label(status)];
            samples.record(&JOBS_COUNT, labels, sum.jobs as f64);
            samples.record(&JOBS_BYTES, labels, sum.kilobytes as f64 * 1024.0);
        }
        for ((action, policy_type), sum) in by_type {
            samples.record(&JOBS_FILES_COUNT, [action, policy_type], sum.files as f64);
            samples.record(&JOBS_DEDUP_RATIO, [action, policy_type], sum.mean_dedup());
        }
        for ((action, status), jobs) in by_status {
            samples.record(&STATUS_COUNT, [action, &row::status_label(status)], jobs as f64);
        }
        for (action, jobs) in by_action {
            samples.record(&JOBS_STATE_COUNT, [action, DONE], jobs as f64);
        }
        samples
    }
}
