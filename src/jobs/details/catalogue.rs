//! The last backup of NetBackup's own catalogue: without it nothing can be restored after a loss of the primary.

use crate::jobs::finished::FinishedJob;
use crate::jobs::last_results::AHEAD;
use crate::metric::{Definition, Metric, Samples};
use crate::netbackup::wire::jobs::JobRow;

static LAST_SUCCESS: Metric<0> = Metric::gauge(
    "nbu.catalog_backup.last_success.timestamp",
    "s",
    &[],
    "End time of the last catalogue backup with status 0, Unix seconds: the root job of a policy of type NBU_CATALOG. Absent before one was seen.",
);
static LAST_STATUS: Metric<0> = Metric::gauge(
    "nbu.catalog_backup.last_status",
    "",
    &[],
    "Status of the catalogue backup that ended last.",
);
static LAST_DURATION: Metric<0> = Metric::gauge(
    "nbu.catalog_backup.last_duration",
    "s",
    &[],
    "Duration of the last catalogue backup with status 0.",
);
static LAST_BYTES: Metric<0> = Metric::gauge(
    "nbu.catalog_backup.last",
    "By",
    &[],
    "Size of the last catalogue backup with status 0, as its root job tells it (kilobytesTransferred x 1024).",
);

pub(super) fn definitions() -> [&'static Definition; 4] {
    [
        LAST_SUCCESS.definition(),
        LAST_STATUS.definition(),
        LAST_DURATION.definition(),
        LAST_BYTES.definition(),
    ]
}

/// A root job that ended. The newest one is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::jobs) struct RootJob {
    pub(in crate::jobs) end: i64,
    pub(in crate::jobs) id: i64,
    pub(in crate::jobs) status: Option<i64>,
    /// Unix ms; 0 if it is unknown.
    pub(in crate::jobs) start: i64,
    pub(in crate::jobs) kilobytes: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::jobs) struct CatalogueBackup {
    pub(in crate::jobs) last: Option<RootJob>,
    /// The last one with status 0.
    pub(in crate::jobs) good: Option<RootJob>,
}

/// Returns whether a policy type, in any spelling, is that of catalogue backups.
fn is_catalogue(policy_type: &str) -> bool {
    let letters = policy_type.bytes().filter(u8::is_ascii_alphanumeric);
    letters.map(|byte| byte.to_ascii_uppercase()).eq(*b"NBUCATALOG")
}

impl CatalogueBackup {
    /// Records a job, if it is the root of a catalogue backup that ended by `latest`. Returns whether anything
    /// changed.
    pub(super) fn record(&mut self, row: &JobRow<'_>, job: &FinishedJob, latest: i64) -> bool {
        let is_root = row.parent_job_id.is_some_and(|parent| parent == 0 || parent == row.job_id);
        if !is_root || job.end > latest || !is_catalogue(row.policy_type.as_deref().unwrap_or("")) {
            return false;
        }
        let is_protecting = matches!(row.job_type.as_deref(), Some("BACKUP" | "DBBACKUP"));
        if !is_protecting {
            return false;
        }
        let (id, status) = (row.job_id, row.status);
        let root =
            Some(RootJob { end: job.end, id, status, start: job.start, kilobytes: job.kilobytes });
        let before = *self;
        // One that lies in the future ended before the server's clock was set back.
        let present = |known: Option<RootJob>| known.filter(|known| known.end <= latest);
        self.last = present(self.last).max(root);
        if status == Some(0) {
            self.good = present(self.good).max(root);
        }
        before != *self
    }

    pub(super) fn samples(&self, now: i64, samples: &mut Samples) {
        let is_present = |job: &RootJob| job.end <= now.saturating_add(AHEAD);
        let status = self.last.filter(is_present).and_then(|job| job.status);
        samples.record(&LAST_STATUS, [], status.map(|status| status as f64));
        let Some(good) = self.good.filter(is_present) else { return };
        samples.record(&LAST_SUCCESS, [], good.end as f64 / 1000.0);
        let is_timed = good.start > 0 && good.start <= good.end;
        let seconds = is_timed.then(|| (good.end - good.start) as f64 / 1000.0);
        samples.record(&LAST_DURATION, [], seconds);
        samples.record(&LAST_BYTES, [], good.kilobytes as f64 * 1024.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_type_of_the_catalogue_is_known_in_any_spelling() {
        for spelling in ["NBU_CATALOG", "NBU-Catalog", "nbu catalog", "NbuCatalog"] {
            assert!(is_catalogue(spelling), "{spelling}");
        }
        for other in ["", "NBU", "NBU_CATALOG_2", "STANDARD"] {
            assert!(!is_catalogue(other), "{other}");
        }
    }
}
