//! Counters of ended leaves, all of one form: which counter, a job type, and one more name. Each completion is
//! counted once, and nothing is ever taken away.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::status_family::StatusFamily;
use crate::jobs::dictionary::{Dictionary, LabelResolver};
use crate::jobs::finished::FinishedJob;
use crate::jobs::groups::Groups;
use crate::jobs::interner::{Interner, LabelSet, NameId};
use crate::jobs::row::BACKUP;
use crate::jobs::totals::BOUNDS;
use crate::metric::{Definition, Distribution, Metric, Samples, SeriesGroups};
use crate::netbackup::wire::jobs::JobRow;

/// Upper bounds of the wait in the queue, seconds.
const WAIT_BOUNDS: [f64; 10] =
    [10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0];

/// Storage units, and media servers, of a site with series of their own.
const MOST_PLACES: usize = 500;

/// Job types with all families from the start. The API knows 43.
const MOST_JOB_TYPES: usize = 64;

/// The label of further ones.
const OTHER: &str = "other";

/// Counters of a group of series, about.
const GROUP_SIZE: usize = 32;

static QUEUE_WAIT: Metric<1> = Metric::histogram(
    "nbu.job.queue_wait",
    "s",
    &WAIT_BOUNDS,
    &["action"],
    "Wait in the queue (activeTryStartTime - startTime) of ended jobs without children that needed one try; 13 lines for each action.",
);
static ACTIVE_DURATION: Metric<2> = Metric::histogram(
    "nbu.job.active_duration",
    "s",
    &BOUNDS,
    &["action", "policy_type"],
    "Work of ended jobs without children (endTime - activeTryStartTime, that of the last try): without the wait in the queue; 12 lines for each pair of labels, as nbu_job_duration_seconds.",
);
static UNIT_BYTES: Metric<2> = Metric::counter(
    "nbu.storage_unit.transferred",
    "By",
    &["name", "action"],
    "Bytes that ended jobs without children wrote to the storage unit (kilobytesTransferred x 1024). At most 500 units by name, further ones together as other.",
);
static SERVER_BYTES: Metric<2> = Metric::counter(
    "nbu.media_server.transferred",
    "By",
    &["media_server", "action"],
    "Bytes that ended jobs without children wrote through the media server (kilobytesTransferred x 1024). At most 500 servers by name, further ones together as other.",
);
static MOVED: Metric<2> = Metric::counter(
    "nbu.jobs.moved",
    "By",
    &["action", "policy_type"],
    "Bytes that really moved, after deduplication and compression, of ended jobs without children that tell it (kilobytesDataTransferred x 1024); one series for each pair of labels. Share that was saved: 1 - rate of this / rate of nbu_jobs_transferred_bytes_total, since the two begin at different times.",
);
static FAILURES: Metric<2> = Metric::counter(
    "nbu.jobs.failures",
    "{job}",
    &["action", "family"],
    "Failed jobs without children by family of status codes (docs/runbook.md has the table): 13 families for each action, all exported from the start.",
);
static FALSE_GREENS: Metric<1> = Metric::counter(
    "nbu.false_green",
    "{job}",
    &["kind"],
    "Backups with status 0 that deserve a look. no_backup_id: no image; no_files: a full without a file; odd_size: ten times or a tenth of the usual size of the same workload, policy and schedule class. All three are exported from the start.",
);

pub(super) fn definitions() -> [&'static Definition; 7] {
    [
        QUEUE_WAIT.definition(),
        ACTIVE_DURATION.definition(),
        UNIT_BYTES.definition(),
        SERVER_BYTES.definition(),
        MOVED.definition(),
        FAILURES.definition(),
        FALSE_GREENS.definition(),
    ]
}

/// Counter of ended leaves. The numbers are those on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::jobs) enum Counter {
    QueueWait = 0,
    /// By policy type.
    ActiveDuration = 1,
    /// By storage unit, kilobytes.
    UnitBytes = 2,
    /// By media server, kilobytes.
    ServerBytes = 3,
    /// By policy type, kilobytes.
    Moved = 4,
    /// By family.
    Failures = 5,
    /// By kind.
    FalseGreens = 6,
}

impl Counter {
    const ALL: [Self; 7] = [
        Self::QueueWait,
        Self::ActiveDuration,
        Self::UnitBytes,
        Self::ServerBytes,
        Self::Moved,
        Self::Failures,
        Self::FalseGreens,
    ];

    pub(in crate::jobs) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|counter| *counter as u8 == number)
    }

    /// Returns the bounds of a histogram; none for a sum.
    const fn bounds(self) -> &'static [f64] {
        match self {
            Self::QueueWait => &WAIT_BOUNDS,
            Self::ActiveDuration => &BOUNDS,
            _ => &[],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::jobs) struct CounterKey {
    pub(in crate::jobs) counter: Counter,
    pub(in crate::jobs) job_type: NameId,
    /// The empty name where there is no other label.
    pub(in crate::jobs) other: NameId,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::jobs) enum Count {
    Sum(u64),
    Times(Distribution),
}

impl Count {
    fn new(counter: Counter) -> Self {
        match counter.bounds() {
            [] => Self::Sum(0),
            bounds => Self::Times(Distribution::new(bounds)),
        }
    }

    fn merge(&mut self, more: &Self) {
        match (self, more) {
            (Self::Sum(sum), Self::Sum(more)) => *sum = sum.saturating_add(*more),
            (Self::Times(times), Self::Times(more)) => times.merge(more),
            _ => {}
        }
    }
}

/// Addition of a completion to a counter.
#[derive(Debug, Clone, Copy)]
enum Added {
    Number(u64),
    Seconds(f64),
    /// Nothing: the series begins at zero.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Counters {
    all: HashMap<CounterKey, Count>,
    groups: Groups<CounterKey>,
    /// Job types that have all their families.
    job_types: HashSet<NameId>,
    /// Label sets whose job types were met.
    label_sets: usize,
    places: HashMap<Counter, HashSet<NameId>>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            all: HashMap::new(),
            groups: Groups::of_size(GROUP_SIZE),
            job_types: HashSet::new(),
            label_sets: 0,
            places: HashMap::new(),
        }
    }
}

/// The circumstances of a completion.
#[derive(Debug, Clone, Copy)]
pub(in crate::jobs) struct Ended {
    /// It is counted; otherwise its series begin at zero.
    pub(in crate::jobs) counted: bool,
    /// It is the first one of its job that is known.
    pub(in crate::jobs) first: bool,
    /// An end after this is in the future, and tells no duration. Unix ms.
    pub(in crate::jobs) latest: i64,
}

/// A completion of a leaf, and what is told of it beside the row.
pub(super) struct EndedLeaf<'r, 'j> {
    pub(super) row: &'r JobRow<'r>,
    pub(super) job: &'j FinishedJob,
    pub(super) family: Option<StatusFamily>,
    pub(super) false_greens: &'j [&'static str],
    pub(super) ended: &'j Ended,
}

impl Counters {
    /// Adds the series that every site has before its first job, and those of the job types that are known. Returns
    /// those that are new.
    pub(super) fn prepare(&mut self, dictionary: &mut Dictionary) -> Vec<CounterKey> {
        let mut changed = Vec::new();
        let (names, label_sets) = (&mut dictionary.names, &dictionary.label_sets);
        let backup = names.intern(BACKUP);
        self.add_job_type(names, backup, &mut changed);
        for (_, labels) in label_sets.since(self.label_sets) {
            self.add_job_type(names, labels.job_type, &mut changed);
        }
        self.label_sets = label_sets.len();
        let nothing = names.intern("");
        for kind in super::sizes::KINDS {
            let other = names.intern(kind);
            let key = CounterKey { counter: Counter::FalseGreens, job_type: nothing, other };
            self.add(key, Added::Nothing, &mut changed);
        }
        changed
    }

    /// Adds the series of a job type before its first job ends. Returns those that are new.
    pub(super) fn meet_job_type(
        &mut self,
        names: &mut Interner,
        job_type: &str,
    ) -> Vec<CounterKey> {
        let mut changed = Vec::new();
        let job_type = names.intern(job_type);
        self.add_job_type(names, job_type, &mut changed);
        changed
    }

    fn add_job_type(
        &mut self,
        names: &mut Interner,
        job_type: NameId,
        changed: &mut Vec<CounterKey>,
    ) {
        if self.job_types.len() >= MOST_JOB_TYPES || !self.job_types.insert(job_type) {
            return;
        }
        for family in StatusFamily::FAILURES {
            let other = names.intern(family.label());
            let key = CounterKey { counter: Counter::Failures, job_type, other };
            self.add(key, Added::Nothing, changed);
        }
    }

    /// Counts a completion. Returns the counters that changed.
    pub(super) fn record(
        &mut self,
        names: &mut Interner,
        labels: LabelSet,
        leaf: &EndedLeaf<'_, '_>,
    ) -> Vec<CounterKey> {
        let (row, job) = (leaf.row, leaf.job);
        let LabelSet { job_type, policy_type, .. } = labels;
        let nothing = names.intern("");
        let mut changed = Vec::new();
        self.add_job_type(names, job_type, &mut changed);
        let mut add = |all: &mut Self, counter, other, added| {
            let added = if leaf.ended.counted { added } else { Added::Nothing };
            all.add(CounterKey { counter, job_type, other }, added, &mut changed);
        };
        let in_past = job.end <= leaf.ended.latest;
        let seconds = |from: Option<i64>, to: i64| match from {
            Some(from) if in_past && from > 0 && to >= from => {
                Added::Seconds((to - from) as f64 / 1000.0)
            }
            _ => Added::Nothing,
        };
        let active = row.active_try_start_time.filter(|start| *start > 0);
        if let Some(active) = active {
            // The start of a later try, or of a job that was resumed, is one after a pause.
            let start = row.start_time.filter(|_| job.tries == 1 && leaf.ended.first);
            add(self, Counter::QueueWait, nothing, seconds(start, active));
            add(self, Counter::ActiveDuration, policy_type, seconds(Some(active), job.end));
        }
        let kilobytes = Added::Number(job.kilobytes.unsigned_abs());
        for (counter, place) in [
            (Counter::UnitBytes, &row.destination_storage_unit_name),
            (Counter::ServerBytes, &row.destination_media_server_name),
        ] {
            if let Some(place) = place.as_deref().filter(|place| !place.is_empty()) {
                let place = self.place(names, counter, place);
                add(self, counter, place, kilobytes);
            }
        }
        if let Some(moved) = row.kilobytes_data_transferred {
            let moved = Added::Number(u64::try_from(moved).unwrap_or(0));
            add(self, Counter::Moved, policy_type, moved);
        }
        if let Some(family) = leaf.family.filter(|family| family.is_failure()) {
            let family = names.intern(family.label());
            add(self, Counter::Failures, family, Added::Number(1));
        }
        for kind in leaf.false_greens {
            let other = names.intern(kind);
            let key = CounterKey { counter: Counter::FalseGreens, job_type: nothing, other };
            self.add(key, Added::Number(1), &mut changed);
        }
        changed
    }

    /// Returns the name of a place, or that of the others if it has no room.
    fn place(&mut self, names: &mut Interner, counter: Counter, place: &str) -> NameId {
        let name = names.intern(place);
        let known = self.places.entry(counter).or_default();
        if known.contains(&name) || (known.len() < MOST_PLACES && known.insert(name)) {
            name
        } else {
            names.intern(OTHER)
        }
    }

    fn add(&mut self, key: CounterKey, added: Added, changed: &mut Vec<CounterKey>) {
        let is_new = !self.all.contains_key(&key);
        let count = self.all.entry(key).or_insert_with(|| Count::new(key.counter));
        match (added, &mut *count) {
            (Added::Number(number), Count::Sum(sum)) => *sum = sum.saturating_add(number),
            (Added::Seconds(seconds), Count::Times(times)) => {
                times.observe(key.counter.bounds(), seconds);
            }
            _ if !is_new => return,
            _ => {}
        }
        self.groups.mark(key);
        changed.push(key);
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &CounterKey> {
        self.all.keys()
    }

    /// Returns the names to which counters refer.
    pub(super) fn names(&self) -> impl Iterator<Item = NameId> {
        self.all.keys().flat_map(|key| [key.job_type, key.other])
    }

    /// Returns a counter with its bounds, none for a sum.
    pub(super) fn get(&self, key: &CounterKey) -> Option<(&Count, &'static [f64])> {
        self.all.get(key).map(|count| (count, key.counter.bounds()))
    }

    /// Restores a counter. One over other bounds than today's begins anew.
    pub(super) fn restore(&mut self, key: CounterKey, bounds: &[f64], count: Count) {
        let fits = match &count {
            Count::Sum(_) => key.counter.bounds().is_empty(),
            Count::Times(times) => times.counts.len() == bounds.len() + 1,
        };
        if fits && bounds == key.counter.bounds() {
            if matches!(key.counter, Counter::UnitBytes | Counter::ServerBytes) {
                self.places.entry(key.counter).or_default().insert(key.other);
            }
            self.all.insert(key, count);
            self.groups.mark_all();
        }
    }

    /// Returns the storage unit or media server that a live job uses, as its series are labelled.
    pub(super) fn label<'p>(
        &self,
        names: &Interner,
        counter: Counter,
        place: &'p str,
        shown: &mut BTreeSet<String>,
    ) -> &'p str {
        let known = self.places.get(&counter);
        let is_known = names
            .find(place)
            .is_some_and(|name| known.is_some_and(|places| places.contains(&name)));
        let count = known.map_or(0, HashSet::len);
        if is_known || shown.contains(place) {
            place
        } else if count + shown.len() < MOST_PLACES {
            shown.insert(place.to_owned());
            place
        } else {
            OTHER
        }
    }

    /// Returns the names of storage units or media servers that have series.
    pub(super) fn places<'n>(
        &self,
        names: &'n Interner,
        counter: Counter,
    ) -> impl Iterator<Item = &'n str> {
        self.places.get(&counter).into_iter().flatten().map(|name| names.get(*name))
    }

    /// Returns the series in groups, those of groups in which nothing changed as they were.
    pub(super) fn samples(&mut self, resolver: LabelResolver<'_>) -> SeriesGroups {
        let Self { all, groups, .. } = self;
        let name = |id| resolver.dictionary.names.get(id);
        let record = |keys: &mut BTreeSet<CounterKey>, samples: &mut Samples| {
            let mut merged: BTreeMap<(Counter, &str, &str), Count> = BTreeMap::new();
            for key in keys.iter() {
                let Some(count) = all.get(key) else { continue };
                let labels = (key.counter, resolver.action(key.job_type), name(key.other));
                let sum = merged.entry(labels).or_insert_with(|| Count::new(key.counter));
                sum.merge(count);
            }
            for ((counter, action, other), count) in merged {
                record_count(counter, action, other, count, samples);
            }
        };
        let place =
            |key: &CounterKey| Some((key.counter, resolver.action(key.job_type), name(key.other)));
        groups.refresh(resolver.actions, all.keys().copied(), place, record)
    }
}

fn record_count(counter: Counter, action: &str, other: &str, count: Count, samples: &mut Samples) {
    match count {
        Count::Times(times) => match counter {
            Counter::QueueWait => samples.distribution(&QUEUE_WAIT, [action], times),
            _ => samples.distribution(&ACTIVE_DURATION, [action, other], times),
        },
        Count::Sum(sum) => {
            let bytes = sum as f64 * 1024.0;
            match counter {
                Counter::UnitBytes => samples.record(&UNIT_BYTES, [other, action], bytes),
                Counter::ServerBytes => samples.record(&SERVER_BYTES, [other, action], bytes),
                Counter::Moved => samples.record(&MOVED, [action, other], bytes),
                Counter::FalseGreens => samples.record(&FALSE_GREENS, [other], sum as f64),
                _ => samples.record(&FAILURES, [action, other], sum as f64),
            }
        }
    }
}
