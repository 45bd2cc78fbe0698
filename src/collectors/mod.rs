//! The table of NetBackup resources: a file and a row for each.

mod alerts;
mod api_key;
mod catalog;
mod collector;
mod counts;
mod disk_pools;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod jobs;
mod malware;
mod slo;
mod slp;
mod storage;
mod storage_servers;
mod tape;

use crate::metric::Definition;

pub use self::collector::{Cadence, Collected, Collector, Config, Part, Row, Settings};
pub use crate::jobs::{NameFilter, NameFilterConfig, Subject};

pub static TABLE: &[Row] = &[
    jobs::ROW,
    storage::ROW,
    alerts::ROW,
    malware::ROW,
    catalog::ROW,
    slo::ROW,
    tape::drives::ROW,
    tape::media::ROW,
    tape::robots::ROW,
    tape::pools::ROW,
    disk_pools::ROW,
    storage_servers::ROW,
    slp::IMAGES_ROW,
    slp::CONFIGURATION_ROW,
    api_key::ROW,
];

pub fn definitions() -> Vec<&'static Definition> {
    TABLE.iter().flat_map(|row| (row.metrics)()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::slp::Links;
    use crate::state::StateDir;

    #[test]
    fn jobs_notice_where_their_state_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name| StateDir::open(&folder.path().join(name)).unwrap();
        let (one, other, config) = (open("one"), open("other"), Config::default());
        let (links, window) = (Links::default(), Duration::from_secs(1));
        let settings = |state| Settings { collectors: &config, window, state, links: &links };
        let row = TABLE.iter().find(|row| row.name == "jobs").unwrap();
        let places = [None, Some(&one), Some(&other)];
        for (at, before) in places.iter().enumerate() {
            for (to, now) in places.iter().enumerate() {
                let same = (row.same)(&settings(*before), &settings(*now));
                assert_eq!(same, at == to, "{before:?} {now:?}");
            }
        }
        assert!((row.same)(&settings(Some(&one)), &settings(Some(&one.clone()))));
    }
}
