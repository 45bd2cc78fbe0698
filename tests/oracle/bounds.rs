//! Lowest and highest values that series may have.

use std::collections::BTreeMap;

use crate::support::exposition::Series;

/// Sums of floats may differ in their last digits, as their order does.
const PRECISION: f64 = 1e-9;

/// The lowest and the highest value of each series. A series that is not here may not be above zero.
#[derive(Debug, Default)]
pub struct Bounds(BTreeMap<Series, (f64, f64)>);

impl Bounds {
    /// Adds to both bounds of a series, or to the upper one alone.
    pub fn add(&mut self, series: Series, value: f64, is_certain: bool) {
        let (low, high) = self.0.entry(series).or_default();
        *low += if is_certain { value } else { 0.0 };
        *high += value;
    }

    /// Says in words which of the series shown lie outside of their bounds. A series that is not shown
    /// counts as zero.
    pub fn violations(&self, shown: &BTreeMap<Series, f64>) -> Vec<String> {
        let mut violations = Vec::new();
        for (series, (low, high)) in &self.0 {
            let value = shown.get(series).copied().unwrap_or_default();
            let slack = high.abs() * PRECISION;
            if value < low - slack || value > high + slack {
                violations.push(format!("{series:?} is {value}, promised is {low} to {high}"));
            }
        }
        let others = shown
            .iter()
            .filter(|(series, value)| !self.0.contains_key(*series) && value.abs() > f64::EPSILON);
        violations.extend(others.map(|(series, value)| format!("{series:?} is {value}, not 0")));
        violations
    }
}
