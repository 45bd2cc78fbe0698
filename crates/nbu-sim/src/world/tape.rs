//! Tape: robots, drives, volume pools and the tapes in them, one library for all resources that tell of it.

use std::sync::Arc;

use fastrand::Rng;

use super::names::Names;
use crate::rows::RowCount;
use crate::settings::Settings;

/// Number of drives.
pub(crate) const DRIVES: RowCount =
    RowCount { name: "tape-drives", default: 6, help: "Tape drives" };

/// Number of tapes.
pub(crate) const TAPES: RowCount = RowCount { name: "tapes", default: 40, help: "Tapes" };

/// Number of volume pools.
pub(crate) const VOLUME_POOLS: RowCount = RowCount {
    name: "volume-pools",
    default: 6,
    help: "Volume pools of tapes, at least the four of every server that has tapes",
};

/// Robots, drives, volume pools and tapes of a world.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    pub(crate) robots: Vec<Robot>,
    pub(crate) drives: Vec<Drive>,
    pub(crate) pools: Vec<VolumePool>,
    pub(crate) tapes: Vec<Cartridge>,
}

/// A library.
#[derive(Debug)]
pub(crate) struct Robot {
    pub(crate) kind: &'static str,
    /// Index of the media server that controls it.
    pub(crate) host: usize,
}

/// A drive.
#[derive(Clone, Debug)]
pub(crate) struct Drive {
    pub(crate) name: Arc<str>,
    pub(crate) kind: &'static str,
    pub(crate) status: &'static str,
    /// Number of its robot; none for a drive that stands alone.
    pub(crate) robot: Option<usize>,
    /// Index of its media server; none for one that several share.
    pub(crate) host: Option<usize>,
}

/// A volume pool.
#[derive(Debug)]
pub(crate) struct VolumePool {
    pub(crate) name: Arc<str>,
    pub(crate) kind: &'static str,
    /// Tapes of it that are partially full.
    pub(crate) partially_full: i64,
}

/// A tape.
#[derive(Debug)]
pub(crate) struct Cartridge {
    pub(crate) pool: usize,
    pub(crate) kind: &'static str,
    /// Number of the robot that holds it; none for one on a shelf.
    pub(crate) robot: Option<usize>,
    pub(crate) full: bool,
    pub(crate) kilobytes: i64,
}

/// The pools that every server has.
const POOLS: [(&str, &str); 4] = [
    ("None", "AVAILABLE_MEDIA_POOL"),
    ("NetBackup", "REGULAR_MEDIA_POOL"),
    ("CatalogBackup", "CATALOG_MEDIA_POOL"),
    ("Scratch", "SCRATCH_MEDIA_POOL"),
];

/// Value of `robotType` for a drive or a tape outside of the robots.
pub(crate) const NOT_ROBOTIC: &str = "NOT_ROBOTIC";

/// Tapes that one robot holds.
const ROBOT_SIZE: usize = 2_000;

impl Tape {
    /// The tapes of a world. Their own generator: they change nothing about the jobs.
    pub(crate) fn new(settings: &Settings, names: &Names) -> Self {
        let rows = &settings.rows;
        if rows.of(&TAPES) == 0 && rows.of(&DRIVES) == 0 {
            return Self::default();
        }
        let mut rng = Rng::with_seed(settings.seed ^ 0x7a9e);
        let robots: Vec<Robot> = (0..2 + rows.of(&TAPES) / ROBOT_SIZE)
            .map(|number| Robot {
                kind: if number % 2 == 0 { "TLD" } else { "ACS" },
                host: number % names.media.len(),
            })
            .collect();
        let drives = drives(settings, names, &robots, &mut rng);
        let mut pools: Vec<VolumePool> = (0..rows.of(&VOLUME_POOLS).max(POOLS.len()))
            .map(|index| match POOLS.get(index) {
                Some((name, kind)) => VolumePool { name: (*name).into(), kind, partially_full: 0 },
                None => VolumePool {
                    name: format!("Offsite-{:02}", index + 1 - POOLS.len()).into(),
                    kind: "REGULAR_MEDIA_POOL",
                    partially_full: 0,
                },
            })
            .collect();
        let tapes: Vec<Cartridge> =
            (0..rows.of(&TAPES)).map(|_| cartridge(pools.len(), robots.len(), &mut rng)).collect();
        for tape in tapes.iter().filter(|tape| tape.kilobytes > 0 && !tape.full) {
            pools[tape.pool].partially_full += 1;
        }
        Self { robots, drives, pools, tapes }
    }

    /// `robotType` of what this robot holds.
    pub(crate) fn robot_type(&self, robot: Option<usize>) -> &'static str {
        robot.map_or(NOT_ROBOTIC, |number| self.robots[number].kind)
    }

    /// Indices of the media servers that control robots, each once.
    pub(crate) fn robot_hosts(&self) -> Vec<usize> {
        let mut hosts: Vec<usize> = self.robots.iter().map(|robot| robot.host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }
}

fn drives(settings: &Settings, names: &Names, robots: &[Robot], rng: &mut Rng) -> Vec<Drive> {
    let mut drives: Vec<Drive> = (0..settings.rows.of(&DRIVES))
        .map(|index| Drive {
            name: format!("IBM.ULT3580-TD8.{index:03}").into(),
            kind: ["DT_HCART2", "DT_HCART2", "DT_HCART3"][rng.usize(0..3)],
            status: match rng.u32(0..8) {
                0 => "DRIVE_STATUS_DOWN",
                1 => "DRIVE_STATUS_DISABLED",
                2 => "DRIVE_STATUS_MIXED",
                _ => "DRIVE_STATUS_UP",
            },
            robot: (rng.u32(0..6) > 0).then(|| rng.usize(0..robots.len())),
            host: (rng.u32(0..4) > 0).then(|| rng.usize(0..names.media.len())),
        })
        .collect();
    if settings.twins && drives.len() > 1 {
        drives[0].host = None;
        drives[1] = drives[0].clone();
    }
    drives
}

fn cartridge(pools: usize, robots: usize, rng: &mut Rng) -> Cartridge {
    let pool = rng.usize(0..pools);
    let empty = POOLS.get(pool).is_some_and(|(name, _)| matches!(*name, "None" | "Scratch"));
    let kilobytes = if empty || rng.u32(0..4) == 0 { 0 } else { rng.i64(1..18_000_000_000) };
    Cartridge {
        pool,
        kind: match (POOLS.get(pool), rng.u32(0..10)) {
            (Some(("None", _)), 0..4) => "HC2_CLN",
            (_, 0..3) => "HCART3",
            _ => "HCART2",
        },
        robot: (rng.u32(0..8) > 0).then(|| rng.usize(0..robots)),
        full: kilobytes > 12_000_000_000,
        kilobytes,
    }
}
