//! The increase of totals over all scrapes, as Prometheus sees it.

use std::collections::BTreeMap;

use crate::support::exposition::Series;

/// Sums up increments. A value below the last one is a counter that began anew at zero.
#[derive(Debug, Default)]
pub struct Increase {
    last: BTreeMap<Series, f64>,
    sums: BTreeMap<Series, f64>,
    resets: Vec<String>,
    may_go_back: bool,
}

impl Increase {
    /// Takes in a scrape. Series that it lacks keep their last value.
    pub fn scraped(&mut self, totals: &BTreeMap<Series, f64>) {
        for (series, value) in totals {
            let last = self.last.insert(series.clone(), *value).unwrap_or_default();
            let began_anew = *value < last && !self.may_go_back;
            if began_anew {
                self.resets.push(format!("{series:?} went from {last} down to {value}"));
            }
            let increment = if began_anew { *value } else { value - last };
            *self.sums.entry(series.clone()).or_default() += increment;
        }
    }

    /// The totals of another server are shown from now on: they begin at zero, or go on from there.
    pub fn begins_anew(&mut self) {
        self.last.clear();
    }

    /// Allows values to go back: state on disk is older than what was exported, so that until the next
    /// settled moment a smaller value is the past and no new beginning.
    pub fn may_go_back(&mut self, may: bool) {
        self.may_go_back = may;
    }

    /// The increase of each series since the first scrape.
    pub fn sums(&self) -> &BTreeMap<Series, f64> {
        &self.sums
    }

    /// Series that went down, in words.
    pub fn resets(&self) -> &[String] {
        &self.resets
    }
}
