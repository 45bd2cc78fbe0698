//! Sums over the jobs in a window, kept by adding the jobs that enter it and subtracting those that
//! leave: in integers, so that nothing drifts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::client_sums::ClientSums;
use super::dictionary::LabelResolver;
use super::finished::FinishedJob;
use super::groups::Groups;
use super::interner::{LabelSetId, LabelSets};
use super::row::{self, DONE, JOBS_STATE_COUNT};
use super::type_counts::TypeCounts;
use crate::metric::{Definition, Metric, Samples, SeriesGroups};

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

/// Label sets of a group of series, about: a label set has two series, and shares two.
pub(super) const GROUP_SIZE: usize = 32;

#[derive(Debug)]
pub(super) struct WindowSums {
    sums: Vec<Sum>,
    types: TypeCounts,
    groups: Groups<LabelSetId>,
    /// Jobs by client, if clients are told apart.
    pub(super) clients: Option<ClientSums>,
}

impl WindowSums {
    pub(super) fn new(by_client: bool) -> Self {
        let groups = Groups::of_size(GROUP_SIZE);
        let types = TypeCounts::default();
        Self { sums: Vec::new(), types, groups, clients: by_client.then(ClientSums::default) }
    }

    /// Adds a job (1), or subtracts one that was added before (-1).
    pub(super) fn change(&mut self, job: &FinishedJob, sign: i64) {
        self.sum(job.label_set).add(job, sign);
        self.types.mark(job.label_set);
        self.groups.mark(job.label_set);
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

    /// Counts by type and status the jobs that changed, for [`actions`](Self::actions).
    pub(super) fn count_types(&mut self, label_sets: &LabelSets) {
        let jobs = |label_set: LabelSetId| self.sums.get(label_set.0 as usize);
        self.types.refresh(label_sets, |label_set| jobs(label_set).map_or(0, |sum| sum.jobs));
    }

    pub(super) fn actions<'l>(&self, resolver: LabelResolver<'l>) -> BTreeSet<&'l str> {
        let present = self.types.iter().filter(|(.., jobs)| *jobs > 0);
        let mut job_types: Vec<_> = present.map(|(job_type, ..)| job_type).collect();
        job_types.dedup();
        job_types.into_iter().map(|job_type| resolver.action(job_type)).collect()
    }

    /// Returns the samples by action, with an explicit zero of jobs in DONE for the `known` actions, then those
    /// by action and policy type in groups, those of groups in which nothing changed as they were.
    pub(super) fn samples(
        &mut self,
        resolver: LabelResolver<'_>,
        known: &BTreeSet<String>,
    ) -> SeriesGroups {
        self.count_types(&resolver.dictionary.label_sets);
        let mut all = vec![Arc::new(self.by_action(resolver, known).finish().0)];
        let sums = &self.sums;
        let record = |label_sets: &mut BTreeSet<LabelSetId>, samples: &mut Samples| {
            record(label_sets, sums, resolver, samples);
        };
        let label_sets = (0..sums.len()).map(LabelSetId::at);
        let place = |label_set: &LabelSetId| resolver.pair_of(*label_set);
        all.extend(self.groups.refresh(resolver.actions, label_sets, place, record));
        all
    }

    fn by_action(&self, resolver: LabelResolver<'_>, known: &BTreeSet<String>) -> Samples {
        let mut samples = Samples::new();
        let mut by_status: BTreeMap<(&str, Option<i64>), i64> = BTreeMap::new();
        let mut by_action: BTreeMap<&str, i64> =
            known.iter().map(|action| (action.as_str(), 0)).collect();
        for (job_type, status, jobs) in self.types.iter().filter(|(.., jobs)| *jobs > 0) {
            let action = resolver.action(job_type);
            *by_status.entry((action, status)).or_default() += jobs;
            *by_action.entry(action).or_default() += jobs;
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

/// Records the series of label sets, which are all of some pairs of action and policy type.
fn record(
    label_sets: &BTreeSet<LabelSetId>,
    sums: &[Sum],
    resolver: LabelResolver<'_>,
    samples: &mut Samples,
) {
    let mut full: BTreeMap<(&str, &str, Option<i64>), Sum> = BTreeMap::new();
    let mut by_type: BTreeMap<(&str, &str), Sum> = BTreeMap::new();
    for label_set in label_sets {
        let sum = sums.get(label_set.0 as usize).filter(|sum| sum.jobs > 0);
        let (Some(sum), Some(labels)) = (sum, resolver.labels(*label_set)) else { continue };
        full.entry(labels).or_default().merge(sum);
        by_type.entry((labels.0, labels.1)).or_default().merge(sum);
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
}
