//! Alerts on tape: drives, scratch tapes, cleaning tapes, frozen tapes. Silent where the collector tape is off, or
//! there is no tape.

use super::rule::{Alert, Severity, m};
use crate::declared::SITE;
use crate::query::Query;

const GROUP: &str = "tape";

/// The labels of a drive.
const DRIVE: [&str; 3] = ["job", "site", "drive_name"];

/// The labels of the tapes of one kind in a robot.
const IN_ROBOT: [&str; 4] = ["job", "site", "robot_number", "media_type"];

pub(super) fn alerts() -> Vec<Alert> {
    let mut all = drives();
    all.extend(tapes());
    all
}

fn drives() -> Vec<Alert> {
    let by_type = ["job", "site", "drive_type"];
    let drives = || m("nbu_tape_drives_count");
    let down = drives().is("status", "DRIVE_STATUS_DOWN").now().sum(&by_type);
    let unusable = drives().like("status", "DRIVE_STATUS_(DOWN|DISABLED)").now().sum(&by_type);
    let all = drives().now().sum(&by_type).compared(">", 0);
    let info = |statuses| m("nbu_tape_drive_info").like("status", statuses).now().max(&DRIVE);
    let path_down = m("nbu_tape_drive_paths").is("status", "PATH_STATUS_DOWN").now().max(&DRIVE);
    vec![
        Alert {
            name: "NetBackupTapeDriveDown",
            group: GROUP,
            severity: Severity::Warning,
            when: down.compared(">", 0),
            hold: "15m",
            summary: "{{ $labels.site }}: tape drives of type {{ $labels.drive_type }} are down",
            description: "{{ $value }} drives are DOWN.",
            runbook: "nbu_tape_drive_info names them and their media servers. Check for hardware errors, then set them UP.",
        },
        Alert {
            name: "NetBackupTapeDrivesFew",
            group: GROUP,
            severity: Severity::Critical,
            when: unusable.with("/", all).compared(">", 0.5),
            hold: "15m",
            summary: "{{ $labels.site }}: most tape drives of type {{ $labels.drive_type }} are DOWN or DISABLED",
            description: "{{ $value | humanizePercentage }} of them cannot be used; duplications and restores will be queued.",
            runbook: "Many drives at once point to the library, the fabric or a media server.",
        },
        Alert {
            name: "NetBackupTapeDriveMixed",
            group: GROUP,
            severity: Severity::Warning,
            when: info("DRIVE_STATUS_MIXED").compared(">", 0),
            hold: "15m",
            summary: "{{ $labels.site }}: tape drive {{ $labels.drive_name }} is down on some hosts",
            description: "It is MIXED: other hosts still write to it, those on which it is down wait for other drives.",
            runbook: "nbu_tape_drive_paths has the number of paths; the web UI names the hosts. Check the device on them, then set their paths UP.",
        },
        Alert {
            name: "NetBackupTapePathDown",
            group: GROUP,
            severity: Severity::Warning,
            // Drives that are DOWN or MIXED have alerts of their own.
            when: path_down.compared(">", 0).unless(&DRIVE, info("DRIVE_STATUS_(DOWN|MIXED)")),
            hold: "15m",
            summary: "{{ $labels.site }}: paths to tape drive {{ $labels.drive_name }} are down",
            description: "{{ $value }} paths are DOWN, though the drive is not.",
            runbook: "The web UI names the hosts. Check cabling, zoning and the device files there, then set the path UP.",
        },
        Alert {
            name: "NetBackupTapeDriveNeedsCleaning",
            group: GROUP,
            severity: Severity::Warning,
            when: m("nbu_tape_drive_needs_cleaning").now().max(&DRIVE).compared(">", 0),
            hold: "2h",
            summary: "{{ $labels.site }}: tape drive {{ $labels.drive_name }} needs cleaning",
            description: "The server has been saying so for two hours; a dirty drive writes slowly and freezes tapes.",
            runbook: "Is there a cleaning tape with cleanings left in the robot? Clean the drive from the device monitor.",
        },
    ]
}

fn tapes() -> Vec<Alert> {
    let scratch = || m("nbu_tape_scratch_available").now().max(&IN_ROBOT);
    // A type of tape that a robot never had, or has no longer, is no reason.
    let had_some = |name| m(name).over("max_over_time", "14d").max(&IN_ROBOT).compared(">", 0);
    let cleanings = m("nbu_tape_cleanings_remaining").is_not("robot_number", "NONE");
    vec![
        Alert {
            name: "NetBackupScratchLow",
            group: GROUP,
            severity: Severity::Warning,
            when: scratch().compared("<", 5).compared(">", 0),
            hold: "30m",
            summary: "{{ $labels.site }}: few scratch tapes of type {{ $labels.media_type }} are left in robot {{ $labels.robot_number }}",
            description: "{{ $value }} are left; without any, writing to tape fails with status 96.",
            runbook: "Insert tapes (nbu_tape_scratch_outside has those on a shelf), unfreeze good ones, or expire images that are no longer needed.",
        },
        Alert {
            name: "NetBackupScratchNone",
            group: GROUP,
            severity: Severity::Critical,
            when: scratch()
                .compared("==", 0)
                .and(&IN_ROBOT, had_some("nbu_tape_scratch_available")),
            hold: "30m",
            summary: "{{ $labels.site }}: no scratch tape of type {{ $labels.media_type }} is left in robot {{ $labels.robot_number }}",
            description: "The robot had some in the last two weeks; jobs that need a new tape fail with status 96.",
            runbook: "Insert tapes now (nbu_tape_scratch_outside has those on a shelf), or move empty ones from other pools.",
        },
        Alert {
            name: "NetBackupTapesFrozen",
            group: GROUP,
            severity: Severity::Warning,
            when: newly_frozen().compared(">", 2),
            hold: "10m",
            summary: "{{ $labels.site }}: tapes freeze",
            description: "{{ $value }} tapes more are FROZEN than at the least in the last 24 hours.",
            runbook: "Which drive wrote them? One drive, or its cleaning, is the usual cause; one batch of tapes the other. Unfreeze the tapes that are good.",
        },
        Alert {
            name: "NetBackupCleaningsLow",
            group: GROUP,
            severity: Severity::Warning,
            when: cleanings
                .now()
                .max(&IN_ROBOT)
                .compared("<", 5)
                .and(&IN_ROBOT, had_some("nbu_tape_cleanings_remaining")),
            hold: "30m",
            summary: "{{ $labels.site }}: few cleanings of type {{ $labels.media_type }} are left in robot {{ $labels.robot_number }}",
            description: "{{ $value }} are left on the cleaning tapes in the robot; then drives stay dirty and freeze tapes.",
            runbook: "Insert a new cleaning tape, and set its number of cleanings.",
        },
    ]
}

/// Returns the rise of the frozen tapes of a site since their least number in the last day: what was thawed meanwhile
/// hides nothing. Their sum, as a tape that moves to another robot does not freeze.
fn newly_frozen() -> Query {
    let frozen = || m("nbu_tape_media_status_count").is("status", "FROZEN").now().sum(&SITE);
    let risen = frozen().with("-", frozen().over("min_over_time", "24h", "10m"));
    // A site has no steps in its first ten minutes.
    risen.exercised_as(&frozen())
}
