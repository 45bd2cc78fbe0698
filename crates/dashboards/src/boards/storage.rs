//! Disk storage: what is full, when what is not will be, and what is down.

use super::common::{DAYS, FILLED, NONE_IS_GOOD, SPAN, m};
use crate::grafana::{Board, Panel, Row, Unit};

/// A storage unit.
const UNIT: [&str; 3] = ["site", "name", "type"];

pub(super) fn board() -> Board {
    Board {
        uid: "nbu-storage",
        title: "NetBackup / Storage",
        description: "Disk storage: usage, days to full, load of storage units and media servers, and volumes that are down.",
        variables: Vec::new(),
        rows: vec![
            Row { title: "Now", panels: now() },
            Row { title: "Storage units", panels: units() },
            Row { title: "Load", panels: load() },
            Row { title: "Disk pools", panels: pools() },
        ],
    }
}

fn now() -> Vec<Panel> {
    let size = |size| m("nbu_disk_bytes").is("size", size).now().sum(&[]);
    vec![
        Panel::stat("Capacity", "Of all storage units with a capacity.")
            .unit(Unit::Bytes)
            .ask("", m("nbu_disk_capacity_bytes").now().sum(&[])),
        Panel::stat("Used", "Of all storage units, cloud included.")
            .unit(Unit::Bytes)
            .ask("", size("used")),
        Panel::stat("Free", "Of all storage units with a limit.")
            .unit(Unit::Bytes)
            .ask("", size("free")),
        Panel::stat("Fullest", "Used share of the storage unit with the least free space.")
            .unit(Unit::Ratio)
            .steps(&FILLED)
            .ask("", m("storage:nbu_disk_used:ratio").now().max(&[])),
        Panel::stat(
            "Days to full",
            "Of the storage unit that fills first, at the rate of the last day; 3650 means never.",
        )
        .unit(Unit::Days)
        .steps(&DAYS)
        .ask("", m("storage:nbu_disk_full:days").now().min(&[])),
        Panel::stat("Volumes down", "Volumes of disk pools that are DOWN.")
            .steps(&NONE_IS_GOOD)
            .ask("", m("nbu_disk_pool_volume_count").is("state", "DOWN").now().sum(&[])),
    ]
}

fn units() -> Vec<Panel> {
    let size = |size| m("nbu_disk_bytes").is("size", size).now();
    vec![
        Panel::table("Storage units", "One row for each unit. Tape has no capacity, cloud units without a limit have no free space.")
            .column("capacity", Unit::Bytes, &[], m("nbu_disk_capacity_bytes").now().max(&UNIT))
            .column("used", Unit::Bytes, &[], size("used").max(&UNIT))
            .column("free", Unit::Bytes, &[], size("free").max(&UNIT))
            .column("full", Unit::Ratio, &FILLED, m("storage:nbu_disk_used:ratio").now().max(&UNIT))
            .column("days to full", Unit::Days, &DAYS, m("storage:nbu_disk_full:days").now().min(&UNIT))
            .column("concurrent jobs", Unit::Number, &[], m("nbu_storage_max_concurrent_jobs").now().max(&UNIT))
            .column("fragment", Unit::Bytes, &[], m("nbu_storage_max_fragment_size_bytes").now().max(&UNIT)),
        Panel::lines("Used over time", "Used share of each storage unit.")
            .unit(Unit::Ratio)
            .range(0.0, 1.0)
            .ask("{{site}} {{name}}", m("storage:nbu_disk_used:ratio").now().max(&["site", "name"])),
        Panel::lines("In seven days", "Free space in a week, at the rate of the last day; below 0 is full.")
            .unit(Unit::Bytes)
            .ask(
                "{{site}} {{name}}",
                m("nbu_disk_bytes").is("size", "free").predict("1d", "7 * 86400").max(&["site", "name"]),
            ),
        Panel::lines("Growth", "Fill rate of each storage unit, mean of six hours.")
            .unit(Unit::BytesPerSecond)
            .ask("{{site}} {{name}}", m("nbu_disk_bytes").is("size", "used").over("deriv", "6h").max(&["site", "name"])),
        Panel::bars("Full first", "Days to full of the storage units that fill first.")
            .unit(Unit::Days)
            .steps(&DAYS)
            .ask("{{site}} {{name}}", m("storage:nbu_disk_full:days").now().min(&["site", "name"])),
        Panel::table("Properties", "Properties of storage units.")
            .column(
                "",
                Unit::Number,
                &[],
                m("nbu_storage_info").now().count(&[
                    "site", "name", "type", "subtype", "is_cloud", "worm_capable", "use_worm",
                    "replication_capable", "instant_access",
                ]),
            ),
    ]
}

fn load() -> Vec<Panel> {
    let active = m("nbu_media_server_active_jobs").now().max(&["site", "media_server"]);
    vec![
        Panel::lines(
            "Saturation",
            "Active jobs of each storage unit, as a share of the concurrent jobs that it may run. At 1, further jobs wait.",
        )
        .unit(Unit::Ratio)
        .from_zero()
        .ask(
            "{{site}} {{name}}",
            m("storage:nbu_storage_unit_jobs:ratio").now().max(&["site", "name"]),
        ),
        Panel::stack("Active jobs by media server", "Jobs that write through each media server.")
            .ask("{{site}} {{media_server}}", active),
        Panel::stack(
            "Throughput by storage unit",
            "Bytes per second of jobs that ended, by where they wrote, before deduplication.",
        )
        .unit(Unit::BytesPerSecond)
        .ask(
            "{{site}} {{name}}",
            m("nbu_storage_unit_transferred_bytes_total").rate(SPAN).per_site(&["name"]),
        ),
        Panel::stack(
            "Throughput by media server",
            "Bytes per second of jobs that ended, by the media server that they used, before deduplication.",
        )
        .unit(Unit::BytesPerSecond)
        .ask(
            "{{site}} {{media_server}}",
            m("nbu_media_server_transferred_bytes_total").rate(SPAN).per_site(&["media_server"]),
        ),
    ]
}

fn pools() -> Vec<Panel> {
    let pool = ["site", "pool_name", "storage_category", "state"];
    vec![
        Panel::stack("Volumes by state", "Volumes of disk pools.")
            .ask("{{site}} {{state}}", m("nbu_disk_pool_volume_count").now().per_site(&["state"])),
        Panel::table("Volumes", "Volumes of each disk pool by state.").size(12, 8).column(
            "volumes",
            Unit::Number,
            &[],
            m("nbu_disk_pool_volume_count").now().sum(&pool).sorted(),
        ),
    ]
}
