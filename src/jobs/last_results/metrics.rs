//! The metrics of clients and of policies: two families of the same form, declared once; and last
//! results as their series.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::last_result::{Done, LastResult};
use super::name_results::NameResults;
use super::subject::Subject;
use crate::metric::{Definition, Metric, Samples};

struct Metrics {
    last_backup: Metric<1>,
    never_succeeded: Metric<1>,
    last_success: Metric<2>,
    last_failure: Metric<2>,
    last_status: Metric<2>,
    failures: Metric<2>,
    last_bytes: Metric<2>,
    last_duration: Metric<2>,
}

/// Declares a family. Names and helps of metrics are constants, so they are put together here.
macro_rules! family {
    ($name:literal, $list:literal) => {
        Metrics {
            last_backup: Metric::gauge(
                concat!("nbu.", $name, ".last_successful_backup.timestamp"),
                "s",
                &[$name],
                concat!("End time of the last BACKUP job with status 0 of the ", $name, ", Unix seconds; also if older than the window. Status 1 does not count here: nbu_policy_last_restorable_backup_timestamp_seconds and nbu_workload_last_restorable_backup_timestamp_seconds have it. Kept while polls fail. Like all metrics of this family, only if ", $list, " selects the ", $name, "."),
            ),
            never_succeeded: Metric::gauge(
                concat!("nbu.", $name, ".never_succeeded"),
                "",
                &[$name],
                concat!("1 if the server has no BACKUP job with status 0 of the ", $name, " among the jobs that it keeps, 0 if it has one; absent until that is known, and checked again daily. Also exported for names listed in ", $list, ".allowlist of which no job was seen."),
            ),
            last_success: Metric::gauge(
                concat!("nbu.", $name, ".last_success.timestamp"),
                "s",
                &[$name, "action"],
                concat!("End time of the last job with status 0 of the ", $name, " by job type, Unix seconds. At most 32 job types; further ones are combined as OTHER."),
            ),
            last_failure: Metric::gauge(
                concat!("nbu.", $name, ".last_failure.timestamp"),
                "s",
                &[$name, "action"],
                concat!("End time of the last failed job of the ", $name, ", Unix seconds. Failed means any status except 0, 1 (partial success), 150 (cancelled), 190 and 200 (nothing to do)."),
            ),
            last_status: Metric::gauge(
                concat!("nbu.", $name, ".last_status"),
                "",
                &[$name, "action"],
                concat!("Status of the last finished job of the ", $name, ". Absent if the server reported none."),
            ),
            failures: Metric::gauge(
                concat!("nbu.", $name, ".consecutive_failures"),
                "{job}",
                &[$name, "action"],
                concat!("Failed jobs of the ", $name, " (without child jobs) since the last one with status 0 or 1, as seen by the agent. Cancelled jobs and those with nothing to do (190, 200) are ignored. At most 256."),
            ),
            last_bytes: Metric::gauge(
                concat!("nbu.", $name, ".last_transferred"),
                "By",
                &[$name, "action"],
                concat!("Bytes transferred by the last job of the ", $name, " (without child jobs) that ended with status 0 or 1 (kilobytesTransferred x 1024)."),
            ),
            last_duration: Metric::gauge(
                concat!("nbu.", $name, ".last_duration"),
                "s",
                &[$name, "action"],
                concat!("Duration of the last job of the ", $name, " (without child jobs) that ended with status 0 or 1."),
            ),
        }
    };
}

struct ClassMetrics {
    restorable: Metric<2>,
    interval: Metric<2>,
    failing: Metric<2>,
}

/// Declares a family of metrics by class of schedule.
macro_rules! class_family {
    ($name:literal, $list:literal) => {
        ClassMetrics {
            restorable: Metric::gauge(
                concat!("nbu.", $name, ".last_restorable_backup.timestamp"),
                "s",
                &[$name, "schedule_class"],
                concat!("End time of the last backup of the ", $name, " that can be restored (status 0 or 1), Unix seconds: of jobs without children of types BACKUP, ARCHIVE, SNAPDUPE, DBBACKUP and SNAPSHOT, by class of schedule: full, incremental, log, application or other. Kept while polls fail. Like all metrics of this family, only if ", $list, " selects the ", $name, "; at most 5 a name."),
            ),
            interval: Metric::gauge(
                concat!("nbu.", $name, ".backup_interval"),
                "s",
                &[$name, "schedule_class"],
                concat!("Longest time between two of the last 16 days on which the ", $name, " had a backup that can be restored, in whole days. Absent before three gaps are known; at most 5 a name."),
            ),
            failing: Metric::gauge(
                concat!("nbu.", $name, ".failing"),
                "s",
                &[$name, "schedule_class"],
                concat!("Time from the first to the newest failure of backups of the ", $name, " since the last one that can be restored, by the ends of the jobs; 0 while there is at most one. More than 12 hours are two nights. At most 5 a name."),
            ),
        }
    };
}

static POLICY_CLASSES: ClassMetrics = class_family!("policy", "collectors.perPolicy");
static WORKLOAD_CLASSES: ClassMetrics = class_family!("workload", "collectors.perWorkload");

static CLIENT: Metrics = family!("client", "collectors.perClient");
static POLICY: Metrics = family!("policy", "collectors.perPolicy");

static LAST_JOB_SUCCESS: Metric<3> = Metric::gauge(
    "nbu.client.last_job_success",
    "s",
    &["client", "policy", "action"],
    "End time of the client's last job with status 0 by policy, Unix seconds. At most 100 per client, the newest.",
);

pub(super) static FOLDED: Metric<1> = Metric::counter(
    "nbu.agent.names_folded",
    "{job}",
    &["label"],
    "Finished jobs of clients, policies or workloads (see label) beyond the limit of names; they are counted as other and have no last results.",
);

pub(in crate::jobs) fn definitions() -> Vec<&'static Definition> {
    let mut all = vec![LAST_JOB_SUCCESS.definition()];
    all.extend(CLIENT.definitions());
    all.extend(POLICY.definitions());
    all.extend(POLICY_CLASSES.definitions());
    all.extend(WORKLOAD_CLASSES.definitions());
    all.push(FOLDED.definition());
    all
}

impl Metrics {
    fn definitions(&'static self) -> [&'static Definition; 8] {
        [
            self.last_backup.definition(),
            self.never_succeeded.definition(),
            self.last_success.definition(),
            self.last_failure.definition(),
            self.last_status.definition(),
            self.failures.definition(),
            self.last_bytes.definition(),
            self.last_duration.definition(),
        ]
    }
}

impl ClassMetrics {
    fn definitions(&'static self) -> [&'static Definition; 3] {
        [self.restorable.definition(), self.interval.definition(), self.failing.definition()]
    }
}

/// Adds the series of a name by class of schedule.
fn record_classes(entry: &NameResults, metrics: &'static ClassMetrics, samples: &mut Samples) {
    for (class, result) in &entry.classes {
        let labels = [entry.label.as_ref(), class.label()];
        samples.record(&metrics.restorable, labels, result.restorable().map(seconds));
        samples.record(&metrics.interval, labels, result.interval());
        samples.record(&metrics.failing, labels, result.failing());
    }
}

/// Adds the series of a name. `action` renames job types; types with one action are merged.
pub(super) fn record<'a>(
    subject: Subject,
    entry: &'a NameResults,
    action: &impl Fn(&'a str) -> &'a str,
    samples: &mut Samples,
) {
    let metrics = match subject {
        Subject::Client => &CLIENT,
        Subject::Policy => {
            record_classes(entry, &POLICY_CLASSES, samples);
            &POLICY
        }
        Subject::Workload => return record_classes(entry, &WORKLOAD_CLASSES, samples),
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

fn record_type(
    last: &LastResult,
    metrics: &'static Metrics,
    labels: [&str; 2],
    samples: &mut Samples,
) {
    let done = last.done.as_ref();
    let status = last.ended.and_then(|(_, status)| status);
    let values = [
        (&metrics.last_success, last.success.map(seconds)),
        (&metrics.last_failure, last.failure.map(seconds)),
        (&metrics.last_status, status.map(|status| status as f64)),
        (&metrics.failures, Some(last.failures.len() as f64)),
        (&metrics.last_bytes, done.and_then(Done::bytes)),
        (&metrics.last_duration, done.and_then(Done::duration)),
    ];
    for (metric, value) in values {
        // What is no number is not recorded.
        samples.record(metric, labels, value.unwrap_or(f64::NAN));
    }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
