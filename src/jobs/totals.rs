//! Monotonic totals and the histogram of durations: each completion is added once, and nothing is ever
//! taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use super::completion::{Outcome, role};
use super::dictionary::LabelResolver;
use super::finished::FinishedJob;
use super::groups::Groups;
use super::interner::{LabelSetId, TypePair};
use super::row;
use super::time::{from_unix_ms, to_unix_ms};
use super::type_counts::TypeCounts;
use super::window_sums::GROUP_SIZE;
use crate::metric::{Definition, Distribution, Metric, Samples, SeriesGroups};

/// Upper bounds of the histogram, seconds (those of nbu_exporter).
pub(super) const BOUNDS: [f64; 9] =
    [60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0];

static COMPLETED: Metric<5> = Metric::counter(
    "nbu.jobs.completed",
    "{job}",
    &["action", "policy_type", "status", "outcome", "role"],
    "Job completions, each counted once. A resumed job completes again. role: parent has child jobs, leaf has none. Label combinations found in the first window start at 0.",
);
static OUTCOMES: Metric<2> = Metric::counter(
    "nbu.jobs.outcomes",
    "{job}",
    &["action", "outcome"],
    "Job completions by outcome: success (status 0), partial (1), cancelled (150), failure (any other). All four are exported from the start.",
);
static BYTES: Metric<2> = Metric::counter(
    "nbu.jobs.transferred",
    "By",
    &["action", "policy_type"],
    "Bytes transferred by completed jobs without children (kilobytesTransferred x 1024).",
);
static FILES: Metric<2> = Metric::counter(
    "nbu.jobs.files",
    "{file}",
    &["action", "policy_type"],
    "Files of completed jobs without children (numberOfFiles).",
);
static RETRIES: Metric<2> = Metric::counter(
    "nbu.jobs.retries",
    "{retry}",
    &["action", "policy_type"],
    "Retries of completed jobs: attempts after the first one, or after those of the job's previous completion.",
);
static DURATION: Metric<2> = Metric::histogram(
    "nbu.job.duration",
    "s",
    &BOUNDS,
    &["action", "policy_type"],
    "Duration of completed jobs (endTime - startTime), each counted once.",
);

pub(super) fn definitions() -> [&'static Definition; 6] {
    [
        COMPLETED.definition(),
        OUTCOMES.definition(),
        BYTES.definition(),
        FILES.definition(),
        RETRIES.definition(),
        DURATION.definition(),
    ]
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) parents: u64,
    pub(super) leaves: u64,
    pub(super) kilobytes: u64,
    pub(super) files: u64,
    pub(super) retries: u64,
    /// Seen in the first window: its counts begin at an explicit zero.
    pub(super) parent_seen: bool,
    pub(super) leaf_seen: bool,
}

#[derive(Debug)]
pub(super) struct Totals {
    /// The moment at which they began, in whole ms, as it is saved.
    pub(super) origin: SystemTime,
    pub(super) by_label_set: BTreeMap<LabelSetId, Total>,
    pub(super) durations: BTreeMap<TypePair, Distribution>,
    types: TypeCounts,
    groups: Groups<LabelSetId>,
}

impl Totals {
    pub(super) fn new(origin: SystemTime) -> Self {
        let origin = from_unix_ms(to_unix_ms(origin));
        Self {
            origin,
            by_label_set: BTreeMap::new(),
            durations: BTreeMap::new(),
            types: TypeCounts::default(),
            groups: Groups::of_size(GROUP_SIZE),
        }
    }

    fn mark(&mut self, label_set: LabelSetId) {
        self.types.mark(label_set);
        self.groups.mark(label_set);
    }

    /// Exports a label set of the first window at zero. Returns whether it was not exported before.
    pub(super) fn note_seen(&mut self, label_set: LabelSetId, pair: TypePair, leaf: bool) -> bool {
        self.mark(label_set);
        let total = self.by_label_set.entry(label_set).or_default();
        let seen = if leaf { &mut total.leaf_seen } else { &mut total.parent_seen };
        let new = !std::mem::replace(seen, true);
        self.durations.entry(pair).or_insert_with(|| Distribution::new(&BOUNDS));
        new
    }

    /// Counts a completion; `retries` are those since the job's last one. An end after `latest` lies in
    /// the future, and tells no duration.
    pub(super) fn count(&mut self, job: &FinishedJob, pair: TypePair, retries: u64, latest: i64) {
        self.mark(job.label_set);
        let total = self.by_label_set.entry(job.label_set).or_default();
        total.retries += retries;
        if job.leaf {
            total.leaves += 1;
            total.kilobytes = total.kilobytes.saturating_add(positive(job.kilobytes));
            total.files = total.files.saturating_add(positive(job.files));
        } else {
            total.parents += 1;
        }
        let durations = self.durations.entry(pair).or_insert_with(|| Distribution::new(&BOUNDS));
        // Without a start, or with a clock that was set back in between, there is no duration.
        if job.start != 0 && job.end >= job.start && job.end <= latest {
            durations.observe(&BOUNDS, (job.end - job.start) as f64 / 1000.0);
        }
    }

    /// Restores the counts of a label set.
    pub(super) fn restore(&mut self, label_set: LabelSetId, total: Total) {
        self.mark(label_set);
        self.by_label_set.insert(label_set, total);
    }

    /// Restores counts over these bounds; returns whether they fit to each other.
    pub(super) fn restore_durations(
        &mut self,
        pair: TypePair,
        bounds: &[f64],
        durations: Distribution,
    ) -> bool {
        let fits = durations.counts.len() == bounds.len() + 1 && bounds.is_sorted();
        if fits {
            self.durations.insert(pair, rebucket(bounds, durations));
        }
        fits
    }

    /// Returns the outcomes, all of them for each of the `known` actions and each that is counted, then all other
    /// samples in groups, those of groups in which nothing changed as they were.
    pub(super) fn samples(
        &mut self,
        resolver: LabelResolver<'_>,
        known: &BTreeSet<String>,
    ) -> SeriesGroups {
        let Self { by_label_set, durations, types, groups, .. } = self;
        let jobs = |total: &Total| i64::try_from(total.parents + total.leaves).unwrap_or(i64::MAX);
        types.refresh(&resolver.dictionary.label_sets, |label_set| {
            by_label_set.get(&label_set).map_or(0, jobs)
        });
        let mut all = vec![Arc::new(outcomes(types, resolver, known).finish().0)];
        let record = |label_sets: &mut BTreeSet<LabelSetId>, samples: &mut Samples| {
            record(label_sets, (by_label_set, durations), resolver, samples);
        };
        let place = |label_set: &LabelSetId| resolver.pair_of(*label_set);
        all.extend(groups.refresh(resolver.actions, by_label_set.keys().copied(), place, record));
        all
    }
}

/// Returns the outcomes, all of them for each of the `known` actions and each that is counted.
fn outcomes(types: &TypeCounts, resolver: LabelResolver<'_>, known: &BTreeSet<String>) -> Samples {
    let mut outcomes: BTreeMap<&str, [i64; 4]> =
        known.iter().map(|action| (action.as_str(), [0; 4])).collect();
    for (job_type, status, jobs) in types.iter() {
        let (counts, outcome) =
            (outcomes.entry(resolver.action(job_type)).or_default(), Outcome::of(status));
        for (count, _) in counts.iter_mut().zip(Outcome::ALL).filter(|(_, one)| *one == outcome) {
            *count += jobs;
        }
    }
    let mut samples = Samples::new();
    for (action, counts) in outcomes {
        for (outcome, jobs) in Outcome::ALL.into_iter().zip(counts) {
            samples.record(&OUTCOMES, [action, outcome.label()], jobs as f64);
        }
    }
    samples
}

/// Records the series of label sets, which are all of some pairs of action and policy type.
fn record(
    label_sets: &BTreeSet<LabelSetId>,
    (totals, durations): (&BTreeMap<LabelSetId, Total>, &BTreeMap<TypePair, Distribution>),
    resolver: LabelResolver<'_>,
    samples: &mut Samples,
) {
    let mut completed: BTreeMap<(&str, &str, Option<i64>, bool), u64> = BTreeMap::new();
    let mut volumes: BTreeMap<(&str, &str), [u64; 3]> = BTreeMap::new();
    let mut pairs: BTreeSet<TypePair> = BTreeSet::new();
    for label_set in label_sets {
        let labels = totals.get(label_set).zip(resolver.labels(*label_set));
        let Some((total, (action, policy_type, status))) = labels else { continue };
        pairs.extend(resolver.dictionary.pair(*label_set));
        let roles =
            [(false, total.parents, total.parent_seen), (true, total.leaves, total.leaf_seen)];
        for (leaf, jobs, _) in roles.into_iter().filter(|(_, jobs, seen)| *seen || *jobs > 0) {
            *completed.entry((action, policy_type, status, leaf)).or_default() += jobs;
        }
        let volume = volumes.entry((action, policy_type)).or_default();
        volume[0] = volume[0].saturating_add(total.kilobytes);
        volume[1] = volume[1].saturating_add(total.files);
        volume[2] += total.retries;
    }
    for ((action, policy_type, status, leaf), jobs) in completed {
        let status_text = row::status_label(status);
        let role = role(leaf);
        let labels = [action, policy_type, &status_text, Outcome::of(status).label(), role];
        samples.record(&COMPLETED, labels, jobs as f64);
    }
    for ((action, policy_type), [kilobytes, files, retries]) in volumes {
        samples.record(&BYTES, [action, policy_type], kilobytes as f64 * 1024.0);
        samples.record(&FILES, [action, policy_type], files as f64);
        samples.record(&RETRIES, [action, policy_type], retries as f64);
    }
    let mut merged: BTreeMap<(&str, &str), Distribution> = BTreeMap::new();
    for (pair, durations) in pairs.iter().filter_map(|pair| durations.get_key_value(pair)) {
        let sum = merged.entry(resolver.pair(*pair)).or_insert_with(|| Distribution::new(&BOUNDS));
        sum.merge(durations);
    }
    for ((action, policy_type), durations) in merged {
        samples.distribution(&DURATION, [action, policy_type], durations);
    }
}

/// Puts counts over other bounds into today's buckets: each into the one that holds its upper bound.
fn rebucket(bounds: &[f64], durations: Distribution) -> Distribution {
    if bounds == BOUNDS {
        return durations;
    }
    let mut all = Distribution { sum: durations.sum, ..Distribution::new(&BOUNDS) };
    for (bucket, count) in durations.counts.iter().enumerate() {
        let upper = bounds.get(bucket).copied().unwrap_or(f64::INFINITY);
        all.counts[BOUNDS.partition_point(|bound| *bound < upper)] += count;
    }
    all
}

fn positive(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::interner::NameId;

    #[test]
    fn histogram_with_other_bounds_goes_on_in_todays_buckets() {
        let pair = (NameId(0), NameId(1));
        let mut totals = Totals::new(SystemTime::UNIX_EPOCH);
        let counts = vec![1, 2, 4, 8, 16];
        let durations = Distribution { counts, sum: 77.0 };
        assert!(totals.restore_durations(pair, &[30.0, 60.0, 100.0, 1e6], durations.clone()));
        let found = &totals.durations[&pair];
        assert_eq!(found.counts, [3, 4, 0, 0, 0, 0, 0, 0, 0, 24]);
        assert_eq!((found.sum, found.count()), (77.0, 31));
        for bounds in [&[30.0, 60.0][..], &[60.0, 30.0, 100.0, 1e6], &[f64::NAN; 4]] {
            assert!(!totals.restore_durations(pair, bounds, durations.clone()), "{bounds:?}");
        }
    }
}
