//! Parts that the dashboards share: selectors, spans and thresholds.

use crate::grafana::Step;
use crate::query::Selector;

/// Selects the series of a metric that the variables choose.
pub(super) fn m(name: &'static str) -> Selector {
    Selector::shown(name)
}

/// Grafana's choice of a span that has enough samples.
pub(super) const SPAN: &str = "$__rate_interval";

/// The span of the time picker.
pub(super) const RANGE: &str = "$__range";

/// The family of jobs that missed their window or met a limit: no failures.
pub(super) const MISSED: &str = "window_or_limit";

/// More than none is bad.
pub(super) const NONE_IS_GOOD: [Step; 2] = [(None, "green"), (Some(1.0), "red")];

/// More than none is worth a look.
pub(super) const NONE_IS_BETTER: [Step; 2] = [(None, "green"), (Some(1.0), "orange")];

/// Shares of successes.
pub(super) const SUCCESS: [Step; 3] = [(None, "red"), (Some(0.9), "orange"), (Some(0.97), "green")];

/// Shares of space that is used.
pub(super) const FILLED: [Step; 3] = [(None, "green"), (Some(0.8), "orange"), (Some(0.9), "red")];

/// Days that are left.
pub(super) const DAYS: [Step; 3] = [(None, "red"), (Some(7.0), "orange"), (Some(30.0), "green")];

/// Seconds since the last restorable backup: a weekend is not old.
pub(super) const RESTORABLE: [Step; 3] =
    [(None, "green"), (Some(360_000.0), "orange"), (Some(864_000.0), "red")];

/// Seconds since the last good backup.
pub(super) const AGE: [Step; 3] =
    [(None, "green"), (Some(93_600.0), "orange"), (Some(172_800.0), "red")];
