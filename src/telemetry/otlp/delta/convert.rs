//! Conversion of the totals of an export into increments, as far as the receiver wants them.

use std::collections::{HashMap, HashSet};

use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, Metric, Sum, metric::Data,
};

use super::group::{Acknowledged, Present};
use super::point::{Point, count, key};
use super::{Change, Delta, Key};
use crate::telemetry::otlp::config::Temporality;

/// A series that is gone is remembered for so long. It comes back with its total, so this is more than a site can be
/// away and still have its series.
const FORGET_AFTER_NANOS: u64 = 400 * 86_400 * 1_000_000_000;

#[derive(Debug, Default)]
pub(crate) struct Converted {
    /// Increments, which must not be lost or told twice.
    pub(in super::super) increments: Sequence,
    /// Everything else: gauges, totals, increments of nothing.
    pub(in super::super) others: Sequence,
}

/// Metrics, and what becomes of the series when their points are acknowledged, point by point.
#[derive(Debug, Default)]
pub(in super::super) struct Sequence {
    pub(in super::super) metrics: Vec<Metric>,
    pub(in super::super) changes: Vec<Option<Change>>,
}

impl Delta {
    /// Turns the totals in `metrics` into increments as far as `temporality` wants them. With `hold`, increments
    /// are kept back: it is not known yet what they are counted from.
    pub(crate) fn convert(
        &mut self,
        metrics: Vec<Metric>,
        temporality: Temporality,
        hold: bool,
    ) -> Converted {
        self.in_use |= temporality != Temporality::Cumulative;
        let mut met = HashSet::new();
        if self.in_use && !hold {
            self.reconcile(&metrics);
            let members = self.groups.values().flat_map(|group| &group.0);
            met.extend(members.map(|member| member.acknowledged.origin));
            met.extend(&self.met);
        }
        let (seen, converted) = (HashSet::new(), Converted::default());
        let mut run = Conversion { delta: self, temporality, met, seen, now: 0, hold, converted };
        for metric in metrics {
            run.metric(metric);
        }
        let Conversion { converted, seen, now, .. } = run;
        self.met.extend(seen);
        let oldest = now.saturating_sub(FORGET_AFTER_NANOS);
        self.groups.retain(|_, group| {
            group.0.retain(|member| member.acknowledged.time >= oldest);
            !group.0.is_empty()
        });
        converted
    }

    /// Moves what was acknowledged of series that were renamed.
    fn reconcile(&mut self, metrics: &[Metric]) {
        let mut present: HashMap<Key, Vec<Present>> = HashMap::new();
        let mut note = |name: &str, point: &dyn Point| {
            if let Some(total) = point.total() {
                let (attributes, origin, _) = point.series();
                let (key, action) = key(name, attributes);
                present.entry(key).or_default().push(Present { action, origin, total });
            }
        };
        for metric in metrics {
            match &metric.data {
                Some(Data::Sum(sum))
                    if is_cumulative(sum.is_monotonic, sum.aggregation_temporality) =>
                {
                    sum.data_points.iter().for_each(|point| note(&metric.name, point));
                }
                Some(Data::Histogram(histogram))
                    if is_cumulative(true, histogram.aggregation_temporality) =>
                {
                    histogram.data_points.iter().for_each(|point| note(&metric.name, point));
                }
                _ => {}
            }
        }
        for (key, present) in present {
            if let Some(group) = self.groups.get_mut(&key) {
                group.reconcile(&present);
            }
        }
    }
}

/// Returns whether the points of a metric are totals, of which increments can be made.
pub(in super::super) fn is_total(metric: &Metric) -> bool {
    match &metric.data {
        Some(Data::Sum(sum)) => is_cumulative(sum.is_monotonic, sum.aggregation_temporality),
        Some(Data::Histogram(histogram)) => is_cumulative(true, histogram.aggregation_temporality),
        _ => false,
    }
}

fn is_cumulative(monotonic: bool, temporality: i32) -> bool {
    monotonic && temporality == AggregationTemporality::Cumulative as i32
}

struct Conversion<'a> {
    delta: &'a mut Delta,
    temporality: Temporality,
    /// Origins that were met before.
    met: HashSet<u64>,
    /// Origins that are met now.
    seen: HashSet<u64>,
    now: u64,
    hold: bool,
    converted: Converted,
}

/// Destination of a point of a conversion.
enum Place {
    Increment(Change),
    Other(Option<Change>),
    Nowhere,
}

impl Conversion<'_> {
    fn metric(&mut self, mut metric: Metric) {
        const DELTA: i32 = AggregationTemporality::Delta as i32;
        // What is left of the metric is the head that each of its parts repeats.
        match metric.data.take() {
            Some(Data::Sum(mut sum))
                if is_cumulative(sum.is_monotonic, sum.aggregation_temporality) =>
            {
                let delta = self.temporality == Temporality::Delta;
                if delta {
                    sum.aggregation_temporality = DELTA;
                }
                let points = std::mem::take(&mut sum.data_points);
                let data = |data_points| Data::Sum(Sum { data_points, ..sum });
                self.points(&metric, points, delta, data);
            }
            Some(Data::Histogram(mut histogram))
                if is_cumulative(true, histogram.aggregation_temporality) =>
            {
                let delta = self.temporality != Temporality::Cumulative;
                if delta {
                    histogram.aggregation_temporality = DELTA;
                }
                let points = std::mem::take(&mut histogram.data_points);
                let data = |data_points| Data::Histogram(Histogram { data_points, ..histogram });
                self.points(&metric, points, delta, data);
            }
            Some(data) => {
                let Sequence { metrics, changes } = &mut self.converted.others;
                changes.resize_with(changes.len() + count(&data), || None);
                metrics.push(Metric { data: Some(data), ..metric });
            }
            None => {}
        }
    }

    fn points<P: Point>(
        &mut self,
        head: &Metric,
        points: Vec<P>,
        delta: bool,
        data: impl Fn(Vec<P>) -> Data,
    ) {
        let (mut increments, mut others) = (Vec::new(), Vec::new());
        for mut point in points {
            let (_, _, time) = point.series();
            self.now = self.now.max(time);
            let place = match delta {
                _ if self.hold && delta => Place::Nowhere,
                true => self.increment(&head.name, &mut point),
                false => Place::Other(self.total(&head.name, &point)),
            };
            // A clock that was set back must not make a point begin in the future.
            let (_, start, time) = point.series();
            if start >= time {
                point.set_start(if delta { time.saturating_sub(1) } else { time });
            }
            match place {
                Place::Increment(change) => {
                    self.converted.increments.changes.push(Some(change));
                    increments.push(point);
                }
                Place::Other(change) => {
                    self.converted.others.changes.push(change);
                    others.push(point);
                }
                Place::Nowhere => {}
            }
        }
        let Converted { increments: to_increments, others: to_others } = &mut self.converted;
        for (points, sequence) in [(increments, to_increments), (others, to_others)] {
            if !points.is_empty() {
                sequence.metrics.push(Metric { data: Some(data(points)), ..head.clone() });
            }
        }
    }

    /// A total that is told as such: it counts as told once it is acknowledged.
    fn total(&self, metric: &str, point: &dyn Point) -> Option<Change> {
        let total = point.total().filter(|_| self.delta.in_use && !self.hold)?;
        let (attributes, origin, time) = point.series();
        let (key, action) = key(metric, attributes);
        let acknowledged = Acknowledged { origin, time, total };
        Some(Change { key: key.into_vec(), action, acknowledged })
    }

    fn increment<P: Point>(&mut self, metric: &str, point: &mut P) -> Place {
        let Some(total) = point.total() else { return Place::Other(None) };
        let (attributes, origin, time) = point.series();
        let (key, action) = key(metric, attributes);
        self.seen.insert(origin);
        let known = self.delta.groups.get(&key).and_then(|group| group.get(&action));
        let now = Acknowledged { origin, time, total };
        let added = match known {
            Some(known) if known.origin == origin => {
                if !now.total.fits(&known.total) {
                    return self.adopt(key, &action, now);
                }
                if !now.total.covers(&known.total) {
                    // The ledger went back to an older save, and counts the same jobs once more.
                    return Place::Nowhere;
                }
                let added = now.total.minus(&known.total);
                point.set(&added);
                point.set_start(known.time);
                added
            }
            Some(known) => {
                point.set_start(origin.max(known.time));
                now.total.clone()
            }
            None if origin < self.delta.opened && !self.met.contains(&origin) => {
                return self.adopt(key, &action, now);
            }
            // One that is born later may have an old origin too, that of its kin, and is whole.
            None => now.total.clone(),
        };
        if added.is_zero() {
            // It may be lost without harm, and its end is where the next one begins.
            self.adopt(key, &action, now);
            return Place::Other(None);
        }
        Place::Increment(Change { key: key.into_vec(), action, acknowledged: now })
    }

    /// Counts on from here without telling it.
    fn adopt(&mut self, key: Key, action: &str, now: Acknowledged) -> Place {
        self.delta.groups.entry(key).or_default().set(action, now);
        Place::Nowhere
    }
}
