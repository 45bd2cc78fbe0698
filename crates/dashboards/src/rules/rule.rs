//! The types of rules.

use crate::query::{Query, Selector};

/// A recording rule.
#[derive(Debug)]
pub struct Recorded {
    /// `level:metric:operations`.
    pub name: &'static str,
    /// The purpose, for people.
    pub help: &'static str,
    /// Returns the recorded expression.
    pub query: fn() -> Query,
}

/// The urgency of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Now: backups do not run, nobody sees them, or data is at risk.
    Critical,
    /// Today.
    Warning,
    /// To know.
    Info,
}

impl Severity {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// An alert.
#[derive(Debug)]
pub struct Alert {
    /// Its name, and its heading in docs/runbook.md.
    pub name: &'static str,
    /// The group of rules that it is in.
    pub group: &'static str,
    /// The urgency of an alert.
    pub severity: Severity,
    /// The alert fires for each series of this.
    pub when: Query,
    /// The time for which it must hold.
    pub hold: &'static str,
    /// A line with the labels that distinguish alerts of this name.
    pub summary: &'static str,
    /// The meaning, with the value.
    pub description: &'static str,
    /// The first steps.
    pub runbook: &'static str,
}

impl Alert {
    /// Returns the anchor of the alert in docs/runbook.md.
    pub fn anchor(&self) -> String {
        self.name.to_lowercase()
    }
}

/// Selects all series of a metric.
pub(super) fn m(name: &'static str) -> Selector {
    Selector::every(name)
}
