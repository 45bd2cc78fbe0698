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
use super::type_counts::{TypeCounts, TypeStatus};
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

/// Label sets of a group of series, about: a label set has two series.
pub(super) const GROUP_SIZE: usize = 32;

/// Label sets of a group of the series of pairs of action and policy type, about: a pair has several label sets.
pub(super) const PAIRS_GROUP_SIZE: usize = 256;

#[derive(Debug)]
pub(super) struct WindowSums {
    sums: Vec<Sum>,
    types: TypeCounts,
    /// Series of job types and statuses.
    statuses: Groups<TypeStatus>,
    /// Series of label sets.
    groups: Groups<LabelSetId>,
    /// Series of pairs of action and policy type.
    pairs: Groups<LabelSetId>,
    /// Jobs by client, if clients are told apart.
    pub(super) clients: Option<ClientSums>,
}

impl WindowSums {
    pub(super) fn new(by_client: bool) -> Self {
        Self {
            sums: Vec::new(),
            types: TypeCounts::default(),
            statuses: Groups::of_size(GROUP_SIZE),
            groups: Groups::of_size(GROUP_SIZE),
            pairs: Groups::of_size(PAIRS_GROUP_SIZE),
            clients: by_client.then(ClientSums::default),
        }
    }

    /// Adds a job (1), or subtracts one that was added before (-1).
    pub(super) fn change(&mut self, job: &FinishedJob, sign: i64) {
        self.sum(job.label_set).add(job, sign);
        self.types.mark(job.label_set);
        self.groups.mark(job.label_set);
        self.pairs.mark(job.label_set);
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
        let Self { sums, types, statuses, .. } = self;
        let jobs = |label_set: LabelSetId| sums.get(label_set.0 as usize).map_or(0, |sum| sum.jobs);
        types.refresh(label_sets, jobs, |key| statuses.mark(key));
    }

    pub(super) fn actions<'l>(&self, resolver: LabelResolver<'l>) -> BTreeSet<&'l str> {
        self.types.by_type().map(|(job_type, _)| resolver.action(job_type)).collect()
    }

    /// Returns the samples by action, with an explicit zero of jobs in DONE for the `known` actions, then the others
    /// in groups, those of groups in which nothing changed as they were.
    pub(super) fn samples(
        &mut self,
        resolver: LabelResolver<'_>,
        known: &BTreeSet<String>,
    ) -> SeriesGroups {
        self.count_types(&resolver.dictionary.label_sets);
        let mut all = vec![Arc::new(self.by_action(resolver, known).finish().0)];
        let Self { sums, types, statuses, groups, pairs, .. } = self;
        let actions = resolver.actions;
        let of_status = |key: &TypeStatus| Some((resolver.action(key.0), key.1));
        all.extend(statuses.refresh(actions, types.keys(), of_status, |keys, samples| {
            record_statuses(keys, types, resolver, samples);
        }));
        let label_sets = || (0..sums.len()).map(LabelSetId::at);
        let labels = |label_set: &LabelSetId| resolver.labels(*label_set);
        all.extend(groups.refresh(actions, label_sets(), labels, |label_sets, samples| {
            record(label_sets, sums, resolver, samples);
        }));
        let pair = |label_set: &LabelSetId| resolver.pair_of(*label_set);
        all.extend(pairs.refresh(actions, label_sets(), pair, |label_sets, samples| {
            record_pairs(label_sets, sums, resolver, samples);
        }));
        all
    }

    fn by_action(&self, resolver: LabelResolver<'_>, known: &BTreeSet<String>) -> Samples {
        let mut by_action: BTreeMap<&str, i64> =
            known.iter().map(|action| (action.as_str(), 0)).collect();
        for (job_type, jobs) in self.types.by_type() {
            *by_action.entry(resolver.action(job_type)).or_default() += jobs;
        }
        let mut samples = Samples::new();
        for (action, jobs) in by_action {
            samples.record(&JOBS_STATE_COUNT, [action, DONE], jobs as f64);
        }
        samples
    }
}

/// Records the series of job types and statuses.
fn record_statuses(
    keys: &BTreeSet<TypeStatus>,
    types: &TypeCounts,
    resolver: LabelResolver<'_>,
    samples: &mut Samples,
) {
    let mut merged: BTreeMap<(&str, Option<i64>), i64> = BTreeMap::new();
    for key @ (job_type, status) in keys {
        *merged.entry((resolver.action(*job_type), *status)).or_default() += types.get(*key);
    }
    for ((action, status), jobs) in merged.into_iter().filter(|(_, jobs)| *jobs > 0) {
        samples.record(&STATUS_COUNT, [action, &row::status_label(status)], jobs as f64);
    }
}

/// Records the series of label sets.
fn record(
    label_sets: &BTreeSet<LabelSetId>,
    sums: &[Sum],
    resolver: LabelResolver<'_>,
    samples: &mut Samples,
) {
    for ((action, policy_type, status), sum) in merged(label_sets, sums, |id| resolver.labels(id)) {
        let labels = [action, policy_type, &row::status_label(status)];
        samples.record(&JOBS_COUNT, labels, sum.jobs as f64);
        samples.record(&JOBS_BYTES, labels, sum.kilobytes as f64 * 1024.0);
    }
}

/// Records the series of the pairs of action and policy type that label sets are of.
fn record_pairs(
    label_sets: &BTreeSet<LabelSetId>,
    sums: &[Sum],
    resolver: LabelResolver<'_>,
    samples: &mut Samples,
) {
    for (pair, sum) in merged(label_sets, sums, |id| resolver.pair_of(id)) {
        samples.record(&JOBS_FILES_COUNT, pair.into(), sum.files as f64);
        samples.record(&JOBS_DEDUP_RATIO, pair.into(), sum.mean_dedup());
    }
}

/// Returns the sums of label sets by their labels, without those that have no job.
fn merged<L: Ord>(
    label_sets: &BTreeSet<LabelSetId>,
    sums: &[Sum],
    labels: impl Fn(LabelSetId) -> Option<L>,
) -> BTreeMap<L, Sum> {
    let mut merged: BTreeMap<L, Sum> = BTreeMap::new();
    for label_set in label_sets {
        let sum = sums.get(label_set.0 as usize).filter(|sum| sum.jobs > 0);
        if let (Some(sum), Some(labels)) = (sum, labels(*label_set)) {
            merged.entry(labels).or_default().merge(sum);
        }
    }
    merged
}
