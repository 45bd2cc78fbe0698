//! Storage units: what they are, and the disk pool that each is on, whose space they repeat.

use std::sync::Arc;

use fastrand::Rng;

use super::disk::pool::Pool;
use super::disk::space::Course;
use super::disk::{self, Disk};
use crate::settings::Settings;
use crate::status::Medium;

const TIB: i64 = 1 << 40;

/// Space of a unit (docs/netbackup-api.md#storage-units).
#[derive(Clone, Debug)]
pub(crate) enum Space {
    /// That of a disk pool, by index.
    Pool(usize),
    /// A file system of its own, with this total of bytes.
    Own(i64, Course),
    /// Tape: no capacities at all.
    None,
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

/// A kind that takes every second turn of the last one above.
const APPLIANCE: (&str, &str, &str, &str, &str) =
    ("stu-appliance", "OPEN_STORAGE", "DISK", "DataDomain", "DataDomain");

/// Bytes that a unit of the cloud counts as used, at the mean about half of them.
const CLOUD_SIZE: i64 = 16 * TIB;

/// Returns the kind of the unit of this number.
fn kind(index: usize) -> (&'static str, &'static str, &'static str, &'static str, &'static str) {
    let is_appliance = index % (2 * KINDS.len()) == 2 * KINDS.len() - 1;
    if is_appliance { APPLIANCE } else { KINDS[index % KINDS.len()] }
}

/// Returns the kinds of pools that the unit of this number may be on, by their place.
fn pool_kinds(index: usize) -> &'static [usize] {
    match kind(index).0 {
        "stu-msdp" => &[0],
        "stu-advdisk" => &[1],
        "stu-cloud" => &[2],
        "stu-empty" => &[disk::EMPTY],
        "stu-appliance" => &[disk::APPLIANCE, disk::APPLIANCE + 1],
        _ => &[],
    }
}

impl StorageUnit {
    /// The units of a world, on these pools. Their own generator: the number of units changes nothing about the
    /// jobs.
    pub(crate) fn all(settings: &Settings, disk: &Disk) -> Vec<Self> {
        let mut rng = Rng::with_seed(settings.seed ^ 0x5107_a6e0);
        let mut units: Vec<Self> =
            (0..settings.storage_units).map(|index| Self::new(&mut rng, index, disk)).collect();
        if settings.twins && units.len() > KINDS.len() {
            units[KINDS.len()].name = Arc::clone(&units[0].name);
        }
        units
    }

    /// Returns the number of pools that so many units need.
    pub(crate) fn pools_needed(units: usize) -> usize {
        let kinds = (0..units.min(2 * KINDS.len())).flat_map(pool_kinds);
        kinds.max().map_or(0, |kind| kind + 1)
    }

    /// The disk pool that it is on.
    pub(crate) fn pool<'d>(&self, disk: &'d Disk) -> Option<&'d Pool> {
        match self.space {
            Space::Pool(index) => disk.pools.get(index),
            Space::Own(..) | Space::None => None,
        }
    }

    /// The medium that it writes to.
    pub(crate) fn medium(&self) -> Medium {
        if self.category == "TAPE" { Medium::Tape } else { Medium::Disk }
    }

    fn new(rng: &mut Rng, index: usize, disk: &Disk) -> Self {
        let (turn, round) = (index % KINDS.len(), index / KINDS.len());
        let (name, category, storage_type, sub_type, server_type) = kind(index);
        let size = TIB * i64::from(rng.u32(4..400));
        let concurrent =
            i64::from(if category == "TAPE" { rng.u32(1..9) } else { rng.u32(1..200) });
        let worm = category == "MSDP" && rng.bool();
        let media_server = rng.usize(0..4);
        let own = Course::wave(rng);
        let space = match pool_kinds(index) {
            _ if category == "TAPE" => Space::None,
            [] => Space::Own(size, own),
            kinds => {
                // An appliance has a unit in every second round.
                let number = if turn == 5 { round / 2 } else { round };
                let mut pools: Vec<usize> =
                    kinds.iter().flat_map(|kind| disk.of_kind(*kind)).collect();
                pools.sort_unstable();
                let place = number % pools.len().max(1);
                pools.get(place).map_or(Space::Own(size, own), |pool| Space::Pool(*pool))
            }
        };
        let pool = if let Space::Pool(pool) = space { Some(pool) } else { None };
        Self {
            name: format!("{name}-{:02}", round + 1).into(),
            category,
            storage_type,
            sub_type,
            server_type,
            concurrent,
            fragment_mb: if category == "MSDP" { 51_200 } else { 524_288 },
            worm: worm && pool.is_some_and(|pool| disk.pools[pool].worm),
            space,
            media_server,
        }
    }

    /// Capacities at world time `at`: those of its pool, or its own.
    pub(crate) fn capacity(&self, disk: &Disk, at: i64) -> Capacity {
        match &self.space {
            Space::None => None,
            Space::Own(size, course) => {
                let used = course.at(*size, at).used;
                Some((size - used, used, *size))
            }
            Space::Pool(_) => {
                let pool = self.pool(disk)?;
                Some(match pool.sizes(at) {
                    Some(sizes) => (sizes.free, sizes.used, sizes.usable),
                    // "Unlimited" is told as the largest number.
                    None => (i64::MAX, pool.course.at(CLOUD_SIZE, at).used, i64::MAX),
                })
            }
        }
    }
}
