//! Rows counted by their labels, for the collectors that do nothing else.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use crate::metric::{Metric, Samples, UNKNOWN};
use crate::netbackup::lenient::Text;
use crate::netbackup::wire::Id;

/// The label of values beyond [`MAX_VALUES`], or of a closed set.
pub(super) const OTHER: &str = "OTHER";

/// Combinations of labels that one collector tells apart. Values that the agent does not know are
/// carried as they come; a server that makes up a new one for each row must not flood the metrics.
const MAX_VALUES: usize = 10_000;

/// Returns the label of a value that may be missing.
pub(super) fn label<'a>(value: &'a Text<'_>) -> &'a str {
    value.as_deref().map(str::trim).filter(|text| !text.is_empty()).unwrap_or(UNKNOWN)
}

/// Returns a size or a limit; `None` if it is unknown: the largest integer, or a negative one.
pub(super) fn known(value: Option<i64>) -> Option<i64> {
    value.filter(|number| (0..i64::MAX).contains(number))
}

/// Returns a size or a limit as a sample; `None` if it is unknown.
pub(super) fn size(value: Option<i64>) -> Option<f64> {
    known(value).map(|number| number as f64)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counts<const N: usize>(BTreeMap<[Box<str>; N], u64>);

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<const N: usize> Counts<N> {
    pub(super) fn add(&mut self, labels: [&str; N]) {
        self.add_amount(labels, 1);
    }

    pub(super) fn add_amount(&mut self, labels: [&str; N], amount: u64) {
        let count = self.place(labels);
        *count = count.saturating_add(amount);
    }

    /// Has the combination exported, at 0 where no row has it.
    pub(super) fn expect(&mut self, labels: [&str; N]) {
        self.place(labels);
    }

    /// Sets all counts to 0, and keeps their combinations.
    pub(super) fn reset(&mut self) {
        self.0.values_mut().for_each(|count| *count = 0);
    }

    /// Forgets the combinations of which this is not true.
    pub(super) fn retain(&mut self, keep: impl Fn(&[Box<str>; N]) -> bool) {
        self.0.retain(|labels, _| keep(labels));
    }

    /// Returns the combinations at 0.
    pub(super) fn emptied(&self) -> Self {
        let mut emptied = self.clone();
        emptied.reset();
        emptied
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = ([&str; N], u64)> {
        self.0.iter().map(|(labels, count)| (labels.each_ref().map(|label| &**label), *count))
    }

    pub(super) fn record(&self, metric: &'static Metric<N>, samples: &mut Samples) {
        for (labels, count) in self.iter() {
            samples.record(metric, labels, count as f64);
        }
    }

    fn place(&mut self, labels: [&str; N]) -> &mut u64 {
        let labels = labels.map(Box::from);
        let full = self.0.len() >= MAX_VALUES && !self.0.contains_key(&labels);
        self.0.entry(if full { [(); N].map(|()| OTHER.into()) } else { labels }).or_default()
    }
}

/// Records that were met: a list that changes while it is paged may show one twice.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hasher: RandomState,
    ids: HashSet<u64>,
}

impl Seen {
    /// Returns whether an id is met for the first time; an empty one always is.
    pub(super) fn is_new(&mut self, id: &Id<'_>) -> bool {
        *id == Id::Missing || self.ids.insert(self.hasher.hash_one(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static COUNT: Metric<2> = Metric::gauge("test.count", "", &["a", "b"], "Help.");

    #[test]
    fn expected_value_without_rows_is_zero() {
        let mut counts = Counts::default();
        counts.expect(["x", "y"]);
        counts.add(["x", "z"]);
        counts.reset();
        counts.add(["x", "y"]);
        let mut samples = Samples::new();
        counts.record(&COUNT, &mut samples);
        let (families, _) = samples.finish();
        let values: Vec<_> = families[0].points.iter().map(|point| point.value.clone()).collect();
        assert_eq!(values, [1.0, 0.0].map(crate::metric::Value::Number));
    }

    #[test]
    fn values_beyond_the_limit_share_one_series() {
        let mut counts = Counts::default();
        for row in 0..MAX_VALUES + 500 {
            counts.add([&row.to_string(), "b"]);
        }
        counts.add(["7", "b"]);
        assert_eq!(counts.0.len(), MAX_VALUES + 1);
        assert_eq!(counts.0[&[OTHER.into(), OTHER.into()]], 500);
        assert_eq!(counts.0[&["7".into(), "b".into()]], 2);
    }

    #[test]
    fn missing_value_is_unknown() {
        assert_eq!(label(&None), UNKNOWN);
        assert_eq!(label(&Some(" ".into())), UNKNOWN);
        assert_eq!(label(&Some(" WRITE ".into())), "WRITE");
    }

    #[test]
    fn record_is_new_once() {
        let mut seen = Seen::default();
        assert!(seen.is_new(&Id::Number(1)) && seen.is_new(&Id::Text("1".into())));
        assert!(!seen.is_new(&Id::Number(1)) && !seen.is_new(&Id::Text("1".into())));
        assert!(seen.is_new(&Id::Missing) && seen.is_new(&Id::Missing));
    }
}
