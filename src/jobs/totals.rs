//! Monotonic totals and the histogram of durations: each completion is added once, and nothing is ever
//! taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use super::completion::{Outcome, role};
use super::dictionary::LabelResolver;
use super::finished::FinishedJob;
use super::groups::Groups;
use super::interner::{LabelSet, LabelSetId, NameId, TypePair};
use super::row;
use super::time::{from_unix_ms, to_unix_ms};
use super::type_counts::TypeCounts;
use super::window_sums::{GROUP_SIZE, PAIRS_GROUP_SIZE};
use crate::metric::{Definition, Distribution, Metric, Samples, SeriesGroups};

/// Upper bounds of the histogram, seconds (those of nbu_exporter).
pub(super) const BOUNDS: [f64; 9] =
    [60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0];

static COMPLETED: Metric<5> = Metric::counter(
    "nbu.jobs.completed",
    "{job}",
    &["action", "policy_type", "status", "outcome", "role"],
    "Job completions, each counted once. A resumed job completes again. role: parent has child jobs, leaf has none. outcome is that of nbu_jobs_outcomes_total; jobs with status 190, 196 and 200 that an earlier build counted stay failures. Label combinations found in the first window start at 0.",
);
static OUTCOMES: Metric<2> = Metric::counter(
    "nbu.jobs.outcomes",
    "{job}",
    &["action", "outcome"],
    "Job completions, of parents and leaves, by outcome: success (status 0), partial (1), cancelled (150), missed (196, the window closed), nothing_to_do (190, 200), failure (any other). All six are exported from the start. For rates use nbu_jobs_completed_total with role leaf: here a failed machine counts with its parents.",
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
    "Duration of completed jobs (endTime - startTime), each counted once, as nbu_exporter has it: of parents too, and with the wait in the queue. nbu_job_active_duration_seconds and nbu_job_queue_wait_seconds tell them apart.",
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

/// Completions with one outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Jobs {
    pub(super) parents: u64,
    pub(super) leaves: u64,
    /// Seen in the first window: its counts begin at an explicit zero.
    pub(super) parent_seen: bool,
    pub(super) leaf_seen: bool,
}

impl Jobs {
    pub(super) const fn all(self) -> u64 {
        self.parents + self.leaves
    }
}

/// Completions with one status. Those of statuses about which the rules of outcomes differ are under the rule
/// by which they were counted; all others under the first one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) first_rule: Jobs,
    pub(super) second_rule: Jobs,
    pub(super) kilobytes: u64,
    pub(super) files: u64,
    pub(super) retries: u64,
}

impl Total {
    /// Returns the completions by today's rule.
    fn jobs(&mut self, status: Option<i64>) -> &mut Jobs {
        if Outcome::differs_by_rule(status) { &mut self.second_rule } else { &mut self.first_rule }
    }

    /// Returns the completions of a status by outcome.
    pub(super) fn by_outcome(&self, status: Option<i64>) -> [(Outcome, Jobs); 2] {
        let first = (Outcome::by_first_rule(status), self.first_rule);
        [first, (Outcome::of(status), self.second_rule)]
    }
}

#[derive(Debug)]
pub(super) struct Totals {
    /// The moment at which they began, in whole ms, as it is saved.
    pub(super) origin: SystemTime,
    pub(super) by_label_set: BTreeMap<LabelSetId, Total>,
    pub(super) durations: BTreeMap<TypePair, Distribution>,
    /// By the first rule of outcomes, and by the second.
    types: [TypeCounts; 2],
    /// Series of label sets.
    groups: Groups<LabelSetId>,
    /// Series of pairs of action and policy type.
    pairs: Groups<LabelSetId>,
}

impl Totals {
    pub(super) fn new(origin: SystemTime) -> Self {
        let origin = from_unix_ms(to_unix_ms(origin));
        Self {
            origin,
            by_label_set: BTreeMap::new(),
            durations: BTreeMap::new(),
            types: Default::default(),
            groups: Groups::of_size(GROUP_SIZE),
            pairs: Groups::of_size(PAIRS_GROUP_SIZE),
        }
    }

    fn mark(&mut self, label_set: LabelSetId) {
        self.types.iter_mut().for_each(|types| types.mark(label_set));
        self.groups.mark(label_set);
        self.pairs.mark(label_set);
    }

    /// Exports a label set of the first window at zero. Returns whether it was not exported before.
    pub(super) fn note_seen(
        &mut self,
        label_set: LabelSetId,
        labels: &LabelSet,
        leaf: bool,
    ) -> bool {
        self.mark(label_set);
        let jobs = self.by_label_set.entry(label_set).or_default().jobs(labels.status);
        let seen = if leaf { &mut jobs.leaf_seen } else { &mut jobs.parent_seen };
        let new = !std::mem::replace(seen, true);
        self.durations.entry(labels.pair()).or_insert_with(|| Distribution::new(&BOUNDS));
        new
    }

    /// Counts a completion; `retries` are those since the job's last one. An end after `latest` lies in
    /// the future, and tells no duration.
    pub(super) fn count(
        &mut self,
        job: &FinishedJob,
        labels: &LabelSet,
        retries: u64,
        latest: i64,
    ) {
        self.mark(job.label_set);
        let total = self.by_label_set.entry(job.label_set).or_default();
        total.retries += retries;
        if job.leaf {
            total.jobs(labels.status).leaves += 1;
            total.kilobytes = total.kilobytes.saturating_add(positive(job.kilobytes));
            total.files = total.files.saturating_add(positive(job.files));
        } else {
            total.jobs(labels.status).parents += 1;
        }
        let durations =
            self.durations.entry(labels.pair()).or_insert_with(|| Distribution::new(&BOUNDS));
        // Without a start, or with a clock that was set back in between, there is no duration.
        if job.start != 0 && job.end >= job.start && job.end <= latest {
            durations.observe(&BOUNDS, (job.end - job.start) as f64 / 1000.0);
        }
    }

    /// Restores the counts of a label set, as `restored` makes them of those that are known.
    pub(super) fn restore(&mut self, label_set: LabelSetId, restored: impl FnOnce(Total) -> Total) {
        self.mark(label_set);
        let known = self.by_label_set.entry(label_set).or_default();
        *known = restored(*known);
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
        let Self { by_label_set, durations, types, groups, pairs, .. } = self;
        let of_rule: [fn(&Total) -> Jobs; 2] =
            [|total| total.first_rule, |total| total.second_rule];
        for (types, jobs) in types.iter_mut().zip(of_rule) {
            let jobs = |label_set| {
                let jobs = by_label_set.get(&label_set).map_or(0, |total| jobs(total).all());
                i64::try_from(jobs).unwrap_or(i64::MAX)
            };
            types.refresh(&resolver.dictionary.label_sets, jobs, |_| {});
        }
        let mut all = vec![Arc::new(outcomes(types, resolver, known).finish().0)];
        let (actions, label_sets) = (resolver.actions, || by_label_set.keys().copied());
        let labels = |label_set: &LabelSetId| resolver.labels(*label_set);
        all.extend(groups.refresh(actions, label_sets(), labels, |label_sets, samples| {
            record(label_sets, by_label_set, resolver, samples);
        }));
        let pair = |label_set: &LabelSetId| resolver.pair_of(*label_set);
        all.extend(pairs.refresh(actions, label_sets(), pair, |label_sets, samples| {
            record_pairs(label_sets, (by_label_set, durations), resolver, samples);
        }));
        all
    }
}

/// Returns the outcomes, all of them for each of the `known` actions and each that is counted.
fn outcomes(
    types: &[TypeCounts; 2],
    resolver: LabelResolver<'_>,
    known: &BTreeSet<String>,
) -> Samples {
    let mut outcomes: BTreeMap<&str, [i64; Outcome::ALL.len()]> =
        known.iter().map(|action| (action.as_str(), Default::default())).collect();
    let rules: [fn(Option<i64>) -> Outcome; 2] = [Outcome::by_first_rule, Outcome::of];
    for (types, rule) in types.iter().zip(rules) {
        let mut by_type: BTreeMap<NameId, [i64; Outcome::ALL.len()]> = BTreeMap::new();
        for (job_type, status, jobs) in types.iter() {
            let (counts, outcome) = (by_type.entry(job_type).or_default(), rule(status));
            for (count, _) in counts.iter_mut().zip(Outcome::ALL).filter(|(_, one)| *one == outcome)
            {
                *count += jobs;
            }
        }
        for (job_type, more) in by_type {
            let counts = outcomes.entry(resolver.action(job_type)).or_default();
            for (count, more) in counts.iter_mut().zip(more) {
                *count += more;
            }
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

/// Records the series of label sets.
fn record(
    label_sets: &BTreeSet<LabelSetId>,
    totals: &BTreeMap<LabelSetId, Total>,
    resolver: LabelResolver<'_>,
    samples: &mut Samples,
) {
    let mut completed: BTreeMap<(&str, &str, Option<i64>, Outcome, bool), u64> = BTreeMap::new();
    for label_set in label_sets {
        let labels = totals.get(label_set).zip(resolver.labels(*label_set));
        let Some((total, (action, policy_type, status))) = labels else { continue };
        for (outcome, jobs) in total.by_outcome(status) {
            let roles =
                [(false, jobs.parents, jobs.parent_seen), (true, jobs.leaves, jobs.leaf_seen)];
            for (leaf, jobs, _) in roles.into_iter().filter(|(_, jobs, seen)| *seen || *jobs > 0) {
                *completed.entry((action, policy_type, status, outcome, leaf)).or_default() += jobs;
            }
        }
    }
    for ((action, policy_type, status, outcome, leaf), jobs) in completed {
        let status_text = row::status_label(status);
        let role = role(leaf);
        let labels = [action, policy_type, &status_text, outcome.label(), role];
        samples.record(&COMPLETED, labels, jobs as f64);
    }
}

/// Records the series of the pairs of action and policy type that label sets are of.
fn record_pairs(
    label_sets: &BTreeSet<LabelSetId>,
    (totals, durations): (&BTreeMap<LabelSetId, Total>, &BTreeMap<TypePair, Distribution>),
    resolver: LabelResolver<'_>,
    samples: &mut Samples,
) {
    let mut volumes: BTreeMap<(&str, &str), [u64; 3]> = BTreeMap::new();
    let mut pairs: BTreeSet<TypePair> = BTreeSet::new();
    for label_set in label_sets {
        let labels = totals.get(label_set).zip(resolver.pair_of(*label_set));
        let Some((total, pair)) = labels else { continue };
        pairs.extend(resolver.dictionary.pair(*label_set));
        let volume = volumes.entry(pair).or_default();
        volume[0] = volume[0].saturating_add(total.kilobytes);
        volume[1] = volume[1].saturating_add(total.files);
        volume[2] += total.retries;
    }
    for (pair, [kilobytes, files, retries]) in volumes {
        samples.record(&BYTES, pair.into(), kilobytes as f64 * 1024.0);
        samples.record(&FILES, pair.into(), files as f64);
        samples.record(&RETRIES, pair.into(), retries as f64);
    }
    let mut merged: BTreeMap<(&str, &str), Distribution> = BTreeMap::new();
    for (pair, durations) in pairs.iter().filter_map(|pair| durations.get_key_value(pair)) {
        let sum = merged.entry(resolver.pair(*pair)).or_insert_with(|| Distribution::new(&BOUNDS));
        sum.merge(durations);
    }
    for (pair, durations) in merged {
        samples.distribution(&DURATION, pair.into(), durations);
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
