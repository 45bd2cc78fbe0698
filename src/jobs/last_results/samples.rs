//! Last results as series.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::last_result::{Done, LastResult};
use super::metrics::{CLIENT, FOLDED, LAST_JOB_SUCCESS, Metrics, POLICY};
use super::name_results::NameResults;
use super::subject::Subject;
use crate::metric::Samples;

/// Adds the series of a name. `action` renames job types; types with one action are merged.
pub(super) fn record<'a>(
    subject: Subject,
    entry: &'a NameResults,
    action: &impl Fn(&'a str) -> &'a str,
    samples: &mut Samples,
) {
    let metrics = match subject {
        Subject::Client => &CLIENT,
        Subject::Policy => &POLICY,
    };
    let name = entry.label.as_ref();
    if let Some(end) = entry.backup {
        samples.record(&metrics.last_backup, [name], seconds(end));
    }
    if let Some(has_backup) = entry.has_backup() {
        let never = if has_backup { 0.0 } else { 1.0 };
        samples.record(&metrics.never_succeeded, [name], never);
    }
    let mut by_action: BTreeMap<&str, Cow<'_, LastResult>> = BTreeMap::new();
    for (job_type, last) in &entry.types {
        by_action
            .entry(action(job_type))
            .and_modify(|known| _ = known.to_mut().merge(last))
            .or_insert(Cow::Borrowed(last));
    }
    for (action, last) in by_action {
        record_type(&last, metrics, [name, action], samples);
    }
    let mut successes: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for ((policy, job_type), end) in &entry.pairs {
        let newest = successes.entry((policy, action(job_type))).or_insert(*end);
        *newest = (*newest).max(*end);
    }
    for ((policy, action), end) in successes {
        samples.record(&LAST_JOB_SUCCESS, [name, policy, action], seconds(end));
    }
}

/// Adds the number of jobs of names without room.
pub(super) fn record_folded(subject: Subject, jobs: u64, samples: &mut Samples) {
    samples.record(&FOLDED, [subject.label()], jobs as f64);
}

fn record_type(
    last: &LastResult,
    metrics: &'static Metrics,
    labels: [&str; 2],
    samples: &mut Samples,
) {
    let done = last.done.as_ref();
    let values = [
        (&metrics.last_success, last.success.map(seconds)),
        (&metrics.last_failure, last.failure.map(seconds)),
        (&metrics.last_status, last.status().map(|status| status as f64)),
        (&metrics.failures, Some(last.consecutive_failures() as f64)),
        (&metrics.last_bytes, done.and_then(Done::bytes)),
        (&metrics.last_duration, done.and_then(Done::duration)),
    ];
    for (metric, value) in values {
        if let Some(value) = value {
            samples.record(metric, labels, value);
        }
    }
}

/// Returns Unix ms as Unix seconds.
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
