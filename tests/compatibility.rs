//! The names and labels that operators' dashboards and rules know, for each release.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;

use nbu_sim::{Release, Settings};
use support::{Agent, Config, simulate, world};

/// Name, kind and labels of every metric that nbu_exporter 4.1 has and that this agent exports.
const METRICS: [(&str, &str, &[&str]); 18] = [
    ("nbu_up", "gauge", &["site"]),
    ("nbu_api_version", "gauge", &["site", "version"]),
    ("nbu_last_scrape_timestamp_seconds", "gauge", &["site", "source"]),
    ("nbu_response_time_ms", "gauge", &["site"]),
    ("nbu_disk_bytes", "gauge", &["name", "site", "size", "type"]),
    ("nbu_disk_capacity_bytes", "gauge", &["name", "site", "type"]),
    ("nbu_storage_max_concurrent_jobs", "gauge", &["name", "site", "type"]),
    ("nbu_storage_max_fragment_size_bytes", "gauge", &["name", "site", "type"]),
    (
        "nbu_storage_info",
        "gauge",
        &[
            "instant_access",
            "is_cloud",
            "name",
            "replication_capable",
            "site",
            "subtype",
            "type",
            "use_worm",
            "worm_capable",
        ],
    ),
    ("nbu_jobs_bytes", "gauge", &["action", "policy_type", "site", "status"]),
    ("nbu_jobs_count", "gauge", &["action", "policy_type", "site", "status"]),
    ("nbu_status_count", "gauge", &["action", "site", "status"]),
    ("nbu_jobs_state_count", "gauge", &["action", "site", "state"]),
    ("nbu_jobs_queued_count", "gauge", &["action", "reason", "site"]),
    ("nbu_jobs_files_count", "gauge", &["action", "policy_type", "site"]),
    ("nbu_jobs_dedup_ratio", "gauge", &["action", "policy_type", "site"]),
    ("nbu_exporter_build_info", "gauge", &["goversion", "version"]),
    ("nbu_agent_build_info", "gauge", &["rustc", "target", "version"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_release_gives_the_names_and_labels_that_dashboards_know() {
    for release in Release::ALL {
        let simulator = simulate(Settings { release, live_jobs: 60, ..world(7) }).await;
        let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
        let page = agent.first_samples("paris").await;
        for (name, kind, labels) in METRICS {
            assert_eq!(page.types().get(name).map(String::as_str), Some(kind), "{release} {name}");
            let shapes: BTreeSet<Vec<&str>> = page
                .series()
                .keys()
                .filter(|(known, _)| known == name)
                .map(|(_, labels)| labels.iter().map(|(key, _)| key.as_str()).collect())
                .collect();
            assert_eq!(shapes, BTreeSet::from([labels.to_vec()]), "{release} {name}");
        }
        agent.stop().await;
    }
}
