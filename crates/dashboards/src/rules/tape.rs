//! Alerts on tape: drives and scratch tapes. Silent where the collector tape is off, or there is no tape.

use super::rule::{Alert, Severity, m};

const GROUP: &str = "tape";

pub(super) fn alerts() -> Vec<Alert> {
    let by_type = ["job", "site", "drive_type"];
    let drives = || m("nbu_tape_drives_count");
    let down = drives().is("status", "DRIVE_STATUS_DOWN").now().sum(&by_type);
    let up = drives().is("status", "DRIVE_STATUS_UP").now().sum(&by_type);
    let all = drives().now().sum(&by_type).compared(">", 0);
    let scratch = m("nbu_tape_media_count").like("pool", "(?i:scratch.*)").now();
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
            when: up.with("/", all).compared("<", 0.5),
            hold: "15m",
            summary: "{{ $labels.site }}: most tape drives of type {{ $labels.drive_type }} are not UP",
            description: "Only {{ $value | humanizePercentage }} of them are UP; duplications and restores will be queued.",
            runbook: "Many drives at once point to the library, the fabric or a media server.",
        },
        Alert {
            name: "NetBackupScratchLow",
            group: GROUP,
            severity: Severity::Warning,
            when: scratch.sum(&["job", "site", "media_type"]).compared("<", 5),
            hold: "30m",
            summary: "{{ $labels.site }}: few scratch tapes of type {{ $labels.media_type }} are left",
            description: "{{ $value }} are left; without any, writing to tape fails with status 96.",
            runbook: "Add tapes, or expire images that are no longer needed.",
        },
    ]
}
