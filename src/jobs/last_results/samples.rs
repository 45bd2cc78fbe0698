//! What is known, as series.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::last_result::LastResult;
use super::metrics::{CLIENT, FOLDED, LAST_JOB_SUCCESS, Metrics, POLICY};
use super::name_results::NameResults;
use super::{LastResults, Subject};
use crate::metric::Samples;

impl LastResults {
    /// Adds the series of all names. `action` renames job types on the way out; types that it gives
    /// one name are taken together.
    pub fn samples<'a>(&'a self, action: impl Fn(&'a str) -> &'a str, samples: &mut Samples) {
        let metrics = match self.subject {
            Subject::Client => &CLIENT,
            Subject::Policy => &POLICY,
        };
        for entry in self.entries.values() {
            entry.samples(metrics, &action, samples);
        }
        samples.record(&FOLDED, [self.subject.label()], self.folded as f64);
    }
}

impl NameResults {
    fn samples<'a>(
        &'a self,
        metrics: &'static Metrics,
        action: &impl Fn(&'a str) -> &'a str,
        samples: &mut Samples,
    ) {
        let name = self.label.as_ref();
        if let Some(end) = self.backup {
            samples.record(&metrics.last_backup, [name], seconds(end));
        }
        if let Some(has_backup) = self.has_backup() {
            let never = if has_backup { 0.0 } else { 1.0 };
            samples.record(&metrics.never_succeeded, [name], never);
        }
        let mut by_action: BTreeMap<&str, Cow<'_, LastResult>> = BTreeMap::new();
        for (job_type, last) in &self.types {
            by_action
                .entry(action(job_type))
                .and_modify(|known| _ = known.to_mut().merge(last))
                .or_insert(Cow::Borrowed(last));
        }
        for (action, last) in by_action {
            last.samples(metrics, [name, action], samples);
        }
        let mut successes: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for ((policy, job_type), end) in &self.pairs {
            let newest = successes.entry((policy, action(job_type))).or_insert(*end);
            *newest = (*newest).max(*end);
        }
        for ((policy, action), end) in successes {
            samples.record(&LAST_JOB_SUCCESS, [name, policy, action], seconds(end));
        }
    }
}

impl LastResult {
    fn samples(&self, metrics: &'static Metrics, labels: [&str; 2], samples: &mut Samples) {
        let done = self.done.as_ref();
        let values = [
            (&metrics.last_success, self.success.map(seconds)),
            (&metrics.last_failure, self.failure.map(seconds)),
            (&metrics.last_status, self.status().map(|status| status as f64)),
            (&metrics.failures, Some(self.consecutive_failures() as f64)),
            (&metrics.last_bytes, done.and_then(super::last_result::Done::bytes)),
            (&metrics.last_duration, done.and_then(super::last_result::Done::duration)),
        ];
        for (metric, value) in values {
            if let Some(value) = value {
                samples.record(metric, labels, value);
            }
        }
    }
}

/// Unix ms as Unix seconds.
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
