//! Data protection and security: malware, anomalies, protection plans, and NetBackup's own alerts.

use super::common::{AGE, NONE_IS_BETTER, NONE_IS_GOOD, m};
use crate::grafana::{Board, Panel, Row, Unit};
use crate::query::{Query, Selector};

pub(super) fn board() -> Board {
    Board {
        uid: "nbu-protection",
        title: "NetBackup / Data protection and security",
        description: "Backups of the catalogue, malware in backups, anomalies, protection plans and NetBackup's own alerts. Needs the collectors malware, catalog, slo and alerts.",
        variables: Vec::new(),
        rows: vec![
            Row { title: "Now", panels: now() },
            Row { title: "Catalogue backup", panels: catalogue_backup() },
            Row { title: "Malware", panels: malware() },
            Row { title: "Images of the last day", panels: images() },
            Row { title: "NetBackup alerts", panels: alerts() },
        ],
    }
}

fn catalog() -> Selector {
    m("nbu_catalog_images_count")
}

fn infected() -> Query {
    catalog().is("malware_status", "INFECTION_DETECTED_BY_MALWARE_SCAN").now()
}

fn now() -> Vec<Panel> {
    let errors = m("nbu_alerts_count").is("severity", "ERROR").now().sum(&[]);
    vec![
        Panel::stat("Infected files", "In the latest completed scan of each image.")
            .steps(&NONE_IS_GOOD)
            .ask("", m("nbu_malware_files_infected").now().sum(&[])),
        Panel::stat("Infected images", "Of the last 24 hours.")
            .steps(&NONE_IS_GOOD)
            .ask("", infected().sum(&[])),
        Panel::stat("Anomalous images", "Of the last 24 hours.")
            .steps(&NONE_IS_BETTER)
            .ask("", catalog().is("anomaly_status", "ANOMALOUS").now().sum(&[])),
        Panel::stat(
            "Never scanned",
            "Share of the images of the last 24 hours without a malware scan.",
        )
        .unit(Unit::Ratio)
        .ask(
            "",
            catalog()
                .is("malware_status", "NOT_SCANNED")
                .now()
                .sum(&[])
                .with("/", catalog().now().sum(&[])),
        ),
        Panel::stat("Protection plans", "Service level objectives visible to the key.")
            .ask("", m("nbu_slo_count").now().sum(&[])),
        Panel::stat("Errors", "Open alerts of NetBackup with severity ERROR.")
            .steps(&NONE_IS_BETTER)
            .ask("", errors),
    ]
}

fn catalogue_backup() -> Vec<Panel> {
    let by = ["site"];
    vec![
        Panel::lines(
            "Age of the catalogue backup",
            "Of the last one with status 0. Without it, nothing can be restored after a loss of the primary server.",
        )
        .unit(Unit::Seconds)
        .from_zero()
        .ask(
            "{{site}}",
            m("nbu_catalog_backup_last_success_timestamp_seconds").now().age().max(&by),
        ),
        Panel::table("Catalogue backups", "The last status, and the last one with status 0.")
            .size(12, 8)
            .column(
                "age",
                Unit::Seconds,
                &AGE,
                m("nbu_catalog_backup_last_success_timestamp_seconds").now().age().max(&by),
            )
            .column(
                "last status",
                Unit::Number,
                &NONE_IS_GOOD,
                m("nbu_catalog_backup_last_status").now().max(&by),
            )
            .column(
                "took",
                Unit::Seconds,
                &[],
                m("nbu_catalog_backup_last_duration_seconds").now().max(&by),
            )
            .column("size", Unit::Bytes, &[], m("nbu_catalog_backup_last_bytes").now().max(&by)),
    ]
}

fn malware() -> Vec<Panel> {
    vec![
        Panel::lines("Infected files by site", "In the latest completed scan of each image.")
            .from_zero()
            .ask("{{site}}", m("nbu_malware_files_infected").now().per_site(&[])),
        Panel::lines("Scanned files by site", "In the latest completed scan of each image.")
            .from_zero()
            .ask("{{site}}", m("nbu_malware_files_scanned").now().per_site(&[])),
        Panel::stack("Scans by result", "The latest completed scan of each image.")
            .size(24, 7)
            .ask("{{site}} {{status}}", m("nbu_malware_scan_count").now().per_site(&["status"])),
    ]
}

fn images() -> Vec<Panel> {
    vec![
        Panel::stack("Images by malware status", "Images of the last 24 hours.")
            .ask("{{malware_status}}", catalog().now().sum(&["malware_status"])),
        Panel::stack(
            "Images by anomaly status",
            "Images of the last 24 hours; UNKNOWN before NetBackup 10.5.",
        )
        .ask("{{anomaly_status}}", catalog().now().sum(&["anomaly_status"])),
        Panel::table("Images", "Images of the last 24 hours by both.").column(
            "images",
            Unit::Short,
            &[],
            catalog().now().sum(&["site", "malware_status", "anomaly_status"]).sorted(),
        ),
    ]
}

fn alerts() -> Vec<Panel> {
    vec![
        Panel::stack("Alerts by severity", "Open NetBackup alerts.")
            .ask("{{site}} {{severity}}", m("nbu_alerts_count").now().per_site(&["severity"])),
        Panel::table("Alerts by category", "Open NetBackup alerts.").size(12, 8).column(
            "alerts",
            Unit::Number,
            &[],
            m("nbu_alerts_count").now().sum(&["site", "category", "severity"]).sorted(),
        ),
    ]
}
