//! Failures of the last hour, and what most of them have in common.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::status_family::StatusFamily;
use crate::jobs::last_results::{AHEAD, LastResultTables, Subject};
use crate::jobs::row;
use crate::metric::{Definition, Metric, Samples};

const HOUR: i64 = 3_600_000;

/// Failures that are remembered, the newest.
const MOST: usize = 20_000;

/// Failures without which there is no cluster.
const FEWEST: usize = 10;

const FAMILY: &str = "family";
const POLICY: &str = "policy";
const CLIENT: &str = "client";

/// The label of a client or policy that the configuration does not select.
const NOT_SELECTED: &str = "(not selected)";

static RECENT: Metric<0> = Metric::gauge(
    "nbu.jobs.failed_recently",
    "{job}",
    &[],
    "Failed jobs without children that ended in the last 60 minutes of the server's time, of those that were read: less after a start without a saved state, where the window is shorter than an hour; at most 20000.",
);
static CLUSTER: Metric<4> = Metric::gauge(
    "nbu.failure_cluster",
    "{job}",
    &["dimension", "value", "family", "status"],
    "Failed jobs of the last 60 minutes that have a storage unit, media server, policy or client (dimension and value) and a family in common, where they are more than 60 % of all of at least ten; status is the most frequent one. dimension family: the family alone. At most five a site. Clients and policies that perClient and perPolicy do not select are shown as (not selected).",
);

pub(super) fn definitions() -> [&'static Definition; 2] {
    [RECENT.definition(), CLUSTER.definition()]
}

/// A job without children that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::jobs) struct Failure {
    pub(in crate::jobs) status: Option<i64>,
    pub(in crate::jobs) on_tape: bool,
    pub(in crate::jobs) storage_unit: Arc<str>,
    pub(in crate::jobs) media_server: Arc<str>,
    pub(in crate::jobs) policy: Arc<str>,
    pub(in crate::jobs) client: Arc<str>,
}

impl Failure {
    /// Returns its value in a dimension; empty if it has none.
    fn value(&self, dimension: &str) -> &str {
        match dimension {
            "storage_unit" => &self.storage_unit,
            "media_server" => &self.media_server,
            POLICY => &self.policy,
            CLIENT => &self.client,
            _ => "",
        }
    }
}

/// The end of a job and its number.
pub(in crate::jobs) type FailureKey = (i64, i64);

#[derive(Debug, Default)]
pub(super) struct RecentFailures {
    pub(super) all: BTreeMap<FailureKey, Failure>,
}

/// A value and a family that a share of the failures has in common.
#[derive(Debug, PartialEq, Eq)]
struct Cluster<'f> {
    dimension: &'static str,
    value: &'f str,
    family: StatusFamily,
    status: Option<i64>,
    jobs: usize,
}

impl RecentFailures {
    pub(super) fn add(&mut self, key: FailureKey, failure: Failure) {
        self.all.insert(key, failure);
        if self.all.len() > MOST {
            self.all.pop_first();
        }
    }

    /// Forgets those that did not end within the hour before `now`: also those in the future, after a clock that was
    /// set back.
    pub(super) fn forget_others(&mut self, now: i64) {
        self.all = self.all.split_off(&(now - HOUR + 1, i64::MIN));
        self.all.split_off(&(now + AHEAD + 1, i64::MIN));
    }

    /// Returns those of the last hour. What ended in the future, as far as it goes, is not among them.
    fn recent(&self, now: i64) -> impl Iterator<Item = &Failure> {
        let hour = (now - HOUR, i64::MAX)..(now + AHEAD, i64::MAX);
        self.all.range(hour).map(|(_, failure)| failure)
    }

    pub(super) fn record(&self, now: i64, names: &LastResultTables, samples: &mut Samples) {
        samples.record(&RECENT, [], self.recent(now).count() as f64);
        let label = |subject, name| {
            names.of(subject).and_then(|table| table.label(name)).unwrap_or(NOT_SELECTED)
        };
        for cluster in self.clusters(now) {
            let value = match cluster.dimension {
                POLICY => label(Subject::Policy, cluster.value),
                CLIENT => label(Subject::Client, cluster.value),
                _ => cluster.value,
            };
            let status = row::status_label(cluster.status);
            let labels = [cluster.dimension, value, cluster.family.label(), &status];
            samples.record(&CLUSTER, labels, cluster.jobs as f64);
        }
    }

    fn clusters(&self, now: i64) -> Vec<Cluster<'_>> {
        let failures: Vec<(&Failure, StatusFamily)> = self
            .recent(now)
            .filter_map(|failure| {
                Some((failure, StatusFamily::of(failure.status, failure.on_tape)?))
            })
            .collect();
        if failures.len() < FEWEST {
            return Vec::new();
        }
        let mut clusters = Vec::new();
        for dimension in [FAMILY, "storage_unit", "media_server", POLICY, CLIENT] {
            let mut counts: HashMap<(&str, StatusFamily), usize> = HashMap::new();
            for (failure, family) in &failures {
                *counts.entry((failure.value(dimension), *family)).or_default() += 1;
            }
            let most = counts.into_iter().max_by_key(|(_, jobs)| *jobs);
            let Some(((value, family), jobs)) = most else { continue };
            let is_named = !value.is_empty() || dimension == FAMILY;
            if is_named && jobs * 10 > failures.len() * 6 {
                let members = failures.iter().filter(|(failure, of_it)| {
                    *of_it == family && failure.value(dimension) == value
                });
                let status = most_frequent(members.map(|(failure, _)| failure.status));
                let value = if dimension == FAMILY { family.label() } else { value };
                clusters.push(Cluster { dimension, value, family, status, jobs });
            }
        }
        clusters
    }
}

/// Returns the most frequent status, of several the lowest.
fn most_frequent(statuses: impl Iterator<Item = Option<i64>>) -> Option<i64> {
    let mut counts: BTreeMap<Option<i64>, usize> = BTreeMap::new();
    for status in statuses {
        *counts.entry(status).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).and_then(|(status, _)| status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: i64, [unit, server, policy, client]: [&str; 4]) -> Failure {
        Failure {
            status: Some(status),
            on_tape: false,
            storage_unit: unit.into(),
            media_server: server.into(),
            policy: policy.into(),
            client: client.into(),
        }
    }

    fn shown(failures: &[Failure], now: i64) -> Vec<String> {
        let mut recent = RecentFailures::default();
        for (id, failure) in (0..).zip(failures) {
            recent.add((1_000 + id, id), failure.clone());
        }
        let texts = recent.clusters(now).into_iter().map(|cluster| {
            let Cluster { dimension, value, family, status, jobs } = cluster;
            format!("{dimension} {value} {} {} {jobs}", family.label(), status.unwrap_or(-1))
        });
        texts.collect()
    }

    #[test]
    fn cluster_is_a_value_with_a_family_in_most_failures() {
        let policies = ["a", "b", "c"];
        let down = |n: usize| failure(2074, ["u1", "msdp-2", policies[n % 3], &format!("c{n}")]);
        let mut failures: Vec<Failure> = (0..9).map(down).collect();
        failures.push(failure(2106, ["u2", "msdp-2", "a", "c1"]));
        assert_eq!(shown(&failures[..9], 2_000), Vec::<String>::new(), "nine are too few");
        let expected = [
            "family storage_down storage_down 2074 10",
            "storage_unit u1 storage_down 2074 9",
            "media_server msdp-2 storage_down 2074 10",
        ];
        assert_eq!(shown(&failures, 2_000), expected);
        assert_eq!(shown(&failures, 1_000 + HOUR + 20), Vec::<String>::new(), "an hour later");
    }

    #[test]
    fn unit_of_all_jobs_is_no_cause_of_mixed_failures() {
        let statuses = [13, 59, 156, 2, 84, 196, 13, 59, 156, 2, 84, 196];
        let failures: Vec<Failure> =
            statuses.iter().map(|status| failure(*status, ["u", "m", "p", "c"])).collect();
        assert_eq!(shown(&failures, 2_000), Vec::<String>::new());
    }
}
