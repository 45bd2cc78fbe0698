//! Tape drives, and the paths that lead to them.

use std::sync::Arc;

use fastrand::Rng;

use super::names::Names;
use crate::rows::RowCount;
use crate::settings::Settings;

/// Number of drives.
pub(crate) const DRIVES: RowCount =
    RowCount { name: "tape-drives", default: 6, help: "Tape drives" };

/// A drive.
#[derive(Clone, Debug)]
pub(crate) struct Drive {
    pub(crate) name: Arc<str>,
    pub(crate) kind: &'static str,
    pub(crate) status: &'static str,
    /// Number of its robot; none for a drive that stands alone.
    pub(crate) robot: Option<usize>,
    /// Paths to it, one for each host that has it; several share it if there are several.
    pub(crate) paths: Vec<DrivePath>,
    pub(crate) needs_cleaning: bool,
    /// TapeAlert flags that are set, as the server writes them.
    pub(crate) alerts: [Option<&'static str>; 2],
}

/// A path from a host to a drive.
#[derive(Clone, Debug)]
pub(crate) struct DrivePath {
    /// Index of the media server.
    pub(crate) host: usize,
    pub(crate) status: &'static str,
}

const UP: &str = "PATH_STATUS_UP";
const DOWN: &str = "PATH_STATUS_DOWN";
const DISABLED: &str = "PATH_STATUS_DISABLED";

/// Flags as the server writes them: most end in a comma.
const ALERTS: [&str; 6] =
    ["READ_WARNING", "HARD_ERROR,", "WRITE_PROTECT,", "MEDIA_LIFE,", "WRITE,", "MEDIA,"];

/// The drives of a world.
pub(crate) fn all(settings: &Settings, names: &Names, robots: usize, rng: &mut Rng) -> Vec<Drive> {
    let count = settings.rows.of(&DRIVES);
    let mut drives: Vec<Drive> =
        (0..count).map(|index| one(index, names.media.len(), robots, rng)).collect();
    if settings.twins && drives.len() > 1 {
        drives[0] = Drive { paths: paths(&[UP, UP], names.media.len(), rng), ..drives[0].clone() };
        drives[0].status = "DRIVE_STATUS_UP";
        drives[1] = drives[0].clone();
    }
    drives
}

fn one(index: usize, hosts: usize, robots: usize, rng: &mut Rng) -> Drive {
    let shared = rng.u32(0..4) == 0;
    // The third drive is MIXED and the fourth needs cleaning, so that small worlds have them, too.
    let drawn = if index == 2 { 2 } else { rng.u32(0..8) };
    let (status, states): (_, &[&str]) = match (drawn, shared) {
        (0, false) => ("DRIVE_STATUS_DOWN", &[DOWN]),
        (0, true) => ("DRIVE_STATUS_DOWN", &[DOWN, DOWN]),
        (1, _) => ("DRIVE_STATUS_DISABLED", &[DISABLED]),
        (2, _) => ("DRIVE_STATUS_MIXED", &[UP, DOWN, UP]),
        (3, _) => ("DRIVE_STATUS_UP", &[UP, DISABLED]),
        (_, true) => ("DRIVE_STATUS_UP", &[UP, UP]),
        (_, false) => ("DRIVE_STATUS_UP", &[UP]),
    };
    let needs_cleaning = index == 3 || rng.u32(0..6) == 0;
    let mut alert = || (rng.u32(0..6) == 0).then(|| ALERTS[rng.usize(0..ALERTS.len())]);
    let alerts = [if needs_cleaning { Some("CLEAN_NOW,") } else { alert() }, alert()];
    Drive {
        name: format!("IBM.ULT3580-TD8.{index:03}").into(),
        kind: ["DT_HCART2", "DT_HCART2", "DT_HCART3"][rng.usize(0..3)],
        status,
        robot: (rng.u32(0..6) > 0).then(|| rng.usize(0..robots)),
        paths: paths(states, hosts, rng),
        needs_cleaning,
        alerts,
    }
}

/// Returns paths in these states from hosts that follow each other.
fn paths(states: &[&'static str], hosts: usize, rng: &mut Rng) -> Vec<DrivePath> {
    let first = rng.usize(0..hosts);
    let host = |place: usize| (first + place) % hosts;
    let paths = states.iter().enumerate();
    paths.map(|(place, status)| DrivePath { host: host(place), status }).collect()
}
