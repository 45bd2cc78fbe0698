//! Settings of disk pools: where the server tells their sizes, and scripts of what is written to them.

use std::str::FromStr;

/// Place where the server tells the sizes of a disk pool (docs/netbackup-api.md#disk-pools). Those of volumes are
/// told in the list as well, but for [`PoolSizes::Nowhere`]. A pool of the cloud has none anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolSizes {
    /// In the list of pools, and by id.
    #[default]
    Listed,
    /// By id alone.
    ById,
    /// With the volumes alone.
    Volumes,
    /// Nowhere.
    Nowhere,
    /// Of one pool as here, of the next one as there, in the order of the variants above.
    Mixed,
}

impl PoolSizes {
    const ALL: [(&'static str, Self); 5] = [
        ("listed", Self::Listed),
        ("by-id", Self::ById),
        ("volumes", Self::Volumes),
        ("nowhere", Self::Nowhere),
        ("mixed", Self::Mixed),
    ];

    /// Returns the place for the pool of this number.
    pub(crate) fn of_pool(self, index: usize) -> Self {
        match self {
            Self::Mixed => Self::ALL[index % 4].1,
            same => same,
        }
    }
}

impl FromStr for PoolSizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(name, _)| *name == text);
        let names = || Self::ALL.map(|(name, _)| name).join(", ");
        known.map(|(_, sizes)| *sizes).ok_or_else(|| format!("no place {text:?}: {}", names()))
    }
}

/// A script of what is written to a disk pool, in place of the slow wave: backups land in the night, from 20:00 to
/// 06:00 in the server's time zone, and a clean-up frees space from 06:00 to 20:00. Nothing lands above the high water
/// mark. A pool with a script is well: it is UP, and so are its volumes.
///
/// ```
/// use nbu_sim::PoolScript;
/// const TIB: i64 = 1 << 40;
/// // 20 TiB a night become 1 TiB, which the day frees again.
/// let saves = PoolScript::of("dp-msdp-01").size(100 * TIB).used(60 * TIB).nightly(20 * TIB);
/// let saves = saves.saving(0.95).cleaned(TIB);
/// let fills = PoolScript::of("dp-advdisk-01").size(50 * TIB).used(40 * TIB).nightly(TIB / 2);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PoolScript {
    pub(crate) pool: String,
    pub(crate) size: i64,
    pub(crate) used: i64,
    pub(crate) marks: Option<(i64, i64)>,
    /// (number of a night, front-end bytes of each night from that one on), the first one from night 0.
    pub(crate) nightly: Vec<(usize, i64)>,
    pub(crate) weekdays: [f64; 7],
    pub(crate) varies: f64,
    pub(crate) saving: f64,
    pub(crate) cleaned: i64,
}

impl PoolScript {
    /// A pool of 100 TiB, half of it used, to which nothing is written. The name is that of a pool of the world;
    /// the two pools of an appliance share one script.
    pub fn of(pool: &str) -> Self {
        Self {
            pool: pool.to_owned(),
            size: 100 << 40,
            used: 50 << 40,
            marks: None,
            nightly: vec![],
            weekdays: [1.0; 7],
            varies: 0.0,
            saving: 0.0,
            cleaned: 0,
        }
    }

    /// Usable bytes.
    #[must_use]
    pub fn size(self, bytes: i64) -> Self {
        Self { size: bytes.max(0), ..self }
    }

    /// Bytes that are used at the start.
    #[must_use]
    pub fn used(self, bytes: i64) -> Self {
        Self { used: bytes.max(0), ..self }
    }

    /// High and low water mark, in percent.
    #[must_use]
    pub fn marks(self, high: i64, low: i64) -> Self {
        Self { marks: Some((high.clamp(1, 100), low.clamp(0, 99))), ..self }
    }

    /// Front-end bytes that backups write in each night.
    #[must_use]
    pub fn nightly(self, bytes: i64) -> Self {
        self.nightly_from(0, bytes)
    }

    /// Front-end bytes of each night from this one on. Night 0 is the one that goes on at the start, or the first
    /// one after it.
    #[must_use]
    pub fn nightly_from(mut self, night: usize, bytes: i64) -> Self {
        self.nightly.push((night, bytes.max(0)));
        self.nightly.sort_by_key(|(night, _)| *night);
        self
    }

    /// Factors of the nightly bytes by the weekday on which the night begins, from Monday.
    #[must_use]
    pub fn weekdays(self, factors: [f64; 7]) -> Self {
        Self { weekdays: factors, ..self }
    }

    /// Share by which the nights differ at most, up or down, from 0 to 1.
    #[must_use]
    pub fn varies(self, share: f64) -> Self {
        Self { varies: share.clamp(0.0, 1.0), ..self }
    }

    /// Share of the front-end bytes that deduplication saves, from 0 to less than 1.
    #[must_use]
    pub fn saving(self, share: f64) -> Self {
        Self { saving: share.clamp(0.0, 0.9999), ..self }
    }

    /// Stored bytes that the clean-up of each day frees.
    #[must_use]
    pub fn cleaned(self, bytes: i64) -> Self {
        Self { cleaned: bytes.max(0), ..self }
    }

    /// Returns the front-end bytes of a night that begins on this weekday, but for what varies.
    pub(crate) fn planned(&self, night: usize, weekday: usize) -> f64 {
        let rule = self.nightly.iter().rev().find(|(from, _)| *from <= night);
        rule.map_or(0.0, |(_, bytes)| *bytes as f64) * self.weekdays[weekday % 7].max(0.0)
    }
}
