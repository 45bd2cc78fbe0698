//! Storage units: what they are, and their capacities, which drift slowly with time.

use std::f64::consts::TAU;
use std::sync::Arc;

use fastrand::Rng;

use crate::settings::Settings;
use crate::status::Medium;

const TIB: i64 = 1 << 40;

/// Capacities of a unit (docs/netbackup-api.md#storage-units).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// A total of bytes, some of them used.
    Disk(i64),
    /// Tape: no capacities at all.
    None,
    /// Cloud: "unlimited" is told as i64::MAX free.
    Unlimited,
    /// A unit that is not set up yet: 0 of 0.
    Zero,
}

/// A storage unit.
#[derive(Debug)]
pub(crate) struct StorageUnit {
    pub(crate) name: Arc<str>,
    pub(crate) category: &'static str,
    pub(crate) storage_type: &'static str,
    pub(crate) sub_type: &'static str,
    pub(crate) server_type: &'static str,
    pub(crate) space: Space,
    pub(crate) concurrent: i64,
    pub(crate) fragment_mb: i64,
    pub(crate) worm: bool,
    pub(crate) media_server: usize,
    /// Share used at the mean, 0 to 1.
    fill: f64,
    /// Phase of the drift.
    phase: f64,
}

/// (free, used, total) in bytes; `None` where the unit tells nothing.
pub(crate) type Capacity = Option<(i64, i64, i64)>;

/// The kinds in the order in which units take them: (name, category, storageType, storageSubType,
/// storageServerType).
const KINDS: [(&str, &str, &str, &str, &str); 6] = [
    ("stu-msdp", "MSDP", "DISK", "PureDisk", "PureDisk"),
    ("stu-advdisk", "ADVANCED_DISK", "DISK", "AdvancedDisk", "AdvancedDisk"),
    ("stu-basic", "BASIC_DISK", "DISK", "Basic", "BasicDisk"),
    ("stu-tape", "TAPE", "MEDIA_MANAGER", "HCART2", "Tape"),
    ("stu-cloud", "CLOUD", "DISK", "CloudStorage", "amazon_raw"),
    ("stu-empty", "ADVANCED_DISK", "DISK", "AdvancedDisk", "AdvancedDisk"),
];

impl StorageUnit {
    /// The units of a world. Their own generator: the number of units changes nothing about the jobs.
    pub(crate) fn all(settings: &Settings) -> Vec<Self> {
        let mut rng = Rng::with_seed(settings.seed ^ 0x5107_a6e0);
        let mut units: Vec<Self> =
            (0..settings.storage_units).map(|index| Self::new(&mut rng, index)).collect();
        if settings.twins && units.len() > KINDS.len() {
            units[KINDS.len()].name = Arc::clone(&units[0].name);
        }
        units
    }

    /// Returns true if it relates to a disk pool.
    pub(crate) fn has_pool(&self) -> bool {
        !matches!(self.category, "TAPE" | "BASIC_DISK")
    }

    /// The medium that it writes to.
    pub(crate) fn medium(&self) -> Medium {
        if self.category == "TAPE" { Medium::Tape } else { Medium::Disk }
    }

    /// The name of its disk pool.
    pub(crate) fn pool_name(&self) -> String {
        format!("dp-{}", self.name)
    }

    fn new(rng: &mut Rng, index: usize) -> Self {
        let turn = index % KINDS.len();
        let (name, category, storage_type, sub_type, server_type) = KINDS[turn];
        let size = TIB * i64::from(rng.u32(4..400));
        let space = match (category, turn) {
            ("TAPE", _) => Space::None,
            ("CLOUD", _) => Space::Unlimited,
            (_, 5) => Space::Zero,
            _ => Space::Disk(size),
        };
        Self {
            name: format!("{name}-{:02}", index / KINDS.len() + 1).into(),
            category,
            storage_type,
            sub_type,
            server_type,
            space,
            concurrent: i64::from(if category == "TAPE" { rng.u32(1..9) } else { rng.u32(1..200) }),
            fragment_mb: if category == "MSDP" { 51_200 } else { 524_288 },
            worm: category == "MSDP" && rng.bool(),
            media_server: rng.usize(0..4),
            fill: 0.3 + 0.5 * rng.f64(),
            phase: rng.f64(),
        }
    }

    /// Capacities at world time `at`: a slow wave with a period of ten days around the mean.
    pub(crate) fn capacity(&self, at: i64) -> Capacity {
        match self.space {
            Space::None => None,
            Space::Zero => Some((0, 0, 0)),
            Space::Unlimited => Some((i64::MAX, self.used(16 * TIB, at), i64::MAX)),
            Space::Disk(total) => {
                let used = self.used(total, at);
                Some((total - used, used, total))
            }
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "a share of a total that fits")]
    fn used(&self, total: i64, at: i64) -> i64 {
        // To the minute, so that two reads within a minute agree.
        let days = at.div_euclid(60_000) as f64 / (24.0 * 60.0);
        let share = self.fill + 0.1 * (TAU * (days / 10.0 + self.phase)).sin();
        (total as f64 * share) as i64
    }
}
