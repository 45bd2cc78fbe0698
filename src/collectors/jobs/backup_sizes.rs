//! Sizes of the backups among finished jobs, for the collector of SLP images (docs/adr/0022-slp-backlog.md).

use std::time::{SystemTime, UNIX_EPOCH};

use crate::jobs::written_image;
use crate::netbackup::wire::jobs::JobRow;
use crate::slp::{ImageId, SharedSizes};

/// Receiver of sizes.
pub(super) struct BackupSizes(SharedSizes);

impl BackupSizes {
    pub(super) fn new(sizes: &SharedSizes) -> Self {
        Self(sizes.clone())
    }

    /// Hands over the size of the image that a job made, if it made one.
    pub(super) fn note(&self, row: &JobRow<'_>) {
        if let Some((backup_id, kilobytes)) = written_image(row) {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            self.0.lock().note(ImageId::of(backup_id), kilobytes, now);
        }
    }

    /// Forgets all sizes: nobody wants them any more.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}
