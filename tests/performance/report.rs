//! Measured values beside their limits.

use std::fmt::Display;

/// The lines of a test, and what they exceed.
#[derive(Default)]
pub struct Report {
    exceeded: Vec<String>,
}

impl Report {
    /// Prints a value that nothing is asserted of.
    #[allow(clippy::unused_self, reason = "a report is told everything, and fails by some of it")]
    pub fn note(&self, name: &str, value: impl Display, limit: impl Display) {
        println!("{name} | {value} | {limit}");
    }

    /// Prints a value and its limit. It is exceeded by more than `headroom` times the limit.
    pub fn hold(&mut self, name: &str, value: f64, limit: f64, unit: &str, headroom: f64) {
        self.note(name, format!("{value:.2} {unit}"), format!("{limit:.2} {unit}"));
        // NaN is no value that keeps a limit.
        let kept = value <= limit * headroom;
        if !kept {
            self.exceeded.push(format!("{name}: {value:.2} {unit}, limit {limit:.2} x {headroom}"));
        }
    }

    /// Fails if a limit was exceeded.
    pub fn end(self) {
        assert!(self.exceeded.is_empty(), "exceeded:\n{}", self.exceeded.join("\n"));
    }
}

/// Returns the median and the largest of the values.
pub fn spread(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[values.len() - 1])
}
