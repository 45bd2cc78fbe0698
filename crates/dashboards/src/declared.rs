//! The names that expressions may use: the agent's catalogue, the recording rules, and Prometheus' own.

use nbu_otel_agent::metric::{Definition, Kind, Scope};

/// The declaration of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    /// The labels that its series have, those that Prometheus adds included.
    pub(crate) labels: Vec<&'static str>,
    /// True for counters, which need a rate.
    pub(crate) counter: bool,
    /// True for names of the agent and rules over them: their `job` says which way they came.
    pub(crate) ours: bool,
}

/// Labels that Prometheus gives to what it scrapes.
const SCRAPED: [&str; 2] = ["instance", "job"];

/// Names that Prometheus itself makes, with the labels that we use of them.
const OF_PROMETHEUS: [(&str, &[&str]); 2] =
    [("up", &["instance", "job"]), ("ALERTS", &["alertname", "alertstate", "severity", "site"])];

/// The labels of a site, whichever way its series came.
pub(crate) const SITE: [&str; 2] = ["job", "site"];

/// The labels of a storage unit.
pub(crate) const UNIT: [&str; 4] = ["job", "site", "name", "type"];

/// The labels of a disk pool.
pub(crate) const POOL: [&str; 5] = ["job", "site", "pool_name", "storage_category", "server_type"];

/// Names of the recording rules, with their labels.
const OF_RULES: [(&str, &[&str]); 12] = [
    ("site:nbu_backups_good:increase6h", &SITE),
    ("site:nbu_backups_failed:increase6h", &SITE),
    ("site:nbu_backups_completed:increase6h", &SITE),
    ("site:nbu_backup_success:ratio6h", &SITE),
    ("site:nbu_backup_success:ratio6h_behind", &SITE),
    ("site:nbu_job_queue_wait_seconds:p95_2h", &["action", "job", "site"]),
    ("storage:nbu_storage_unit_jobs:ratio", &["job", "name", "site"]),
    ("pool:nbu_disk_pool_used:ratio", &POOL),
    ("storage:nbu_disk_used:ratio", &UNIT),
    ("storage:nbu_disk_full:days", &UNIT),
    ("site:nbu_slp_backlog_drain_seconds:rate6h", &SITE),
    ("site:nbu_agent_api_request_duration_seconds:p95_10m", &SITE),
];

/// Returns the declaration of `name`; `None` if nothing exports it.
pub(crate) fn look_up(name: &str) -> Option<Declared> {
    let of_agent = || nbu_otel_agent::catalog::catalog().into_iter().find_map(|d| one_of(d, name));
    let of = |names: &[(&str, &'static [&'static str])], ours| {
        names.iter().find(|(known, _)| *known == name).map(|(_, labels)| Declared {
            labels: labels.to_vec(),
            counter: false,
            ours,
        })
    };
    of_agent().or_else(|| of(&OF_RULES, true)).or_else(|| of(&OF_PROMETHEUS, false))
}

/// Returns the declaration if `name` is its name or one of its parts.
fn one_of(definition: &'static Definition, name: &str) -> Option<Declared> {
    let part = name.strip_prefix(&definition.prometheus_name())?;
    let mut labels = definition.attributes.to_vec();
    labels.extend(SCRAPED);
    if definition.scope == Scope::Site {
        labels.push("site");
    }
    let counter = match (definition.kind, part) {
        (Kind::Gauge, "") => false,
        (Kind::Counter, "") | (Kind::Histogram(_), "_sum" | "_count") => true,
        (Kind::Histogram(_), "_bucket") => {
            labels.push("le");
            true
        }
        _ => return None,
    };
    Some(Declared { labels, counter, ours: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_exposition_with_their_parts() {
        let up = look_up("nbu_up").expect("declared");
        assert_eq!((up.labels, up.counter), (vec!["instance", "job", "site"], false));
        let bucket = look_up("nbu_job_duration_seconds_bucket").expect("declared");
        assert!(bucket.counter && bucket.labels.contains(&"le"));
        for wrong in ["nbu_upp", "nbu_job_duration_seconds", "nbu_up_total", "nbu.up"] {
            assert_eq!(look_up(wrong), None, "{wrong}");
        }
    }
}
