//! Expected series of tape, computed from the simulator's truth and from the meaning of the metrics.

use nbu_sim::{TapeView, Truth};

use super::resources::Shown;

/// Words of mediaStatus.
const WORDS: [&str; 9] = [
    "FROZEN",
    "SUSPENDED",
    "FULL",
    "MULTIPLE_RETENTION_LEVELS",
    "IMPORTED",
    "ACTIVE",
    "MULTIPLEXED",
    "WORM",
    "BE",
];

/// Adds the series of the drives.
pub fn drives(truth: &Truth, shown: &mut Shown<'_>) {
    for drive in truth.tape_drives() {
        let of_type = [("drive_type", drive.drive_type), ("robot_type", drive.robot_type)];
        for status in ["UP", "DOWN", "MIXED", "DISABLED"] {
            let status = format!("DRIVE_STATUS_{status}");
            let labels = [of_type[0], of_type[1], ("status", status.as_str())];
            shown.add("nbu_tape_drives_count", &labels, 0.0);
        }
        let labels = [of_type[0], of_type[1], ("status", drive.status)];
        shown.add("nbu_tape_drives_count", &labels, 1.0);
        let robot = drive.robot_number.map_or("UNKNOWN".to_owned(), |number| number.to_string());
        let name = ("drive_name", &*drive.name);
        let info = [
            name,
            ("media_server", &*drive.host),
            of_type[0],
            ("robot_number", &robot),
            ("status", drive.status),
        ];
        shown.flag("nbu_tape_drive_info", &info);
        shown.add("nbu_tape_drive_needs_cleaning", &[name], 0.0);
        if drive.needs_cleaning {
            shown.flag("nbu_tape_drive_needs_cleaning", &[name]);
        }
        for alert in &drive.alerts {
            let flag = ("flag", alert.trim_end_matches(','));
            shown.flag("nbu_tape_drive_alert", &[name, flag]);
        }
        for status in ["UP", "DOWN", "DISABLED"] {
            let status = format!("PATH_STATUS_{status}");
            let paths = drive.paths.iter().filter(|path| **path == status).count();
            shown.add("nbu_tape_drive_paths", &[name, ("status", &status)], paths as f64);
        }
    }
}

/// Returns whether a backup could take a tape if it were in a robot.
fn is_ready_scratch(tape: &TapeView) -> bool {
    tape.pool_type == "SCRATCH_MEDIA_POOL"
        && !tape.words.iter().any(|word| ["FROZEN", "SUSPENDED"].contains(word))
        && tape.valid_images == 0
        && tape.cleanings.is_none()
}

/// Adds the series of tapes, pools and robots.
pub fn media(truth: &Truth, shown: &mut Shown<'_>) {
    shown.add("nbu_tape_robot_device_hosts", &[], truth.robot_hosts() as f64);
    for tape in truth.tapes() {
        let kind = ("media_type", tape.media_type);
        let pool = ("pool", &*tape.pool);
        shown.add("nbu_tape_media_count", &[pool, kind, ("robot_type", tape.robot_type)], 1.0);
        let bytes = tape.kilobytes as f64 * 1024.0;
        shown.add("nbu_tape_media_bytes", &[("pool", &tape.pool)], bytes);
        let number = tape.robot.map_or("NONE".to_owned(), |number| number.to_string());
        let robot = ("robot_number", number.as_str());
        for word in WORDS {
            let count = f64::from(u8::from(tape.words.contains(&word)));
            shown.add("nbu_tape_media_status_count", &[("status", word), robot, kind], count);
        }
        if let Some(vault) = tape.vault {
            shown.add("nbu_tape_media_offsite", &[("vault", vault)], 1.0);
        }
        if let Some(left) = tape.cleanings {
            shown.add("nbu_tape_cleanings_remaining", &[robot, kind], left as f64);
        } else {
            let ready = f64::from(u8::from(is_ready_scratch(&tape)));
            let outside = if tape.robot.is_none() { ready } else { 0.0 };
            shown.add("nbu_tape_scratch_outside", &[kind], outside);
            if tape.robot.is_some() {
                shown.add("nbu_tape_scratch_available", &[robot, kind], ready);
            }
        }
    }
    for pool in truth.volume_pools() {
        let labels = [("pool_name", &*pool.name), ("pool_type", pool.pool_type)];
        shown.add("nbu_tape_pool_partially_full", &labels, pool.partially_full as f64);
    }
}
