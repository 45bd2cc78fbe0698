//! Tape: robots, drives, volume pools and the tapes in them, one library for all resources that tell of it.

use fastrand::Rng;

use super::cartridges::{self, Cartridge, TAPES, VolumePool};
use super::drives::{self, DRIVES, Drive};
use super::names::Names;
use crate::settings::Settings;

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

/// Value of `robotType` for a drive or a tape outside of the robots.
pub(crate) const NOT_ROBOTIC: &str = "NOT_ROBOTIC";

/// Tapes that one robot holds.
const ROBOT_SIZE: usize = 2_000;

impl Tape {
    /// The tapes of a world that starts at world time `start`. Their own generator: they change nothing about the
    /// jobs.
    pub(crate) fn new(settings: &Settings, names: &Names, start: i64) -> Self {
        let rows = &settings.rows;
        if rows.of(&TAPES) == 0 && rows.of(&DRIVES) == 0 {
            return Self::default();
        }
        let mut rng = Rng::with_seed(settings.seed ^ 0x7a9e);
        let robots: Vec<Robot> = (0..3 + rows.of(&TAPES) / ROBOT_SIZE)
            .map(|number| Robot {
                kind: if number % 2 == 0 { "TLD" } else { "ACS" },
                host: number % names.media.len(),
            })
            .collect();
        let drives = drives::all(settings, names, robots.len(), &mut rng);
        let pools = cartridges::pools(settings);
        let tapes = cartridges::all(settings, &pools, robots.len(), start, &mut rng);
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

    /// Tapes of a pool that are partially full at world time `at`.
    pub(crate) fn partially_full(&self, pool: usize, at: i64) -> usize {
        let of_pool = self.tapes.iter().filter(|tape| tape.pool(at) == pool);
        let states = of_pool.map(|tape| tape.at(at));
        states.filter(|tape| tape.kilobytes > 0 && !tape.words.contains(&"FULL")).count()
    }
}
