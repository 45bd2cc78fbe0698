//! Ids of images in memory and on disk.

use sha2::{Digest as _, Sha256};

/// A digest of a backup id: the same in all sites and after a restart. Of a million images, two have the same with a
/// probability of 1 to 37 million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ImageId(pub(super) u64);

impl ImageId {
    pub(crate) fn of(backup_id: &str) -> Self {
        let digest = Sha256::digest(backup_id.as_bytes());
        Self(digest.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte)))
    }
}
