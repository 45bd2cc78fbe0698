//! Model of metrics: the declaration of a metric, made once beside the code that fills it, and the
//! samples of one fold. Instruments, the exposition, OTLP, docs/metrics.md and the tests walk the
//! same declarations.
//!
//! This module uses no metric library, so collectors depend on none.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

/// The label of what the server left out: an empty one would be no label at all.
pub const UNKNOWN: &str = "UNKNOWN";

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Gauge,
    /// A monotonic total; it starts at the origin of the part that carries it.
    Counter,
    /// A cumulative distribution over these upper bounds (ascending, `+Inf` not named).
    Histogram(&'static [f64]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Series of one site: each carries the attribute `site`, which the snapshot adds.
    Site,
    /// Series of the process, made for each scrape and each export.
    Agent,
}

/// The declaration of a metric.
#[derive(Debug, PartialEq)]
pub struct Definition {
    /// The OpenTelemetry name, dotted.
    pub name: &'static str,
    /// The UCUM unit; `By` and `s` become a suffix in Prometheus, `{thing}` and none do not.
    pub unit: &'static str,
    pub kind: Kind,
    pub scope: Scope,
    /// In the order in which values are recorded, without `site`.
    pub attributes: &'static [&'static str],
    /// Sentence for the operator: what the metric counts, from which source, and its limits.
    pub help: &'static str,
}

impl Definition {
    /// Returns the name in the Prometheus exposition: dots become underscores, the unit a suffix,
    /// counters end in `_total` (OpenTelemetry's translation, as opentelemetry-prometheus does it).
    pub fn prometheus_name(&self) -> String {
        let unit = match self.unit {
            "By" => "_bytes",
            "s" => "_seconds",
            "ms" => "_milliseconds",
            "1" => "_ratio",
            _ => "",
        };
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", self.name.replace('.', "_"))
    }

    /// Returns all attribute keys of a series, sorted, including `site`.
    pub fn sorted_keys(&self) -> Vec<&'static str> {
        let mut keys = self.attributes.to_vec();
        if self.scope == Scope::Site {
            keys.push("site");
        }
        keys.sort_unstable();
        keys
    }
}

/// A declared metric with `N` attributes. Recording with another number does not compile.
#[derive(Debug)]
pub struct Metric<const N: usize>(Definition);

impl<const N: usize> Metric<N> {
    const fn new(
        (scope, kind): (Scope, Kind),
        name: &'static str,
        unit: &'static str,
        attributes: &'static [&'static str; N],
        help: &'static str,
    ) -> Self {
        Self(Definition { name, unit, kind, scope, attributes, help })
    }

    /// Declares a gauge of a site.
    pub const fn gauge(
        name: &'static str,
        unit: &'static str,
        attributes: &'static [&'static str; N],
        help: &'static str,
    ) -> Self {
        Self::new((Scope::Site, Kind::Gauge), name, unit, attributes, help)
    }

    /// Declares a monotonic counter of a site.
    pub const fn counter(
        name: &'static str,
        unit: &'static str,
        attributes: &'static [&'static str; N],
        help: &'static str,
    ) -> Self {
        Self::new((Scope::Site, Kind::Counter), name, unit, attributes, help)
    }

    /// Declares a histogram of a site over ascending upper bounds.
    pub const fn histogram(
        name: &'static str,
        unit: &'static str,
        bounds: &'static [f64],
        attributes: &'static [&'static str; N],
        help: &'static str,
    ) -> Self {
        Self::new((Scope::Site, Kind::Histogram(bounds)), name, unit, attributes, help)
    }

    /// Declares a gauge of the process.
    pub const fn agent_gauge(
        name: &'static str,
        unit: &'static str,
        attributes: &'static [&'static str; N],
        help: &'static str,
    ) -> Self {
        Self::new((Scope::Agent, Kind::Gauge), name, unit, attributes, help)
    }

    /// Declares a monotonic counter of the process.
    pub const fn agent_counter(
        name: &'static str,
        unit: &'static str,
        attributes: &'static [&'static str; N],
        help: &'static str,
    ) -> Self {
        Self::new((Scope::Agent, Kind::Counter), name, unit, attributes, help)
    }

    /// Returns the declaration without its arity, as tables hold it.
    pub const fn definition(&'static self) -> &'static Definition {
        &self.0
    }
}

/// A cumulative distribution: one count per bound of its metric and one above the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Counts per bucket, not cumulated; the last one is above the highest bound.
    pub counts: Vec<u64>,
    pub sum: f64,
}

impl Distribution {
    pub fn new(bounds: &[f64]) -> Self {
        Self { counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Adds one observation; `bounds` are those it was made with. A bound belongs to its bucket.
    pub fn observe(&mut self, bounds: &[f64], value: f64) {
        let bucket = bounds.partition_point(|bound| value > *bound);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
            self.sum += value;
        }
    }

    /// Adds what another one over the same bounds observed.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }

    /// Returns the number of observations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a gauge or a counter.
    Number(f64),
    /// Of a histogram.
    Distribution(Box<Distribution>),
}

/// A series and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Values in the order of [`Definition::attributes`], shared by metrics with the same ones.
    pub attributes: Arc<[Arc<str>]>,
    pub value: Value,
}

/// All series that one fold produced for one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    pub definition: &'static Definition,
    /// Sorted by the values of the attributes in order of their keys, and free of duplicates, once
    /// [`Samples::finish`] ran.
    pub points: Vec<Point>,
}

/// Families in groups that change one by one: a group in which nothing changed is the same as before.
pub type SeriesGroups = Vec<Arc<Vec<Family>>>;

/// Order of the series of a metric: by the values of its attributes, the attributes sorted by key. The
/// exposition has them in the same order.
#[derive(Debug)]
pub(crate) struct SeriesOrder(Vec<usize>);

impl SeriesOrder {
    pub(crate) fn of(definition: &Definition) -> Self {
        let mut places: Vec<usize> = (0..definition.attributes.len()).collect();
        places.sort_unstable_by_key(|place| definition.attributes.get(*place));
        Self(places)
    }

    pub(crate) fn compare(&self, one: &Point, other: &Point) -> Ordering {
        // Points that are made of others share all of them.
        if Arc::ptr_eq(&one.attributes, &other.attributes) {
            return Ordering::Equal;
        }
        let values = self.0.iter().map(|place| {
            match (one.attributes.get(*place), other.attributes.get(*place)) {
                // Most series of one fold share most of their values.
                (Some(one), Some(other)) if Arc::ptr_eq(one, other) => Ordering::Equal,
                (one, other) => one.cmp(&other),
            }
        });
        values.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// Maximum length of the value of a label, bytes.
const LONGEST_LABEL: usize = 1024;

/// Returns `text` as the value of a label. One that is too long is cut, and ends in a digest of all of
/// it, so that two that begin alike stay two series.
fn label_value(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST_LABEL {
        return Cow::Borrowed(text);
    }
    let digest = Sha256::digest(text.as_bytes());
    let digest = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let digest = format!("{digest:016x}");
    let mut end = LONGEST_LABEL - digest.len() - 1;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}~{digest}", &text[..end]))
}

/// Series of declared metrics, recorded in one fold. Equal label values share memory.
#[derive(Debug, Default)]
pub struct Samples {
    families: Vec<Family>,
    /// Place of the family that was recorded last: the next is often the one after it.
    last: usize,
    /// Attributes that were recorded last: the next are often the same, or many of them.
    attributes: Arc<[Arc<str>]>,
    names: HashSet<Arc<str>>,
}

impl Samples {
    pub fn new() -> Self {
        Self::default()
    }

    /// Records one series of a gauge or a counter. `None`, NaN and infinities are "unknown" and recorded
    /// as nothing: absent, never a number that lies.
    pub fn record<const N: usize>(
        &mut self,
        metric: &'static Metric<N>,
        attributes: [&str; N],
        value: impl Into<Option<f64>>,
    ) {
        if let Some(value) = value.into().filter(|value| value.is_finite()) {
            self.push(metric.definition(), &attributes, Value::Number(value));
        }
    }

    /// Records one series of a histogram.
    pub fn distribution<const N: usize>(
        &mut self,
        metric: &'static Metric<N>,
        attributes: [&str; N],
        value: Distribution,
    ) {
        self.push(metric.definition(), &attributes, Value::Distribution(Box::new(value)));
    }

    fn push(&mut self, definition: &'static Definition, attributes: &[&str], value: Value) {
        if !self.attributes.iter().map(AsRef::as_ref).eq(attributes.iter().copied()) {
            let last = std::mem::take(&mut self.attributes);
            let shared = attributes.iter().enumerate().map(|(place, text)| {
                let last = last.get(place).filter(|last| ***last == **text);
                last.map_or_else(|| self.intern(text), Arc::clone)
            });
            self.attributes = shared.collect();
        }
        let place = self.place(definition);
        let attributes = Arc::clone(&self.attributes);
        self.families[place].points.push(Point { attributes, value });
    }

    /// Returns the place of the family of a metric, created if there is none.
    fn place(&mut self, definition: &'static Definition) -> usize {
        let is_it = |family: &Family| std::ptr::eq(family.definition, definition);
        let (before, after) = self.families.split_at(self.last.min(self.families.len()));
        let found = after.iter().position(is_it).map(|place| before.len() + place);
        self.last = found.or_else(|| before.iter().position(is_it)).unwrap_or_else(|| {
            self.families.push(Family { definition, points: Vec::new() });
            self.families.len() - 1
        });
        self.last
    }

    fn intern(&mut self, text: &str) -> Arc<str> {
        let value = label_value(text);
        if let Some(known) = self.names.get(&*value) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = Arc::from(&*value);
        self.names.insert(Arc::clone(&shared));
        shared
    }

    /// Takes what was recorded, unsorted. What is recorded from here on shares the values of labels with it.
    pub(crate) fn take(&mut self) -> Vec<Family> {
        std::mem::take(&mut self.families)
    }

    /// Sorts every family and drops series that occur twice (the first recorded stays). Returns the
    /// families and how many series were dropped.
    pub fn finish(mut self) -> (Vec<Family>, usize) {
        let mut dropped = 0;
        for family in &mut self.families {
            let order = SeriesOrder::of(family.definition);
            family.points.sort_by(|a, b| order.compare(a, b));
            let before = family.points.len();
            family.points.dedup_by(|later, first| later.attributes == first.attributes);
            dropped += before - family.points.len();
            // Snapshots keep it for long.
            family.points.shrink_to_fit();
        }
        (self.families, dropped)
    }

    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }
}

/// Returns 1 for true, else 0.
pub fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// Returns a time as Unix seconds, for `*_timestamp_seconds`; 0 for one before 1970.
pub fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    static DISK: Metric<2> = Metric::gauge("nbu.disk", "By", &["name", "size"], "help");
    static DONE: Metric<0> = Metric::counter("nbu.jobs.done", "{job}", &[], "help");
    static TOOK: Metric<0> = Metric::histogram("nbu.took", "s", &[1.0, 2.0], &[], "help");

    #[test]
    fn names_follow_the_translation_of_opentelemetry() {
        assert_eq!(DISK.definition().prometheus_name(), "nbu_disk_bytes");
        assert_eq!(DONE.definition().prometheus_name(), "nbu_jobs_done_total");
        assert_eq!(TOOK.definition().prometheus_name(), "nbu_took_seconds");
        assert_eq!(DISK.definition().sorted_keys(), ["name", "site", "size"]);
    }

    #[test]
    fn duplicate_series_is_kept_once_and_counted() {
        let mut samples = Samples::new();
        samples.record(&DISK, ["b", "free"], 1.0);
        samples.record(&DISK, ["a", "free"], 2.0);
        samples.record(&DISK, ["b", "free"], 3.0);
        let (families, dropped) = samples.finish();
        assert_eq!(dropped, 1);
        let seen: Vec<_> = families[0]
            .points
            .iter()
            .map(|point| (point.attributes[0].as_ref(), point.value.clone()))
            .collect();
        assert_eq!(seen, [("a", Value::Number(2.0)), ("b", Value::Number(1.0))]);
    }

    #[test]
    fn long_label_values_are_cut_and_stay_apart() {
        let long = |end: &str| format!("{}{end}", "é".repeat(2000));
        let values = ["short".to_owned(), "x".repeat(1024), long("a"), long("b"), "y".repeat(1025)];
        let mut samples = Samples::new();
        for value in &values {
            samples.record(&DISK, [value, "free"], 1.0);
        }
        let (families, dropped) = samples.finish();
        let shown: Vec<&str> = families[0].points.iter().map(|p| &*p.attributes[0]).collect();
        assert_eq!((shown.len(), dropped), (5, 0), "none falls together with another one");
        assert!(shown.iter().all(|value| value.len() <= 1024), "{shown:?}");
        let whole = shown.iter().filter(|value| values.iter().any(|known| known == *value));
        assert_eq!(whole.count(), 2);
    }

    #[test]
    fn nan_is_not_recorded() {
        let mut samples = Samples::new();
        samples.record(&DONE, [], f64::NAN);
        samples.record(&DONE, [], f64::INFINITY);
        assert!(samples.is_empty());
    }

    #[test]
    fn bucket_includes_its_upper_bound() {
        let Kind::Histogram(bounds) = TOOK.definition().kind else { panic!("not a histogram") };
        let mut distribution = Distribution::new(bounds);
        for value in [0.5, 1.0, 1.5, 2.0, 9.0] {
            distribution.observe(bounds, value);
        }
        assert_eq!(distribution.counts, [2, 2, 1]);
        assert_eq!(distribution.count(), 5);
        assert!((distribution.sum - 14.0).abs() < f64::EPSILON);
    }
}
