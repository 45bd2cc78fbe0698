//! Alerts on disk storage: what is full, what will be, what is down.

use super::rule::{Alert, Severity, m};
use crate::declared::UNIT;

const GROUP: &str = "storage";

pub(super) fn alerts() -> Vec<Alert> {
    let used = || m("storage:nbu_disk_used:ratio").now();
    let ahead = m("nbu_disk_bytes").is("size", "free").predict("1d", "7 * 86400").max(&UNIT);
    let well_filled = used().compared(">", 0.6);
    let down = m("nbu_disk_pool_volume_count").is("state", "DOWN").now();
    vec![
        Alert {
            name: "NetBackupStorageFull",
            group: GROUP,
            severity: Severity::Warning,
            when: used().compared(">", 0.9),
            hold: "15m",
            summary: "{{ $labels.site }}: the storage unit {{ $labels.name }} is nearly full",
            description: "{{ $value | humanizePercentage }} are used.",
            runbook: "Expire images, let duplications catch up, or add capacity.",
        },
        Alert {
            name: "NetBackupStorageCritical",
            group: GROUP,
            severity: Severity::Critical,
            when: used().compared(">", 0.97),
            hold: "5m",
            summary: "{{ $labels.site }}: the storage unit {{ $labels.name }} is full",
            description: "{{ $value | humanizePercentage }} are used; backups to it fail with status 129.",
            runbook: "Point backups to other storage, then expire images and run the cleanup.",
        },
        Alert {
            name: "NetBackupStorageFillsUp",
            group: GROUP,
            severity: Severity::Warning,
            when: ahead.compared("<", 0).and(&UNIT, well_filled),
            hold: "6h",
            summary: "{{ $labels.site }}: the storage unit {{ $labels.name }} will be full within a week",
            description: "More than 60 % are used, and at the rate of the last day it is full within seven days.",
            runbook: "The storage dashboard shows the days to full. Find out what grew, and whether the retention still fits.",
        },
        Alert {
            name: "NetBackupStorageUnitSaturated",
            group: GROUP,
            severity: Severity::Warning,
            when: m("storage:nbu_storage_unit_jobs:ratio").now().compared(">", 0.95),
            hold: "2h",
            summary: "{{ $labels.site }}: the storage unit {{ $labels.name }} runs all the jobs that it may",
            description: "{{ $value | humanizePercentage }} of its concurrent jobs have been active for two hours; further jobs wait.",
            runbook: "If its server has room, raise the maximum of concurrent jobs; otherwise spread policies over storage units or hours.",
        },
        Alert {
            name: "NetBackupDiskVolumeDown",
            group: GROUP,
            severity: Severity::Critical,
            when: down.sum(&["job", "site", "pool_name"]).compared(">", 0),
            hold: "15m",
            summary: "{{ $labels.site }}: volumes of the disk pool {{ $labels.pool_name }} are down",
            description: "{{ $value }} volumes are DOWN: backups and restores that use them fail.",
            runbook: "Check the storage server and its services, then set the volume UP (nbdevconfig or the web UI).",
        },
    ]
}
