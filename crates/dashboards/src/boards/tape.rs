//! Tape: drives, media, scratch, robots.

use super::common::{NONE_IS_BETTER, m};
use crate::grafana::{Board, Panel, Row, Unit};

pub(super) fn board() -> Board {
    Board {
        uid: "nbu-tape",
        title: "NetBackup / Tape",
        description: "Drives, scratch tapes, volume pools and robots. Needs the collector tape; media, pools and robots need NetBackup 10.5 or later.",
        variables: Vec::new(),
        rows: vec![
            Row { title: "Now", panels: now() },
            Row { title: "Drives", panels: drives() },
            Row { title: "Media", panels: media() },
        ],
    }
}

const SCRATCH: &str = "(?i:scratch.*)";

fn now() -> Vec<Panel> {
    let drives = |status| m("nbu_tape_drives_count").is("status", status).now().sum(&[]);
    vec![
        Panel::stat("Drives up", "Drives that are UP.")
            .steps(&[(None, "red"), (Some(1.0), "green")])
            .ask("", drives("DRIVE_STATUS_UP")),
        Panel::stat("Drives down", "Drives that NetBackup took out of use.")
            .steps(&NONE_IS_BETTER)
            .ask("", drives("DRIVE_STATUS_DOWN")),
        Panel::stat("Drives disabled", "Drives that an administrator took out of use.")
            .steps(&NONE_IS_BETTER)
            .ask("", drives("DRIVE_STATUS_DISABLED")),
        Panel::stat("Scratch tapes", "Tapes available to all pools.")
            .steps(&[(None, "red"), (Some(5.0), "orange"), (Some(20.0), "green")])
            .ask("", m("nbu_tape_media_count").like("pool", SCRATCH).now().sum(&[])),
        Panel::stat("Tapes", "All tapes.").ask("", m("nbu_tape_media_count").now().sum(&[])),
        Panel::stat("Robot hosts", "Hosts that control robots.")
            .ask("", m("nbu_tape_robot_device_hosts").now().sum(&[])),
    ]
}

fn drives() -> Vec<Panel> {
    let info = ["site", "drive_name", "status", "media_server", "drive_type", "robot_number"];
    vec![
        Panel::stack("Drives by status", "All drives.")
            .ask("{{status}}", m("nbu_tape_drives_count").now().sum(&["status"])),
        Panel::lines("Drives up by type", "Share of the drives that are UP.")
            .unit(Unit::Ratio)
            .range(0.0, 1.0)
            .ask(
                "{{site}} {{drive_type}}",
                m("nbu_tape_drives_count")
                    .is("status", "DRIVE_STATUS_UP")
                    .now()
                    .per_site(&["drive_type"])
                    .with("/", m("nbu_tape_drives_count").now().per_site(&["drive_type"])),
            ),
        Panel::table(
            "Drives",
            "One row for each drive; media_server is <multiple> for shared drives.",
        )
        .column("", Unit::Number, &[], m("nbu_tape_drive_info").now().count(&info)),
    ]
}

fn media() -> Vec<Panel> {
    vec![
        Panel::lines("Scratch tapes by type", "Tapes left for new backups.").from_zero().ask(
            "{{site}} {{media_type}}",
            m("nbu_tape_media_count").like("pool", SCRATCH).now().per_site(&["media_type"]),
        ),
        Panel::stack("Tapes by pool", "All tapes.")
            .ask("{{site}} {{pool}}", m("nbu_tape_media_count").now().per_site(&["pool"])),
        Panel::table("Media", "Tapes by pool, type and robot.").size(12, 9).column(
            "tapes",
            Unit::Number,
            &[],
            m("nbu_tape_media_count")
                .now()
                .sum(&["site", "pool", "media_type", "robot_type"])
                .sorted(),
        ),
        Panel::table("Partially full", "Tapes with free space; many of them waste space.")
            .size(12, 9)
            .column(
                "tapes",
                Unit::Number,
                &[],
                m("nbu_tape_pool_partially_full")
                    .now()
                    .sum(&["site", "pool_name", "pool_type"])
                    .sorted(),
            ),
    ]
}
