//! Tape: drives, media, scratch, robots.

use super::common::{NONE_IS_BETTER, m};
use crate::grafana::{Board, Panel, Row, Unit};

pub(super) fn board() -> Board {
    Board {
        uid: "nbu-tape",
        title: "NetBackup / Tape",
        description: "Scratch tapes, frozen tapes, drives, volume pools and robots. Needs the collector tape; media, pools and robots need NetBackup 10.5 or later.",
        variables: Vec::new(),
        rows: vec![
            Row { title: "Now", panels: now() },
            Row { title: "To write on tonight", panels: scratch() },
            Row { title: "Drives", panels: drives() },
            Row { title: "Media", panels: media() },
        ],
    }
}

fn now() -> Vec<Panel> {
    let drives = |status| m("nbu_tape_drives_count").is("status", status).now().sum(&[]);
    vec![
        Panel::stat("Drives up", "Drives that are UP.")
            .steps(&[(None, "red"), (Some(1.0), "green")])
            .ask("", drives("DRIVE_STATUS_UP")),
        Panel::stat("Drives down", "Drives that NetBackup took out of use.")
            .steps(&NONE_IS_BETTER)
            .ask("", drives("DRIVE_STATUS_DOWN")),
        Panel::stat("Drives mixed", "Shared drives that are down on some hosts only.")
            .steps(&NONE_IS_BETTER)
            .ask("", drives("DRIVE_STATUS_MIXED")),
        Panel::stat("Drives disabled", "Drives that an administrator took out of use.")
            .steps(&NONE_IS_BETTER)
            .ask("", drives("DRIVE_STATUS_DISABLED")),
        Panel::stat("Drives to clean", "Drives that need cleaning.")
            .steps(&NONE_IS_BETTER)
            .ask("", m("nbu_tape_drive_needs_cleaning").now().sum(&[])),
        Panel::stat("Scratch tapes", "Scratch tapes in robots that can be written on now.")
            .steps(&[(None, "red"), (Some(5.0), "orange"), (Some(20.0), "green")])
            .ask("", m("nbu_tape_scratch_available").now().sum(&[])),
        Panel::stat("Frozen tapes", "Tapes that NetBackup or somebody took out of use.")
            .steps(&NONE_IS_BETTER)
            .ask("", m("nbu_tape_media_status_count").is("status", "FROZEN").now().sum(&[])),
        Panel::stat("Tapes", "All tapes.").ask("", m("nbu_tape_media_count").now().sum(&[])),
        Panel::stat("Robot hosts", "Hosts that control robots.")
            .ask("", m("nbu_tape_robot_device_hosts").now().sum(&[])),
    ]
}

fn scratch() -> Vec<Panel> {
    let in_robot = ["robot_number", "media_type"];
    vec![
        Panel::lines("Scratch tapes in robots", "Tapes that can be written on now.")
            .from_zero()
            .ask(
                "{{site}} {{robot_number}} {{media_type}}",
                m("nbu_tape_scratch_available").now().per_site(&in_robot),
            ),
        Panel::lines("Scratch tapes outside", "Empty tapes on a shelf or in a vault.")
            .from_zero()
            .ask(
                "{{site}} {{media_type}}",
                m("nbu_tape_scratch_outside").now().per_site(&["media_type"]),
            ),
        Panel::stack(
            "Frozen and suspended",
            "Tapes that are not written on though they may have space.",
        )
        .ask(
            "{{site}} {{status}}",
            m("nbu_tape_media_status_count")
                .like("status", "FROZEN|SUSPENDED")
                .now()
                .per_site(&["status"]),
        ),
        Panel::lines("Cleanings left", "Cleanings left on the cleaning tapes; NONE is a shelf.")
            .from_zero()
            .ask(
                "{{site}} {{robot_number}} {{media_type}}",
                m("nbu_tape_cleanings_remaining").now().per_site(&in_robot),
            ),
    ]
}

fn drives() -> Vec<Panel> {
    let info = ["site", "drive_name", "status", "media_server", "drive_type", "robot_number"];
    let by_drive = ["site", "drive_name"];
    let paths = |status| m("nbu_tape_drive_paths").is("status", status).now().sum(&by_drive);
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
        Panel::table("Paths and cleaning", "Paths from hosts to each drive.")
            .column("up", Unit::Number, &[], paths("PATH_STATUS_UP"))
            .column("down", Unit::Number, &NONE_IS_BETTER, paths("PATH_STATUS_DOWN"))
            .column("disabled", Unit::Number, &[], paths("PATH_STATUS_DISABLED"))
            .column(
                "needs cleaning",
                Unit::Number,
                &NONE_IS_BETTER,
                m("nbu_tape_drive_needs_cleaning").now().max(&by_drive),
            ),
        Panel::table("TapeAlert flags", "Flags that are set on drives.").column(
            "",
            Unit::Number,
            &[],
            m("nbu_tape_drive_alert").now().max(&["site", "drive_name", "flag"]),
        ),
    ]
}

fn media() -> Vec<Panel> {
    vec![
        Panel::stack("Tapes by pool", "All tapes.")
            .ask("{{site}} {{pool}}", m("nbu_tape_media_count").now().per_site(&["pool"])),
        Panel::stack("Data by pool", "Bytes written on the tapes of each pool.")
            .unit(Unit::Bytes)
            .ask("{{site}} {{pool}}", m("nbu_tape_media_bytes").now().per_site(&["pool"])),
        Panel::stack("Tapes by vault", "Tapes in vaults.")
            .ask("{{site}} {{vault}}", m("nbu_tape_media_offsite").now().per_site(&["vault"])),
        Panel::stack("Tapes by status", "A tape counts under each of its words.")
            .ask("{{status}}", m("nbu_tape_media_status_count").now().sum(&["status"])),
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
