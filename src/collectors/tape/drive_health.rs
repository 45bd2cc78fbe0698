//! The health of tape drives by name: cleaning, TapeAlert flags, paths.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::collectors::counts::{Counts, OTHER};
use crate::metric::{Definition, Metric, Samples, UNKNOWN};

/// Values of pathStatus; a closed set.
const PATH_STATUSES: [&str; 3] = ["PATH_STATUS_UP", "PATH_STATUS_DOWN", "PATH_STATUS_DISABLED"];

/// Values of tapeAlert1 and tapeAlert2, without the commas that most of them end in; a closed set.
const FLAGS: [&str; 23] = [
    "READ_WARNING",
    "WRITE",
    "HARD_ERROR",
    "MEDIA",
    "READ_FAILURE",
    "WRITE_FAILURE",
    "MEDIA_LIFE",
    "NOT_DATA_GRADE",
    "WRITE_PROTECT",
    "NO_REMOVAL",
    "CLEANING_MEDIA",
    "UNSUPPORTED_FORMAT",
    "RECOVERABLE_SNAPPED_TAPE",
    "UNRECOVERABLE_SNAPPED_TAPE",
    "MEMORY_CHIP_IN_CARTRIDGE_FAILURE",
    "FORCED_EJECT",
    "READ_ONLY_FORMAT",
    "TAPE_DIRECTORY_CORRUPTED",
    "NEARING_MEDIA_LIFE",
    "CLEAN_NOW",
    "CLEAN_PERIODIC",
    "EXPIRED_CLEANING_MEDIA",
    "INVALID_CLEANING_MEDIA",
];

static NEEDS_CLEANING: Metric<1> = Metric::gauge(
    "nbu.tape.drive.needs_cleaning",
    "",
    &["drive_name"],
    "1 if the server says that the tape drive needs cleaning (cleaningComment), else 0.",
);
static PATHS: Metric<2> = Metric::gauge(
    "nbu.tape.drive.paths",
    "{path}",
    &["drive_name", "status"],
    "Paths from hosts to a tape drive by pathStatus; all known statuses are exported for each drive. Absent for a drive whose paths the server does not list.",
);
static ALERT: Metric<2> = Metric::gauge(
    "nbu.tape.drive.alert",
    "",
    &["drive_name", "flag"],
    "1 for each TapeAlert flag that is set on a tape drive (tapeAlert1, tapeAlert2); absent if it is not set. 23 flags are known, others are OTHER.",
);

/// Returns the declarations of what a [`DriveHealth`] records.
pub(super) fn metrics() -> Vec<&'static Definition> {
    vec![NEEDS_CLEANING.definition(), PATHS.definition(), ALERT.definition()]
}

/// The part of a drive's record that tells of its health.
pub(super) struct Told<'a> {
    pub(super) cleaning: &'a str,
    pub(super) alerts: [&'a str; 2],
    pub(super) paths: Option<&'a [Value]>,
}

/// A path as two records of one drive are alike: its host, its device, its number.
type PathKey = [String; 3];

#[derive(Default)]
struct Drive {
    needs_cleaning: bool,
    flags: BTreeSet<&'static str>,
    /// Statuses; a record may be listed twice.
    paths: Option<BTreeMap<PathKey, String>>,
}

/// The drives of a site by name. Records of one name are one drive.
#[derive(Default)]
pub(super) struct DriveHealth(BTreeMap<String, Drive>);

impl DriveHealth {
    pub(super) fn add(&mut self, name: &str, told: &Told<'_>) {
        let drive = self.0.entry(name.to_owned()).or_default();
        drive.needs_cleaning |= told.cleaning.to_ascii_uppercase().contains("NEEDS CLEANING");
        drive.flags.extend(told.alerts.iter().flat_map(|alert| flags(alert)));
        for path in told.paths.unwrap_or_default() {
            let key =
                ["deviceHost", "devicePath", "pathIndex"].map(|field| path[field].to_string());
            let status = path["pathStatus"].as_str().map(str::trim).filter(|text| !text.is_empty());
            let paths = drive.paths.get_or_insert_default();
            paths.insert(key, status.unwrap_or(UNKNOWN).to_owned());
        }
        if told.paths.is_some() {
            drive.paths.get_or_insert_default();
        }
    }

    pub(super) fn record(&self, samples: &mut Samples) {
        let mut paths = Counts::default();
        for (name, drive) in &self.0 {
            samples.record(&NEEDS_CLEANING, [name], f64::from(u8::from(drive.needs_cleaning)));
            for flag in &drive.flags {
                samples.record(&ALERT, [name, flag], 1.0);
            }
            let Some(of_drive) = &drive.paths else { continue };
            for status in PATH_STATUSES {
                paths.expect([name, status]);
            }
            for status in of_drive.values() {
                paths.add([name, status]);
            }
        }
        paths.record(&PATHS, samples);
    }
}

/// Returns the flags in a text: names between commas or spaces.
fn flags(text: &str) -> impl Iterator<Item = &'static str> {
    let words = text.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty());
    words.map(|word| FLAGS.into_iter().find(|flag| *flag == word).unwrap_or(OTHER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_lose_their_commas_and_unknown_ones_are_other() {
        assert_eq!(flags("WRITE,").collect::<Vec<_>>(), ["WRITE"]);
        assert_eq!(
            flags(" HARD_ERROR, CLEAN_NOW,BREWING").collect::<Vec<_>>(),
            ["HARD_ERROR", "CLEAN_NOW", "OTHER"]
        );
        assert_eq!(flags(" , ").count(), 0);
    }
}
