//! Disk pools: what they are, and their space.

use std::sync::Arc;

use fastrand::Rng;

use super::space::{Course, Level};
use crate::pool_script::PoolSizes;

/// Volume of a pool.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    /// Its share of the pool: this of the sum over all volumes.
    weight: i64,
}

/// Space of a pool or a volume as the server would tell it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) raw: i64,
    pub(crate) usable: i64,
    pub(crate) used: i64,
    pub(crate) free: i64,
}

/// A disk pool.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) name: Arc<str>,
    /// sType:name.
    pub(crate) id: String,
    pub(crate) category: &'static str,
    pub(crate) server_type: &'static str,
    pub(crate) state: &'static str,
    pub(crate) worm: bool,
    pub(crate) volumes: Vec<Volume>,
    /// Usable bytes.
    pub(crate) size: i64,
    pub(crate) course: Course,
    pub(crate) high: i64,
    pub(crate) low: i64,
    /// Share of the front-end bytes that deduplication saves.
    pub(crate) saving: f64,
    pub(crate) sizes: PoolSizes,
    /// Index of its storage server.
    pub(crate) server: usize,
    /// Appliance whose space it shares with another pool.
    pub(crate) appliance: Option<Arc<str>>,
}

impl Pool {
    /// Returns true if it has no sizes: the cloud ends nowhere.
    pub(crate) fn is_cloud(&self) -> bool {
        self.category == "CLOUD"
    }

    /// Returns its space at world time `at`.
    pub(crate) fn level(&self, at: i64) -> Level {
        self.course.at(self.size, at)
    }

    /// Returns its sizes at world time `at`; `None` for the cloud.
    pub(crate) fn sizes(&self, at: i64) -> Option<Sizes> {
        let used = self.level(at).used;
        let free = self.size - used;
        (!self.is_cloud()).then_some(Sizes { raw: self.raw(), usable: self.size, used, free })
    }

    /// Returns raw and free bytes of each volume at world time `at`. One whose state is unknown tells none; those
    /// of the cloud tell the largest number, or none.
    pub(crate) fn volume_sizes(&self, at: i64) -> Vec<Option<(i64, i64)>> {
        let whole: i64 = self.volumes.iter().map(|volume| volume.weight).sum();
        let Some(sizes) = self.sizes(at) else {
            let is_told = whole % 2 == 1 && self.sizes != PoolSizes::Nowhere;
            let told = is_told.then_some((i64::MAX, i64::MAX));
            return self.volumes.iter().map(|_| told).collect();
        };
        // Cut at the sums, so that the parts add up.
        let mut before = 0;
        let parts = self.volumes.iter().map(|volume| {
            let cut = |total: i64| {
                let at =
                    |weight: i64| i128::from(total) * i128::from(weight) / i128::from(whole.max(1));
                i64::try_from(at(before + volume.weight) - at(before)).unwrap_or(0)
            };
            let part = (cut(sizes.raw), cut(sizes.free));
            before += volume.weight;
            let silent = volume.state == "UNKNOWN" || self.sizes == PoolSizes::Nowhere;
            (!silent).then_some(part)
        });
        parts.collect()
    }

    /// Sets the state of the pool, and of the volumes where it says theirs.
    pub(crate) fn set_state(&mut self, state: &'static str) {
        self.state = state;
        if state != "TRANSIENT" {
            self.volumes.iter_mut().for_each(|volume| volume.state = state);
        }
    }

    /// MSDP keeps a 25th part of the raw space for itself.
    fn raw(&self) -> i64 {
        let reserve = if self.category == "MSDP" { self.size / 24 } else { 0 };
        self.size.saturating_add(reserve)
    }
}

/// Draws the volumes of a pool.
pub(super) fn volumes(rng: &mut Rng) -> Vec<Volume> {
    let count = rng.i64(1..4);
    let draw = |index: i64| Volume {
        name: format!("volume{index}"),
        state: match rng.u32(0..8) {
            0 => "DOWN",
            1 => "UNKNOWN",
            _ => "UP",
        },
        weight: index + 1,
    };
    (0..count).map(draw).collect()
}
