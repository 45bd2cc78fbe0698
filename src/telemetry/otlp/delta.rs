//! From totals to increments, for receivers that want those (docs/adr/0017-delta.md).
//!
//! An increment is what was added since the last one of its series that was *acknowledged*. A request that
//! certainly failed leaves its series where they were, and the next increment covers both intervals. One
//! whose fate is not known (no answer, a process that was killed) stays in the *outbox* and is sent again as
//! it is, with the same start and end times, before anything else: a receiver that has it already can tell.
//!
//! [`Delta`] does no I/O. It outlives a rebuilt exporter, and, saved before each push, the process.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, metric::Data};
use prost::bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::config::Temporality;
use super::time::unix_nanos;
use group::{Acknowledged, Group, Present};
use point::{Point, key};

mod group;
mod point;
mod saved;
mod total;

/// A series that is gone is remembered for so long. It comes back with its total, so this is more than a site can be
/// away and still have its series.
const FORGET_AFTER_NANOS: u64 = 400 * 86_400 * 1_000_000_000;

/// The answers with an error that a receiver may give to a request in doubt, before the points go on in new
/// increments: it may be unable to take this one, which must not keep all later ones back.
const MAX_REFUSALS: u32 = 10;

/// Metric and attributes without the action.
type Key = Box<[u8]>;

/// Totals that the receivers have acknowledged, and requests that may be on their way to them.
#[derive(Debug)]
pub struct Delta {
    groups: HashMap<Key, Group>,
    outbox: Vec<Outgoing>,
    /// Origins that were met in this process.
    met: HashSet<u64>,
    /// Time at which this memory began, nanoseconds since 1970. A total that is met for the first
    /// time but has an earlier origin was reported to the receivers before, by whatever means.
    opened: u64,
    /// True once increments were asked for: until then nothing is remembered.
    in_use: bool,
}

/// Effect on a series of the acknowledgement of a point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    key: Vec<u8>,
    action: String,
    acknowledged: Acknowledged,
}

/// A request with increments.
#[derive(Debug)]
pub(super) struct Outgoing {
    body: Bytes,
    points: u64,
    changes: Vec<Change>,
    /// It was sent by an earlier export, or may have been by an earlier process.
    in_doubt: bool,
    /// It is being sent by this one.
    sent: Arc<AtomicBool>,
    refusals: u32,
}

/// The points of an export, in two sequences with the changes that go with each point.
#[derive(Debug, Default)]
pub struct Converted {
    /// Increments, which must not be lost or told twice.
    pub(super) increments: Sequence,
    /// Everything else: gauges, totals, increments of nothing.
    pub(super) others: Sequence,
}

/// Metrics, and what becomes of series when their points are acknowledged.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    pub(super) metrics: Vec<Metric>,
    pub(super) changes: Vec<Option<Change>>,
}

impl Sequence {
    /// Takes the changes of the points in a range.
    pub(super) fn take(&mut self, range: std::ops::Range<usize>) -> Vec<Change> {
        let taken = self.changes.get_mut(range).unwrap_or_default();
        taken.iter_mut().filter_map(Option::take).collect()
    }

    /// Takes points out that won't be sent.
    pub(super) fn forget(&mut self, places: &[usize]) {
        for place in places {
            if let Some(change) = self.changes.get_mut(*place) {
                *change = None;
            }
        }
    }
}

impl Outgoing {
    pub(super) fn new(body: Bytes, points: u64, changes: Vec<Change>, in_doubt: bool) -> Self {
        Self { body, points, changes, in_doubt, sent: Arc::default(), refusals: 0 }
    }

    /// Returns what its sender needs.
    pub(super) fn to_send(&self) -> ToSend {
        let (body, sent) = (self.body.clone(), Arc::clone(&self.sent));
        ToSend { body, points: self.points, sent }
    }
}

/// A request for its sender, who sets `sent` when it is on its way.
pub(super) struct ToSend {
    pub(super) body: Bytes,
    pub(super) points: u64,
    pub(super) sent: Arc<AtomicBool>,
}

/// Outcome of a request of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The receiver has it.
    Acknowledged,
    /// The receiver has it not, for a reason that has nothing to do with the request.
    Unsent,
    /// The receiver has it not, and does not want it.
    Refused,
    /// It is not known whether the receiver has it.
    Unknown {
        /// The receiver answered, with an error of its own.
        answered: bool,
    },
}

impl Default for Delta {
    fn default() -> Self {
        Self::opened_at(unix_nanos(SystemTime::now()))
    }
}

impl Delta {
    /// Makes an empty memory that began at `nanos` since 1970.
    pub fn opened_at(nanos: u64) -> Self {
        Self {
            groups: HashMap::new(),
            outbox: Vec::new(),
            met: HashSet::new(),
            opened: nanos,
            in_use: false,
        }
    }

    /// Returns true once increments were asked for.
    pub(super) const fn in_use(&self) -> bool {
        self.in_use
    }

    /// Notes that increments are asked for from now on.
    pub(super) const fn use_from_now_on(&mut self) {
        self.in_use = true;
    }

    /// Returns how many series are remembered.
    pub fn len(&self) -> usize {
        self.groups.values().map(|group| group.0.len()).sum()
    }

    /// Returns true if no series is remembered.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Returns the requests that wait to be sent, or to be sent again.
    pub(super) fn outbox(&self) -> &[Outgoing] {
        &self.outbox
    }

    /// Replaces the outbox, which must be empty.
    pub(super) fn set_outbox(&mut self, outbox: Vec<Outgoing>) {
        self.outbox = outbox;
    }

    /// Settles the outbox of an export that ended, however it ended: `fates` has what is known of its requests, by
    /// place. What was on its way without an answer stays.
    pub(super) fn settle(&mut self, mut fates: HashMap<usize, Fate>) {
        for (place, mut request) in std::mem::take(&mut self.outbox).into_iter().enumerate() {
            let sent = request.sent.swap(false, Relaxed);
            let fate = match fates.remove(&place) {
                Some(fate) => fate,
                None if sent || request.in_doubt => Fate::Unknown { answered: false },
                None => Fate::Unsent,
            };
            match fate {
                Fate::Acknowledged => self.commit(request.changes),
                Fate::Refused | Fate::Unsent if !request.in_doubt => {}
                Fate::Unsent => self.outbox.push(request),
                Fate::Refused | Fate::Unknown { .. } => {
                    request.in_doubt = true;
                    let answered = !matches!(fate, Fate::Unknown { answered: false });
                    request.refusals += u32::from(answered);
                    if request.refusals < MAX_REFUSALS {
                        self.outbox.push(request);
                    } else {
                        tracing::warn!(
                            points = request.points,
                            "OTLP metrics push: the receiver keeps failing a request whose first \
                             response was lost; its points move to later increments and may be \
                             counted twice"
                        );
                    }
                }
            }
        }
    }

    /// Takes note of points that were acknowledged.
    pub(super) fn commit(&mut self, changes: Vec<Change>) {
        for Change { key, action, acknowledged } in changes {
            self.groups.entry(key.into_boxed_slice()).or_default().set(&action, acknowledged);
        }
    }

    /// Notes that totals up to `time` were told as such, while no increments were asked for.
    pub(super) fn told_totals(&mut self, time: u64) {
        if !self.in_use {
            self.opened = self.opened.max(time);
        }
    }

    /// Turns the totals in `metrics` into increments as far as `temporality` wants them. With `hold`, increments
    /// are kept back: it is not known yet what they are counted from.
    pub fn convert(
        &mut self,
        metrics: Vec<Metric>,
        temporality: Temporality,
        hold: bool,
    ) -> Converted {
        self.in_use |= temporality != Temporality::Cumulative;
        let met = if self.in_use && !hold {
            self.reconcile(&metrics);
            self.origins()
        } else {
            HashSet::new()
        };
        let mut run = Run {
            delta: self,
            met,
            seen: HashSet::new(),
            now: 0,
            hold,
            converted: Converted::default(),
        };
        for metric in metrics {
            run.metric(metric, temporality);
        }
        let Run { converted, seen, now, .. } = run;
        self.met.extend(seen);
        let oldest = now.saturating_sub(FORGET_AFTER_NANOS);
        self.groups.retain(|_, group| {
            group.0.retain(|member| member.acknowledged.time >= oldest);
            !group.0.is_empty()
        });
        converted
    }

    fn origins(&self) -> HashSet<u64> {
        let members = self.groups.values().flat_map(|group| &group.0);
        let known = members.map(|member| member.acknowledged.origin);
        known.chain(self.met.iter().copied()).collect()
    }

    /// Moves what was acknowledged of series that were renamed.
    fn reconcile(&mut self, metrics: &[Metric]) {
        let mut present: HashMap<Key, Vec<Present>> = HashMap::new();
        let mut note = |name: &str, point: &dyn Point| {
            if let Some(total) = point.total() {
                let (key, action) = key(name, point.attributes());
                let (origin, _) = point.times();
                present.entry(key).or_default().push(Present { action, origin, total });
            }
        };
        for metric in metrics {
            match &metric.data {
                Some(Data::Sum(sum)) if is_total(sum.is_monotonic, sum.aggregation_temporality) => {
                    sum.data_points.iter().for_each(|point| note(&metric.name, point));
                }
                Some(Data::Histogram(histogram))
                    if is_total(true, histogram.aggregation_temporality) =>
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

fn is_total(monotonic: bool, temporality: i32) -> bool {
    monotonic && temporality == AggregationTemporality::Cumulative as i32
}

/// State of one conversion.
struct Run<'a> {
    delta: &'a mut Delta,
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

impl Run<'_> {
    fn metric(&mut self, mut metric: Metric, temporality: Temporality) {
        const DELTA: i32 = AggregationTemporality::Delta as i32;
        // What is left of the metric is the head that each of its parts repeats.
        match metric.data.take() {
            Some(Data::Sum(mut sum)) if is_total(sum.is_monotonic, sum.aggregation_temporality) => {
                let delta = temporality == Temporality::Delta;
                if delta {
                    sum.aggregation_temporality = DELTA;
                }
                let points = std::mem::take(&mut sum.data_points);
                self.points(&metric, points, delta, |data_points| {
                    Data::Sum(opentelemetry_proto::tonic::metrics::v1::Sum {
                        data_points,
                        ..sum.clone()
                    })
                });
            }
            Some(Data::Histogram(mut histogram))
                if is_total(true, histogram.aggregation_temporality) =>
            {
                let delta = temporality != Temporality::Cumulative;
                if delta {
                    histogram.aggregation_temporality = DELTA;
                }
                let points = std::mem::take(&mut histogram.data_points);
                self.points(&metric, points, delta, |data_points| {
                    Data::Histogram(opentelemetry_proto::tonic::metrics::v1::Histogram {
                        data_points,
                        ..histogram.clone()
                    })
                });
            }
            Some(data) => {
                let changes = &mut self.converted.others.changes;
                let places = changes.len() + point::count(&data);
                changes.resize_with(places, || None);
                self.converted.others.metrics.push(Metric { data: Some(data), ..metric });
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
            let (_, time) = point.times();
            self.now = self.now.max(time);
            let place = match delta {
                _ if self.hold && delta => Place::Nowhere,
                true => self.increment(&head.name, &mut point),
                false => Place::Other(self.total(&head.name, &point)),
            };
            // A clock that was set back must not make a point begin in the future.
            let (start, time) = point.times();
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
        let (origin, time) = point.times();
        let (key, action) = key(metric, point.attributes());
        let acknowledged = Acknowledged { origin, time, total };
        Some(Change { key: key.into_vec(), action, acknowledged })
    }

    /// Turns one point into its increment.
    fn increment<P: Point>(&mut self, metric: &str, point: &mut P) -> Place {
        let Some(total) = point.total() else { return Place::Other(None) };
        let (origin, time) = point.times();
        self.seen.insert(origin);
        let (key, action) = key(metric, point.attributes());
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

#[cfg(test)]
mod tests;
