//! Alerts on the backup of NetBackup's own catalogue.

use super::rule::{Alert, Severity, m};
use crate::declared::SITE;
use crate::query::Query;

const GROUP: &str = "catalogue";

const HOUR: u32 = 3600;

/// Returns the catalogue backups that are older than so many hours.
fn older_than(hours: u32) -> Query {
    let last = m("nbu_catalog_backup_last_success_timestamp_seconds").now();
    last.max(&SITE).age().compared(">", hours * HOUR)
}

pub(super) fn alerts() -> Vec<Alert> {
    let status = m("nbu_catalog_backup_last_status").now().max(&SITE);
    vec![
        Alert {
            name: "NetBackupCatalogBackupOld",
            group: GROUP,
            severity: Severity::Warning,
            when: older_than(26).unless(&SITE, older_than(50)),
            hold: "15m",
            summary: "{{ $labels.site }}: no good catalogue backup for more than a day",
            description: "The last one with status 0 ended {{ $value | humanizeDuration }} ago.",
            runbook: "Check why the last one failed, or why none was started, and run the catalogue policy by hand.",
        },
        Alert {
            name: "NetBackupCatalogBackupMissing",
            group: GROUP,
            severity: Severity::Critical,
            when: older_than(50),
            hold: "15m",
            summary: "{{ $labels.site }}: no good catalogue backup for two days",
            description: "The last one with status 0 ended {{ $value | humanizeDuration }} ago. If the primary server is lost, what was backed up since then is hard to restore.",
            runbook: "Run the catalogue policy by hand today, and check that its disaster recovery file leaves the server.",
        },
        Alert {
            name: "NetBackupCatalogBackupFailed",
            group: GROUP,
            severity: Severity::Warning,
            when: status.compared("!=", 0),
            hold: "0s",
            summary: "{{ $labels.site }}: the last catalogue backup did not succeed",
            description: "It ended with status {{ $value }}. A catalogue backup with status 1 is incomplete, too.",
            runbook: "Read the job's details in the web UI, mend the cause and run the catalogue policy by hand.",
        },
    ]
}
