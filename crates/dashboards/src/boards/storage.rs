//! Disk storage: what is full, when what is not will be, and what is down.

use super::common::{DAYS, FILLED, NONE_IS_GOOD, SPAN, capacity, filled, free, m, used};
use crate::grafana::{Board, Panel, Row, Unit};

/// A storage unit.
const UNIT: [&str; 3] = ["site", "name", "type"];

/// A disk pool.
const POOL: [&str; 4] = ["site", "pool_name", "storage_category", "server_type"];

/// A volume of a disk pool.
const VOLUME: [&str; 4] = ["site", "pool_name", "server_type", "volume"];

pub(super) fn board() -> Board {
    Board {
        uid: "nbu-storage",
        title: "NetBackup / Storage",
        description: "Disk storage: space of disk pools counted once, whether tonight fits, when a pool is full, load of storage units and media servers, and what is down.",
        variables: Vec::new(),
        rows: vec![
            Row { title: "Now", panels: now() },
            Row { title: "Will it fit?", panels: forecast() },
            Row { title: "Disk pools", panels: pools() },
            Row { title: "Storage units", panels: units() },
            Row { title: "Load", panels: load() },
            Row { title: "Storage servers", panels: servers() },
        ],
    }
}

fn now() -> Vec<Panel> {
    vec![
        Panel::stat(
            "Capacity",
            "Of disk pools, and of storage units without a pool; each space once. Cloud has none.",
        )
        .unit(Unit::Bytes)
        .ask("", capacity(&[])),
        Panel::stat("Used", "Of disk pools, and of storage units without a pool; without cloud.")
            .unit(Unit::Bytes)
            .ask("", used(&[])),
        Panel::stat("Free", "Of disk pools, and of storage units without a pool.")
            .unit(Unit::Bytes)
            .ask("", free(&[])),
        Panel::stat(
            "Fullest",
            "Used share of the fullest disk pool, or storage unit without a pool.",
        )
        .unit(Unit::Ratio)
        .steps(&FILLED)
        .ask("", filled().max(&[])),
        Panel::stat(
            "Nights too big",
            "Disk pools into which tonight does not fit, decided at 14:00.",
        )
        .steps(&NONE_IS_GOOD)
        .ask("", m("nbu_disk_pool_tonight_fits").now().compared("== bool", 0).sum(&[])),
        Panel::stat("Volumes down", "Volumes of disk pools that are DOWN.")
            .steps(&NONE_IS_GOOD)
            .ask("", m("nbu_disk_pool_volume_count").is("state", "DOWN").now().sum(&[])),
    ]
}

/// Tonight, the nights before, and the weeks to come.
fn forecast() -> Vec<Panel> {
    let growth = |night| m("nbu_disk_pool_night_growth_bytes").is("night", night).now().max(&POOL);
    let gauge = |name| m(name).now().max(&POOL);
    vec![
        Panel::table("Tonight and after", "One row for each disk pool: the room below its high water mark, what a night takes, and when it is full.")
            .column("fits tonight", Unit::Number, &[(None, "red"), (Some(1.0), "green")], gauge("nbu_disk_pool_tonight_fits"))
            .column("headroom", Unit::Bytes, &[], gauge("nbu_disk_pool_headroom_bytes"))
            .column("tonight takes", Unit::Bytes, &[], growth("tonight"))
            .column("last night", Unit::Bytes, &[], growth("last"))
            .column("high night", Unit::Bytes, &[], growth("high"))
            .column("nights left", Unit::Number, &[], gauge("nbu_disk_pool_nights_left"))
            .column("days left", Unit::Days, &DAYS, gauge("nbu_disk_pool_days_left"))
            .column("free, change a day", Unit::Bytes, &[], gauge("nbu_disk_pool_free_daily_change_bytes")),
        Panel::lines("Growth of nights", "What each night took of each disk pool.")
            .unit(Unit::Bytes)
            .ask("{{site}} {{pool_name}}", growth("last")),
        Panel::lines("Headroom", "Space below the high water mark of each disk pool; below 0 it is full.")
            .unit(Unit::Bytes)
            .ask("{{site}} {{pool_name}}", gauge("nbu_disk_pool_headroom_bytes")),
        Panel::bars("Full first", "Days until the trend of 14 days reaches the high water mark.")
            .unit(Unit::Days)
            .steps(&DAYS)
            .ask("{{site}} {{pool_name}}", gauge("nbu_disk_pool_days_left")),
    ]
}

fn units() -> Vec<Panel> {
    let size = |size| m("nbu_disk_bytes").is("size", size).now();
    vec![
        Panel::table("Storage units", "One row for each unit. Units on one disk pool repeat its numbers: never add them up. Tape has no capacity, cloud units without a limit have no free space.")
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
        Panel::lines("Growth", "Fill rate of each storage unit, mean of six hours.")
            .unit(Unit::BytesPerSecond)
            .ask("{{site}} {{name}}", m("nbu_disk_bytes").is("size", "used").over("deriv", "6h").max(&["site", "name"])),
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
    let state = ["site", "pool_name", "storage_category", "state"];
    let gauge = |name| m(name).now().max(&POOL);
    vec![
        Panel::table("Disk pools", "One row for each pool. Cloud has neither capacity nor marks; two pools on one appliance may both show all of its space.")
            .column("up", Unit::Number, &[(None, "red"), (Some(1.0), "green")], m("nbu_disk_pool_state").is("state", "UP").now().max(&POOL))
            .column("capacity", Unit::Bytes, &[], gauge("nbu_disk_pool_capacity_bytes"))
            .column("used", Unit::Bytes, &[], gauge("nbu_disk_pool_used_bytes"))
            .column("free", Unit::Bytes, &[], gauge("nbu_disk_pool_free_bytes"))
            .column("full", Unit::Ratio, &FILLED, m("pool:nbu_disk_pool_used:ratio").now().max(&POOL))
            .column("high mark", Unit::Ratio, &[], gauge("nbu_disk_pool_high_watermark_ratio"))
            .column("low mark", Unit::Ratio, &[], gauge("nbu_disk_pool_low_watermark_ratio"))
            .column("raw", Unit::Bytes, &[], gauge("nbu_disk_pool_raw_bytes")),
        Panel::lines("Pools over time", "Used share of each disk pool.")
            .unit(Unit::Ratio)
            .range(0.0, 1.0)
            .ask("{{site}} {{pool_name}}", m("pool:nbu_disk_pool_used:ratio").now().max(&["site", "pool_name"])),
        Panel::table("Units on pools", "The disk pool of each storage unit.").size(12, 8).column(
            "",
            Unit::Number,
            &[],
            m("nbu_storage_unit_pool_info").now().count(&["site", "name", "type", "pool_name"]),
        ),
        Panel::stack("Volumes by state", "Volumes of disk pools.")
            .ask("{{site}} {{state}}", m("nbu_disk_pool_volume_count").now().per_site(&["state"])),
        Panel::table("Volumes", "Volumes of each disk pool by state.").size(12, 8).column(
            "volumes",
            Unit::Number,
            &[],
            m("nbu_disk_pool_volume_count").now().sum(&state).sorted(),
        ),
        Panel::table("Single volumes", "State and space of each volume.")
            .size(12, 8)
            .column("up", Unit::Number, &[(None, "red"), (Some(1.0), "green")], m("nbu_disk_volume_up").now().max(&VOLUME))
            .column("capacity", Unit::Bytes, &[], m("nbu_disk_volume_capacity_bytes").now().max(&VOLUME))
            .column("free", Unit::Bytes, &[], m("nbu_disk_volume_free_bytes").now().max(&VOLUME)),
    ]
}

fn servers() -> Vec<Panel> {
    let server = ["site", "storage_server"];
    let size = |size| m("nbu_msdp_bytes").is("size", size).now().max(&server);
    let held = m("nbu_msdp_catalog_logical_bytes").now().max(&server);
    vec![
        Panel::table("Storage servers", "State of each storage server.").size(12, 8).column(
            "up",
            Unit::Number,
            &[(None, "red"), (Some(1.0), "green")],
            m("nbu_storage_server_up").now().max(&[
                "site",
                "storage_server",
                "server_type",
                "storage_category",
            ]),
        ),
        Panel::table("Releases", "NetBackup release of each storage server.").size(12, 8).column(
            "",
            Unit::Number,
            &[],
            m("nbu_storage_server_info").now().count(&[
                "site",
                "storage_server",
                "server_type",
                "storage_category",
                "version",
            ]),
        ),
        Panel::table(
            "MSDP",
            "Space of each MSDP storage server, and what it holds before deduplication.",
        )
        .size(12, 8)
        .column("size", Unit::Bytes, &[], size("size"))
        .column("used", Unit::Bytes, &[], size("used"))
        .column("available", Unit::Bytes, &[], size("available"))
        .column("reserved", Unit::Bytes, &[], size("reserved"))
        .column("raw", Unit::Bytes, &[], size("raw"))
        .column("front end", Unit::Bytes, &[], held)
        .column(
            "rate as told",
            Unit::Number,
            &[],
            m("nbu_msdp_dedup_rate").now().max(&server),
        ),
        Panel::lines(
            "Times its space",
            "Front-end bytes that each MSDP server holds, over the bytes that it uses.",
        )
        .ask(
            "{{site}} {{storage_server}}",
            m("nbu_msdp_catalog_logical_bytes")
                .now()
                .max(&server)
                .with("/", size("used").compared(">", 0)),
        ),
    ]
}
