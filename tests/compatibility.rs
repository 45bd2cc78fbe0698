//! The names and labels that operators' dashboards and rules know, for each release.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;

use nbu_sim::{Release, Settings};
use support::{Agent, Config, Page, resources, simulate, world};

/// Name, kind and labels of every metric that nbu_exporter 4.1 has and that this agent exports.
const METRICS: [(&str, &str, &[&str]); 28] = [
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
    ("nbu_alerts_count", "gauge", &["category", "severity", "site"]),
    ("nbu_malware_files_scanned", "gauge", &["site"]),
    ("nbu_malware_files_infected", "gauge", &["site"]),
    ("nbu_malware_scan_count", "gauge", &["site", "status"]),
    ("nbu_catalog_images_count", "gauge", &["anomaly_status", "malware_status", "site"]),
    ("nbu_slo_count", "gauge", &["site"]),
    ("nbu_tape_drives_count", "gauge", &["drive_type", "robot_type", "site", "status"]),
    (
        "nbu_tape_drive_info",
        "gauge",
        &["drive_name", "drive_type", "media_server", "robot_number", "site", "status"],
    ),
    ("nbu_disk_pool_volume_count", "gauge", &["pool_name", "site", "state", "storage_category"]),
    ("nbu_exporter_build_info", "gauge", &["goversion", "version"]),
    ("nbu_agent_build_info", "gauge", &["rustc", "target", "version"]),
    ("nbu_agent_collector_supported", "gauge", &["collector", "site"]),
];

/// Those that are there from NetBackup 10.5 on, since its API has what they tell.
const FROM_10_5: [(&str, &str, &[&str]); 3] = [
    ("nbu_tape_media_count", "gauge", &["media_type", "pool", "robot_type", "site"]),
    ("nbu_tape_robot_device_hosts", "gauge", &["site"]),
    ("nbu_tape_pool_partially_full", "gauge", &["pool_name", "pool_type", "site"]),
];

/// Label values that dashboards and rules match, where a server has any.
const VALUES: [(&str, &str, &str); 8] = [
    ("nbu_disk_bytes", "size", "used"),
    ("nbu_jobs_count", "status", "0"),
    ("nbu_jobs_count", "action", "BACKUP"),
    ("nbu_disk_pool_volume_count", "state", "UP"),
    ("nbu_disk_pool_volume_count", "state", "DOWN"),
    ("nbu_disk_pool_volume_count", "state", "UNKNOWN"),
    ("nbu_tape_drives_count", "status", "DRIVE_STATUS_DOWN"),
    ("nbu_tape_drives_count", "status", "DRIVE_STATUS_DISABLED"),
];

/// Label sets of a metric on the page: the names of the labels of each of its series.
fn shapes<'p>(page: &'p Page, metric: &str) -> BTreeSet<Vec<&'p str>> {
    let series = page.series().keys().filter(|(known, _)| known == metric);
    series.map(|(_, labels)| labels.iter().map(|(key, _)| key.as_str()).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_release_gives_the_names_and_labels_that_dashboards_know() {
    for release in Release::ALL {
        let simulator = simulate(Settings { release, live_jobs: 60, ..world(7) }).await;
        let config = Config::new().site("paris", &simulator).with(&resources::ALL_ON);
        let agent = Agent::start(&config).await;
        agent.first_samples("paris").await;
        let page = agent
            .scrape_until("every collector settled", |page| {
                page.of_site("paris", |name| name == "nbu_agent_collector_supported").len()
                    == resources::COLLECTORS.len() + 2
            })
            .await;
        let newer = FROM_10_5.into_iter().map(|metric| (metric, release >= Release::R10_5));
        for ((name, kind, labels), there) in METRICS.into_iter().map(|m| (m, true)).chain(newer) {
            let known = page.types().get(name).map(String::as_str);
            assert_eq!(known, there.then_some(kind), "{release} {name}");
            let expected = there.then(|| labels.to_vec()).into_iter().collect();
            assert_eq!(shapes(&page, name), expected, "{release} {name}");
        }
        for (metric, label, value) in VALUES {
            let wanted = (label.to_owned(), value.to_owned());
            let mut series = page.series().keys().filter(|(name, _)| name == metric);
            assert!(series.any(|(_, labels)| labels.contains(&wanted)), "{metric} {wanted:?}");
        }
        agent.stop().await;
    }
}
