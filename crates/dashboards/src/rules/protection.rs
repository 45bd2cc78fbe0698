//! Alerts on what the security collectors see: malware, anomalies, and NetBackup's own alerts.

use super::rule::{Alert, Severity, m};
use crate::declared::SITE;

const GROUP: &str = "protection";

pub(super) fn alerts() -> Vec<Alert> {
    let infected = m("nbu_catalog_images_count")
        .is("malware_status", "INFECTION_DETECTED_BY_MALWARE_SCAN")
        .now();
    let anomalous = m("nbu_catalog_images_count").is("anomaly_status", "ANOMALOUS").now();
    let errors = m("nbu_alerts_count").is("severity", "ERROR").now();
    vec![
        Alert {
            name: "NetBackupMalwareFound",
            group: GROUP,
            severity: Severity::Critical,
            when: m("nbu_malware_files_infected").now().compared(">", 0),
            hold: "0s",
            summary: "{{ $labels.site }}: malware in backups",
            description: "{{ $value }} infected files in the latest scans.",
            runbook: "Do not restore the images that the web UI lists under malware detection. Tell the security team.",
        },
        Alert {
            name: "NetBackupImagesInfected",
            group: GROUP,
            severity: Severity::Critical,
            when: infected.sum(&SITE).compared(">", 0),
            hold: "0s",
            summary: "{{ $labels.site }}: backups of the last day are infected",
            description: "{{ $value }} images of the last 24 hours have malware.",
            runbook: "Find the last clean image of each client, and prevent it from expiring.",
        },
        Alert {
            name: "NetBackupImagesAnomalous",
            group: GROUP,
            severity: Severity::Warning,
            when: anomalous.sum(&SITE).compared(">", 0),
            hold: "0s",
            summary: "{{ $labels.site }}: anomalies in backups of the last day",
            description: "{{ $value }} images of the last 24 hours differ from earlier ones: encryption by an attacker, or an intended change.",
            runbook: "Review them in the web UI under anomaly detection, then scan them for malware.",
        },
        Alert {
            name: "NetBackupAlertsOpen",
            group: GROUP,
            severity: Severity::Info,
            when: errors.sum(&["job", "site", "category"]).compared(">", 0),
            hold: "15m",
            summary: "{{ $labels.site }}: NetBackup reports errors ({{ $labels.category }})",
            description: "{{ $value }} alerts of severity ERROR.",
            runbook: "Read and close them in the web UI.",
        },
    ]
}
