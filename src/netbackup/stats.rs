//! Statistics of the client's own requests, and the observer that traces are made with.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::error::ErrorKind;

/// Upper bounds of the duration histogram, seconds.
pub(crate) const DURATION_BOUNDS: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Status(u16),
    Failed(ErrorKind),
}

impl Outcome {
    /// Returns the value of the label: `200`, `401`, `timeout`, `connect` and the like.
    pub fn label(self) -> Cow<'static, str> {
        match self {
            Self::Status(200) => Cow::Borrowed("200"),
            Self::Status(status) => Cow::Owned(status.to_string()),
            Self::Failed(kind) => Cow::Borrowed(kind.label()),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct DurationHistogram {
    /// A count for each of [`DURATION_BOUNDS`], not cumulative, and a last one for those above.
    pub counts: [u64; DURATION_BOUNDS.len() + 1],
    pub sum: f64,
}

/// The statistics since the client was made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StatsSnapshot {
    pub requests: BTreeMap<(&'static str, Outcome), u64>,
    /// Durations of the attempts by resource name, including attempts without a response.
    pub durations: BTreeMap<&'static str, DurationHistogram>,
    /// Duration of the last complete response, milliseconds.
    pub last_response_ms: Option<f64>,
    pub last_success: Option<Instant>,
    pub retries: u64,
}

#[derive(Debug, Default)]
pub(super) struct Stats(Mutex<StatsSnapshot>);

impl Stats {
    fn lock(&self) -> MutexGuard<'_, StatsSnapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self, resource: &'static str, outcome: Outcome, took: Duration) {
        let seconds = took.as_secs_f64();
        let mut stats = self.lock();
        *stats.requests.entry((resource, outcome)).or_default() += 1;
        let histogram = stats.durations.entry(resource).or_default();
        histogram.counts[DURATION_BOUNDS.partition_point(|bound| seconds > *bound)] += 1;
        histogram.sum += seconds;
        if matches!(outcome, Outcome::Status(_)) {
            stats.last_response_ms = Some(seconds * 1000.0);
        }
        if matches!(outcome, Outcome::Status(200..=299)) {
            stats.last_success = Some(Instant::now());
        }
    }

    pub(super) fn retried(&self) {
        self.lock().retries += 1;
    }

    pub(super) fn last_success(&self) -> Option<Instant> {
        self.lock().last_success
    }

    pub(super) fn snapshot(&self) -> StatsSnapshot {
        self.lock().clone()
    }
}

#[derive(Debug, Clone, Copy)]
pub struct RequestRecord<'a> {
    pub site: &'a str,
    pub resource: &'static str,
    /// `GET` or `POST`.
    pub method: &'static str,
    pub outcome: Outcome,
    pub started: SystemTime,
    pub duration: Duration,
    /// 1 for the first.
    pub attempt: u32,
}

/// An observer of completed attempts. It is called on an async worker and must not block.
pub trait RequestObserver: Send + Sync {
    fn on_request(&self, request: &RequestRecord<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_by_resource_and_outcome() {
        let stats = Stats::default();
        stats.record("jobs", Outcome::Status(200), Duration::from_millis(10));
        stats.record("jobs", Outcome::Failed(ErrorKind::Timeout), Duration::from_secs(60));
        let snapshot = stats.snapshot();
        assert_eq!(snapshot.requests[&("jobs", Outcome::Status(200))], 1);
        assert_eq!(snapshot.requests[&("jobs", Outcome::Failed(ErrorKind::Timeout))], 1);
        let histogram = &snapshot.durations["jobs"];
        assert_eq!((histogram.counts[1], histogram.counts[12]), (1, 1), "a bound is inclusive");
        assert!((histogram.sum - 60.01).abs() < 1e-9);
        assert_eq!(snapshot.last_response_ms, Some(10.0), "a timeout is no response");
    }

    #[test]
    fn outcome_label_is_status_or_kind() {
        assert_eq!(Outcome::Status(200).label(), "200");
        assert_eq!(Outcome::Status(503).label(), "503");
        assert_eq!(Outcome::Failed(ErrorKind::Connect).label(), "connect");
    }
}
