//! Store of an MSDP server: its space and its catalogue, which are those of its pools.

use super::Disk;

/// Store of an MSDP server at an instant, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Msdp {
    /// rawSizeBytes.
    pub raw: i64,
    /// reservedSpaceBytes.
    pub reserved: i64,
    /// sizeBytes.
    pub size: i64,
    /// usedSpaceBytes.
    pub used: i64,
    /// availableSpaceBytes.
    pub available: i64,
    /// catalogLogicalSizeBytes: front-end bytes that are held.
    pub logical: i64,
    /// catalogFilesCount.
    pub files: i64,
    /// deduplicationRatioPercentage, in the world the share that is saved, in percent with one decimal.
    pub saved_percent: f64,
}

impl Disk {
    /// Returns the store of a storage server at world time `at`; `None` if it is not MSDP.
    #[allow(clippy::cast_possible_truncation, reason = "a multiple of bytes that fits")]
    pub(crate) fn msdp(&self, server: usize, at: i64) -> Option<Msdp> {
        let known = self.servers.get(server).filter(|known| known.category == "MSDP")?;
        let pool = self.pools.iter().find(|pool| pool.server == server)?;
        let sizes = pool.sizes(at)?;
        Some(Msdp {
            raw: sizes.raw,
            reserved: sizes.raw - sizes.usable,
            size: sizes.usable,
            used: sizes.used,
            available: sizes.free,
            logical: (sizes.used as f64 / (1.0 - pool.saving)) as i64,
            files: known.files,
            saved_percent: (pool.saving * 1000.0).round() / 10.0,
        })
    }
}
