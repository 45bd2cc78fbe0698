//! From totals to increments, for receivers that want those.
//!
//! An increment is what was added since the last export of that series that was *acknowledged*: a
//! request that failed leaves its series where they were, and the next increment covers both
//! intervals. What was acknowledged is remembered in a [`Ledger`] that outlives a rebuilt exporter;
//! otherwise every reload would send the totals once more.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, HistogramDataPoint, Metric, NumberDataPoint, metric::Data,
};
use prost::Message;

use super::config::Temporality;
use total::Total;

mod total;

/// A series that is gone is remembered for so long: one that went stale comes back with its total.
const FORGET_AFTER_NANOS: u64 = 3_600_000_000_000;

/// Totals that are older than the process by more than this were restored from disk.
const BOOT_SLACK_NANOS: u64 = 60_000_000_000;

type Key = Box<[u8]>;

/// What the receiver has acknowledged of each series.
#[derive(Debug)]
pub struct Ledger {
    series: HashMap<Key, Acknowledged>,
    /// Origins from before this process began that were met already.
    restored: HashSet<u64>,
    /// When this process began to remember.
    opened: u64,
}

#[derive(Debug, Clone)]
struct Acknowledged {
    /// Start time of the total: another one means that it began anew.
    origin: u64,
    /// End of the last acknowledged interval.
    time: u64,
    /// When the series was last in a snapshot.
    seen: u64,
    total: Total,
}

/// What becomes of the ledger if the points of one export are acknowledged; by the place of each
/// point in the whole sequence.
#[derive(Debug, Default)]
pub struct Pending(Vec<Option<(Key, Acknowledged)>>);

impl Pending {
    /// Takes points out that won't be sent.
    pub fn forget(&mut self, places: &[usize]) {
        for place in places {
            if let Some(entry) = self.0.get_mut(*place) {
                *entry = None;
            }
        }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::opened_at(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Ledger {
    /// An empty ledger of a process that began at `nanos` since 1970.
    pub fn opened_at(nanos: u64) -> Self {
        Self { series: HashMap::new(), restored: HashSet::new(), opened: nanos }
    }

    /// Turns the totals in `metrics` into increments as far as `temporality` wants them.
    pub fn convert(&mut self, metrics: &mut [Metric], temporality: Temporality) -> Pending {
        if temporality == Temporality::Cumulative {
            // Nothing is remembered that nobody asks for.
            self.series.clear();
            return Pending::default();
        }
        let mut run = Run { ledger: self, pending: Vec::new(), met: HashSet::new(), now: 0 };
        for metric in metrics {
            run.convert(metric, temporality);
        }
        let Run { pending, met, now, .. } = run;
        self.restored.extend(met);
        self.series.retain(|_, known| known.seen.saturating_add(FORGET_AFTER_NANOS) >= now);
        Pending(pending)
    }

    /// Takes note that the points in `range` were acknowledged.
    pub fn commit(&mut self, pending: &mut Pending, range: Range<usize>) {
        let Some(entries) = pending.0.get_mut(range) else { return };
        for (key, acknowledged) in entries.iter_mut().filter_map(Option::take) {
            self.series.insert(key, acknowledged);
        }
    }

    /// How many series are remembered.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether no series is remembered.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

/// One conversion.
struct Run<'a> {
    ledger: &'a mut Ledger,
    pending: Vec<Option<(Key, Acknowledged)>>,
    met: HashSet<u64>,
    now: u64,
}

impl Run<'_> {
    fn convert(&mut self, metric: &mut Metric, temporality: Temporality) {
        const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
        const DELTA: i32 = AggregationTemporality::Delta as i32;
        let name = metric.name.as_str();
        match &mut metric.data {
            Some(Data::Sum(sum))
                if temporality == Temporality::Delta
                    && sum.is_monotonic
                    && sum.aggregation_temporality == CUMULATIVE =>
            {
                sum.aggregation_temporality = DELTA;
                sum.data_points.retain_mut(|point| self.increment(name, point));
            }
            Some(Data::Histogram(histogram)) if histogram.aggregation_temporality == CUMULATIVE => {
                histogram.aggregation_temporality = DELTA;
                histogram.data_points.retain_mut(|point| self.increment(name, point));
            }
            Some(data) => {
                let places = self.pending.len() + count(data);
                self.pending.resize_with(places, || None);
            }
            None => {}
        }
    }

    /// Turns one point into its increment; false where it has none to tell yet.
    fn increment<P: Point>(&mut self, metric: &str, point: &mut P) -> bool {
        let Some(total) = point.total() else {
            self.pending.push(None);
            return true;
        };
        let (origin, time) = point.times();
        self.now = self.now.max(time);
        let key = key(metric, point.attributes());
        if let Some(known) = self.ledger.series.get_mut(&key) {
            known.seen = time;
            let begins_anew = known.origin != origin;
            if !begins_anew && let Some(added) = total.since(&known.total) {
                point.set(&added, known.time.min(time));
            } else if !begins_anew {
                // It went down without a new origin: what it reads was added since.
                point.set_start(known.time.min(time));
            }
        } else if self.is_restored(origin) {
            // The process before this one has reported it; what is added from now on counts.
            let acknowledged = Acknowledged { origin, time, seen: time, total };
            self.ledger.series.insert(key, acknowledged);
            return false;
        }
        self.pending.push(Some((key, Acknowledged { origin, time, seen: time, total })));
        true
    }

    /// Whether a total that this process meets for the first time was saved by an earlier one. A
    /// series that is born later may have an old origin too, that of its kin, and is whole.
    fn is_restored(&mut self, origin: u64) -> bool {
        let old = origin.saturating_add(BOOT_SLACK_NANOS) < self.ledger.opened;
        if old && !self.ledger.restored.contains(&origin) {
            self.met.insert(origin);
            return true;
        }
        false
    }
}

/// What both kinds of points have in common.
trait Point {
    fn attributes(&self) -> &[KeyValue];
    fn times(&self) -> (u64, u64);
    fn total(&self) -> Option<Total>;
    fn set(&mut self, increment: &Total, start: u64);
    fn set_start(&mut self, start: u64);
}

impl Point for NumberDataPoint {
    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn times(&self) -> (u64, u64) {
        (self.start_time_unix_nano, self.time_unix_nano)
    }

    fn total(&self) -> Option<Total> {
        self.value.map(Total::Number)
    }

    fn set(&mut self, increment: &Total, start: u64) {
        if let Total::Number(value) = increment {
            self.value = Some(*value);
            self.start_time_unix_nano = start;
        }
    }

    fn set_start(&mut self, start: u64) {
        self.start_time_unix_nano = start;
    }
}

impl Point for HistogramDataPoint {
    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn times(&self) -> (u64, u64) {
        (self.start_time_unix_nano, self.time_unix_nano)
    }

    fn total(&self) -> Option<Total> {
        Some(Total::of_histogram(self))
    }

    fn set(&mut self, increment: &Total, start: u64) {
        if let Total::Distribution { count, sum, buckets, .. } = increment {
            self.count = *count;
            self.sum = *sum;
            self.bucket_counts.clone_from(buckets);
            // Those of the whole time say nothing about the interval.
            self.min = None;
            self.max = None;
            self.start_time_unix_nano = start;
        }
    }

    fn set_start(&mut self, start: u64) {
        self.start_time_unix_nano = start;
    }
}

fn count(data: &Data) -> usize {
    match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(summary) => summary.data_points.len(),
    }
}

/// What a series is known by: the metric's name and the attributes, sorted.
fn key(metric: &str, attributes: &[KeyValue]) -> Key {
    let mut sorted: Vec<&KeyValue> = attributes.iter().collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    let mut key = Vec::with_capacity(metric.len() + 1 + 32 * sorted.len());
    key.extend_from_slice(metric.as_bytes());
    // No name contains it.
    key.push(0);
    for attribute in sorted {
        // Lengths are part of the encoding, so no two sets read alike. A vector has room for all.
        let _ = attribute.encode_length_delimited(&mut key);
    }
    key.into_boxed_slice()
}

#[cfg(test)]
#[path = "delta_tests.rs"]
mod tests;
