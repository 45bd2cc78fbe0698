//! Alerts on disk storage: what is full, what will be, what is down.

use super::recording::known_for_days;
use super::rule::{Alert, Severity, m};
use crate::declared::{POOL, UNIT};
use crate::query::Query;

const GROUP: &str = "storage";

pub(super) fn alerts() -> Vec<Alert> {
    let mut all = pools();
    all.extend(forecasts());
    all.extend(units());
    all.extend(devices());
    all
}

/// Keeps the pools of which the used share has reached their high water mark, or a share before it.
fn at_mark(before: Option<f64>) -> Query {
    let mark = m("nbu_disk_pool_high_watermark_ratio").now().max(&POOL);
    let from = match before {
        Some(share) => mark.short_of(share).negated(),
        None => mark,
    };
    m("pool:nbu_disk_pool_used:ratio").now().compared_each(">=", &POOL, from)
}

fn pools() -> Vec<Alert> {
    let pool_up = m("nbu_disk_pool_state").is("state", "UP").now();
    vec![
        Alert {
            name: "NetBackupDiskPoolFull",
            group: GROUP,
            severity: Severity::Critical,
            when: at_mark(None),
            hold: "5m",
            summary: "{{ $labels.site }}: the disk pool {{ $labels.pool_name }} is full",
            description: "{{ $value | humanizePercentage }} are used, which is its high water mark: backups to it fail with status 129.",
            runbook: "Point backups to other storage, expire images and run the cleanup, and look at what the SLP backlog holds.",
        },
        Alert {
            name: "NetBackupDiskPoolNearlyFull",
            group: GROUP,
            severity: Severity::Warning,
            when: at_mark(Some(0.05)).unless(&POOL, at_mark(None)),
            hold: "15m",
            summary: "{{ $labels.site }}: the disk pool {{ $labels.pool_name }} is nearly full",
            description: "{{ $value | humanizePercentage }} are used, less than five points below its high water mark.",
            runbook: "Expire images, let duplications catch up, or add capacity.",
        },
        Alert {
            name: "NetBackupDiskPoolDown",
            group: GROUP,
            severity: Severity::Critical,
            when: pool_up.compared("==", 0),
            hold: "10m",
            summary: "{{ $labels.site }}: the disk pool {{ $labels.pool_name }} is not UP",
            description: "Backups and restores that use it fail. nbu_storage_unit_pool_info names the storage units on it.",
            runbook: "Check its storage server and volumes, then set the pool UP (nbdevconfig or the web UI).",
        },
        Alert {
            name: "NetBackupStorageServerDown",
            group: GROUP,
            severity: Severity::Critical,
            when: m("nbu_storage_server_up").now().compared("==", 0),
            hold: "10m",
            summary: "{{ $labels.site }}: the storage server {{ $labels.storage_server }} is down",
            description: "Every disk pool that it serves cannot be used.",
            runbook: "Check the host and its services (spad and spoold for MSDP).",
        },
    ]
}

fn forecasts() -> Vec<Alert> {
    vec![
        Alert {
            name: "NetBackupTonightDoesNotFit",
            group: GROUP,
            severity: Severity::Critical,
            when: m("nbu_disk_pool_tonight_fits").now().compared("==", 0),
            hold: "0m",
            summary: "{{ $labels.site }}: the backups of tonight do not fit into the disk pool {{ $labels.pool_name }}",
            description: "By its last four weeks, the night takes more space than there is below the high water mark. Decided at 14:00 in the time zone of the server; it ends when enough space is free.",
            runbook: "Compare nbu_disk_pool_headroom_bytes with nbu_disk_pool_night_growth_bytes; expire images, run the cleanup, or point the largest policies elsewhere before the window opens.",
        },
        Alert {
            name: "NetBackupDiskPoolFillsUp",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_disk_pool_days_left").now().compared("<", 7),
            hold: "6h",
            summary: "{{ $labels.site }}: the disk pool {{ $labels.pool_name }} is full within a week",
            description: "By the trend of 14 days, it reaches its high water mark in {{ $value | humanize }} days.",
            runbook: "The storage dashboard shows the nights and the trend. Find out what grew, and whether the retention still fits.",
        },
    ]
}

/// Returns the storage units whose disk pool has numbers of its own.
fn told_by_pool() -> Query {
    let pools = m("nbu_disk_pool_capacity_bytes").now();
    m("nbu_storage_unit_pool_info").now().and(&["job", "site", "pool_name"], pools)
}

/// Alerts on units that are on no pool, or on one that cannot be read: they have no mark.
fn units() -> Vec<Alert> {
    let used = || m("storage:nbu_disk_used:ratio").now();
    let ahead = m("nbu_disk_bytes").is("size", "free").predict("14d", "7 * 86400").max(&UNIT);
    let ahead = ahead.and(&UNIT, known_for_days());
    let well_filled = used().compared(">", 0.6);
    vec![
        Alert {
            name: "NetBackupStorageFull",
            group: GROUP,
            severity: Severity::Warning,
            when: used().compared(">", 0.9).unless(&UNIT, told_by_pool()),
            hold: "15m",
            summary: "{{ $labels.site }}: the storage unit {{ $labels.name }} is nearly full",
            description: "{{ $value | humanizePercentage }} are used.",
            runbook: "Expire images, let duplications catch up, or add capacity.",
        },
        Alert {
            name: "NetBackupStorageCritical",
            group: GROUP,
            severity: Severity::Critical,
            when: used().compared(">", 0.97).unless(&UNIT, told_by_pool()),
            hold: "5m",
            summary: "{{ $labels.site }}: the storage unit {{ $labels.name }} is full",
            description: "{{ $value | humanizePercentage }} are used; backups to it fail with status 129.",
            runbook: "Point backups to other storage, then expire images and run the cleanup.",
        },
        Alert {
            name: "NetBackupStorageFillsUp",
            group: GROUP,
            severity: Severity::Warning,
            when: ahead.compared("<", 0).and(&UNIT, well_filled).unless(&UNIT, told_by_pool()),
            hold: "6h",
            summary: "{{ $labels.site }}: the storage unit {{ $labels.name }} will be full within a week",
            description: "More than 60 % are used, and by the trend of 14 days it is full within seven days.",
            runbook: "The storage dashboard shows the days to full. Find out what grew, and whether the retention still fits.",
        },
    ]
}

fn devices() -> Vec<Alert> {
    let down = m("nbu_disk_pool_volume_count").is("state", "DOWN").now();
    vec![
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
