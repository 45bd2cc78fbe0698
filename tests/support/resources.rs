//! Expected series of the optional resources, computed from the simulator's truth and from the
//! meaning of the metrics as operators know it, not from the agent's code.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use nbu_otel_agent::collectors::TABLE;
use nbu_sim::{Fixture, Release, Truth};

use super::exposition::{Series, key};
use super::slp;
use super::storage;
use super::tape;

/// An optional resource. All tests of resources walk [`RESOURCES`].
pub struct Tried {
    pub collector: &'static str,
    /// Section of `collectors` with the switch.
    pub switch: &'static str,
    /// Beginnings of the names of the metrics that need it.
    pub metrics: &'static [&'static str],
    /// Path that the collector asks for first.
    pub path: &'static str,
    /// Fixture of the simulator at this path: permission, first release, pages.
    pub fixture: &'static Fixture,
}

impl Tried {
    /// Returns whether a metric needs it.
    pub fn is_of(&self, name: &str) -> bool {
        self.metrics.iter().any(|beginning| name.starts_with(beginning))
    }
}

/// Collector, switch, and beginnings of the names of the metrics that need it, in the order of the table of collectors.
const NAMES: [(&str, &str, &[&str]); 12] = [
    ("alerts", "alerts", &["nbu_alerts_"]),
    ("malware", "malware", &["nbu_malware_"]),
    ("catalog", "catalog", &["nbu_catalog_images_"]),
    ("slo", "slo", &["nbu_slo_"]),
    ("tape_drives", "tape", &["nbu_tape_drive"]),
    ("tape_media", "tape", &["nbu_tape_media_", "nbu_tape_scratch_", "nbu_tape_cleanings_"]),
    ("tape_robots", "tape", &["nbu_tape_robot_"]),
    ("tape_pools", "tape", &["nbu_tape_pool_", "nbu_tape_scratch_"]),
    ("disk_pools", "diskPools", &["nbu_disk_pool_", "nbu_disk_volume_", "nbu_server_time_zone_"]),
    ("storage_servers", "storageServers", &["nbu_storage_server_", "nbu_msdp_"]),
    // Sizes may be known later than copies: tests/slp holds them.
    ("slp_images", "slp", &["nbu_slp_backlog_copies"]),
    ("slps", "slp", &["nbu_slp_active"]),
];

/// The optional resources, in the order of the table of collectors.
pub static RESOURCES: LazyLock<Vec<Tried>> = LazyLock::new(|| {
    let tried = |(collector, switch, metrics)| {
        let row = TABLE.iter().find(|row| row.name == collector).expect("a row of the table");
        let path = row.resource.path;
        let fixture = nbu_sim::fixtures().find(|fixture| fixture.path == path);
        let fixture = fixture.unwrap_or_else(|| panic!("the simulator has no fixture {path}"));
        Tried { collector, switch, metrics, path, fixture }
    };
    NAMES.into_iter().map(tried).collect()
});

/// Names of their collectors.
pub const COLLECTORS: [&str; NAMES.len()] = {
    let mut names = [""; NAMES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = NAMES[at].0;
        at += 1;
    }
    names
};

/// Switches of all of them, in the section `collectors`.
pub static SWITCHES: LazyLock<String> = LazyLock::new(|| {
    let switches: BTreeSet<&str> = RESOURCES.iter().map(|resource| resource.switch).collect();
    let on = switches.into_iter().map(|switch| format!("{switch}: {{ enabled: true }}"));
    on.collect::<Vec<_>>().join(", ")
});

/// A section of the file that switches all of them on.
pub static ALL_ON: LazyLock<String> = LazyLock::new(|| format!("collectors: {{ {} }}", *SWITCHES));

/// Returns the collectors whose resource came with 10.5.
pub fn since_10_5() -> Vec<&'static str> {
    let newer = RESOURCES.iter().filter(|resource| resource.fixture.since == Release::R10_5);
    newer.map(|resource| resource.collector).collect()
}

/// Returns whether a metric is one of theirs.
pub fn is_of_resources(name: &str) -> bool {
    RESOURCES.iter().any(|resource| resource.is_of(name))
}

/// Series of one site that are put together.
pub struct Shown<'s> {
    site: &'s str,
    series: BTreeMap<Series, f64>,
}

impl Shown<'_> {
    pub fn add(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<_> =
            [("site", self.site)].into_iter().chain(labels.iter().copied()).collect();
        *self.series.entry(key(name, &labels)).or_default() += value;
    }

    /// Adds a series that is 1 however many rows have it.
    pub fn flag(&mut self, name: &str, labels: &[(&str, &str)]) {
        let labels: Vec<_> =
            [("site", self.site)].into_iter().chain(labels.iter().copied()).collect();
        self.series.insert(key(name, &labels), 1.0);
    }
}

/// All series of the optional resources of a site whose server has this release.
pub fn expected(truth: &Truth, site: &str, release: Release) -> BTreeMap<Series, f64> {
    let mut shown = Shown { site, series: BTreeMap::new() };
    alerts(truth, &mut shown);
    malware(truth, &mut shown);
    images(truth, release, &mut shown);
    shown.add("nbu_slo_count", &[], truth.slos().len() as f64);
    tape::drives(truth, &mut shown);
    storage::disk_pools(truth, &mut shown);
    storage::servers(truth, &mut shown);
    slps(truth, &mut shown);
    if release >= Release::R10_5 {
        tape::media(truth, &mut shown);
    }
    shown.series
}

fn alerts(truth: &Truth, shown: &mut Shown<'_>) {
    for severity in ["INFO", "WARNING", "ERROR"] {
        shown.add("nbu_alerts_count", &[("severity", severity), ("category", "JOB")], 0.0);
    }
    for alert in truth.alerts() {
        let labels = [("severity", alert.severity), ("category", alert.category)];
        shown.add("nbu_alerts_count", &labels, 1.0);
    }
}

fn malware(truth: &Truth, shown: &mut Shown<'_>) {
    let states = [
        "PENDING",
        "IN_PROGRESS",
        "SCAN_COMPLETED",
        "SCAN_FAILED",
        "CANCELLED",
        "CANCEL_IN_PROGRESS",
        "SCAN_STARTED",
        "CLEANUP_IN_PROGRESS",
        "CANCELLATION_INITIATED",
    ];
    for state in states {
        shown.add("nbu_malware_scan_count", &[("status", state)], 0.0);
    }
    shown.add("nbu_malware_files_scanned", &[], 0.0);
    shown.add("nbu_malware_files_infected", &[], 0.0);
    for scan in truth.scans() {
        shown.add("nbu_malware_scan_count", &[("status", scan.state)], 1.0);
        shown.add("nbu_malware_files_scanned", &[], scan.scanned as f64);
        shown.add("nbu_malware_files_infected", &[], scan.impacted as f64);
    }
}

fn images(truth: &Truth, release: Release, shown: &mut Shown<'_>) {
    let mut malware =
        vec!["CLEAN", "INFECTION_DETECTED_BY_MALWARE_SCAN", "NOT_SCANNED", "NOT_SUPPORTED"];
    if release >= Release::R11_0 {
        malware.extend(["INFECTION_DETECTED_BY_FILE_HASH_SEARCH", "UNKNOWN_TYPE"]);
    }
    let anomalies: &[&str] = match release {
        Release::R10_3 => &["UNKNOWN"],
        _ => &[
            "ANOMALOUS",
            "NOT_ANOMALOUS",
            "NOT_PROCESSED",
            "NOT_REVIEWED",
            "FALSE_POSITIVE",
            "IGNORED",
        ],
    };
    let name = "nbu_catalog_images_count";
    for malware in malware {
        for anomaly in anomalies {
            shown.add(name, &[("malware_status", malware), ("anomaly_status", anomaly)], 0.0);
        }
    }
    for image in truth.images() {
        let malware = match image.scan_result {
            _ if release >= Release::R11_0 => image.malware_status,
            "IMPACTED" => "INFECTION_DETECTED_BY_MALWARE_SCAN",
            other => other,
        };
        let anomaly = if release == Release::R10_3 { "UNKNOWN" } else { image.anomaly_status };
        shown.add(name, &[("malware_status", malware), ("anomaly_status", anomaly)], 1.0);
    }
}

fn slps(truth: &Truth, shown: &mut Shown<'_>) {
    for image in slp::incomplete(truth) {
        for (operation, state, _) in slp::waiting(&image) {
            if state != "DEFERRED" {
                let labels = [("slp", &*image.slp), ("operation", operation), ("state", state)];
                shown.add("nbu_slp_backlog_copies", &labels, 1.0);
            }
        }
    }
    for slp in truth.slps() {
        let active = f64::from(u8::from(slp.active));
        shown.add("nbu_slp_active", &[("slp", &slp.name)], active);
    }
}
