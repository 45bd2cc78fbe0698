//! Tapes and their pools. Some tapes freeze with time, and some scratch tapes are taken by a backup.

use std::sync::Arc;

use fastrand::Rng;

use crate::rows::RowCount;
use crate::settings::Settings;

/// Number of tapes.
pub(crate) const TAPES: RowCount = RowCount { name: "tapes", default: 40, help: "Tapes" };

/// Number of volume pools.
pub(crate) const VOLUME_POOLS: RowCount = RowCount {
    name: "volume-pools",
    default: 6,
    help: "Volume pools of tapes, at least the six of every server that has tapes",
};

/// A volume pool.
#[derive(Debug)]
pub(crate) struct VolumePool {
    pub(crate) name: Arc<str>,
    pub(crate) kind: &'static str,
}

/// A tape.
#[derive(Debug)]
pub(crate) struct Cartridge {
    pub(crate) kind: &'static str,
    pub(crate) place: Place,
    /// Cleanings left, of a cleaning tape.
    pub(crate) cleanings: Option<i64>,
    /// Its state before anything happens to it.
    state: TapeState,
    /// World time at which a backup takes it from its scratch pool.
    taken: Option<i64>,
    /// World time at which it freezes.
    frozen: Option<i64>,
}

/// The place of a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A robot, by number; the vault from which it came back, if any, is still named.
    Robot(usize, Option<&'static str>),
    /// A shelf, and the word that the server has for it.
    Shelf(&'static str),
    /// A vault, by name.
    Vault(&'static str),
}

/// The part of a tape that changes with time.
#[derive(Clone, Debug)]
pub(crate) struct TapeState {
    pub(crate) pool: usize,
    /// Words of its status.
    pub(crate) words: Vec<&'static str>,
    pub(crate) kilobytes: i64,
    pub(crate) valid_images: i64,
}

/// The first pools of every server: two scratch pools, and a regular one whose name is like theirs.
const POOLS: [(&str, &str); 6] = [
    ("None", "AVAILABLE_MEDIA_POOL"),
    ("NetBackup", REGULAR),
    ("CatalogBackup", "CATALOG_MEDIA_POOL"),
    ("Scratch", SCRATCH),
    ("scratch-old", REGULAR),
    ("Blanks", SCRATCH),
];

const REGULAR: &str = "REGULAR_MEDIA_POOL";
const SCRATCH: &str = "SCRATCH_MEDIA_POOL";

/// Index of the pool to which backups take scratch tapes.
const TAKEN_TO: usize = 1;

/// Words of a status; a tape may have any of them together.
const WORDS: [&str; 9] = [
    "FROZEN",
    "SUSPENDED",
    "FULL",
    "MULTIPLE_RETENTION_LEVELS",
    "IMPORTED",
    "ACTIVE",
    "MULTIPLEXED",
    "WORM",
    "BE",
];

const VAULTS: [&str; 2] = ["Iron-Hill", "Vault East"];

/// The robot that never gets a scratch tape.
const WITHOUT_SCRATCH: usize = 1;

const HOUR: i64 = 3_600_000;

/// The volume pools of a world.
pub(crate) fn pools(settings: &Settings) -> Vec<VolumePool> {
    let further = |index: usize| VolumePool {
        name: format!("Offsite-{:02}", index + 1 - POOLS.len()).into(),
        kind: REGULAR,
    };
    let pool = |index: usize| match POOLS.get(index) {
        Some((name, kind)) => VolumePool { name: (*name).into(), kind },
        None => further(index),
    };
    (0..settings.rows.of(&VOLUME_POOLS).max(POOLS.len())).map(pool).collect()
}

/// The tapes of a world that starts at `start`.
pub(crate) fn all(
    settings: &Settings,
    pools: &[VolumePool],
    robots: usize,
    start: i64,
    rng: &mut Rng,
) -> Vec<Cartridge> {
    let mut maker = Maker { pools, robots, combination: 0, taken: 0, frozen: 0, start };
    (0..settings.rows.of(&TAPES)).map(|_| maker.tape(rng)).collect()
}

struct Maker<'a> {
    pools: &'a [VolumePool],
    robots: usize,
    /// The next combination of words.
    combination: usize,
    /// Tapes that are taken, and that freeze.
    taken: i64,
    frozen: i64,
    start: i64,
}

impl Maker<'_> {
    fn tape(&mut self, rng: &mut Rng) -> Cartridge {
        let pool = rng.usize(0..self.pools.len());
        match self.pools[pool].kind {
            "AVAILABLE_MEDIA_POOL" => self.unassigned(pool, rng),
            SCRATCH => self.scratch(pool, rng),
            _ => self.written(pool, rng),
        }
    }

    /// A cleaning tape, or one that has no pool yet.
    fn unassigned(&self, pool: usize, rng: &mut Rng) -> Cartridge {
        let cleans = rng.bool();
        let kind = match (cleans, rng.u32(0..3)) {
            (true, 0) => "HC3_CLN",
            (true, _) => "HC2_CLN",
            (false, _) => media_type(rng),
        };
        let place = self.place(rng);
        let cleanings = cleans.then(|| rng.i64(0..50));
        let state = TapeState { pool, words: Vec::new(), kilobytes: 0, valid_images: 0 };
        Cartridge { kind, place, cleanings, state, taken: None, frozen: None }
    }

    fn scratch(&mut self, pool: usize, rng: &mut Rng) -> Cartridge {
        let mut place = self.place(rng);
        if let Place::Robot(WITHOUT_SCRATCH, _) = place {
            place = Place::Robot(0, None);
        }
        let words = match rng.u32(0..10) {
            0 => vec!["FROZEN"],
            1 => vec!["SUSPENDED", "ACTIVE"],
            2..5 => vec!["ACTIVE"],
            _ => Vec::new(),
        };
        // Somebody moved a tape that still has an image.
        let valid_images = i64::from(rng.u32(0..15) == 0);
        let ready = words.len() < 2 && !words.contains(&"FROZEN") && valid_images == 0;
        let in_robot = matches!(place, Place::Robot(..));
        let taken = (ready && in_robot && rng.u32(0..3) == 0).then(|| {
            self.taken += 1;
            self.start + self.taken * 2 * HOUR
        });
        let kilobytes = valid_images * 5_000_000;
        let state = TapeState { pool, words, kilobytes, valid_images };
        Cartridge { kind: media_type(rng), place, cleanings: None, state, taken, frozen: None }
    }

    fn written(&mut self, pool: usize, rng: &mut Rng) -> Cartridge {
        let kilobytes = if rng.u32(0..4) == 0 { 0 } else { rng.i64(1..18_000_000_000) };
        let words = match rng.u32(0..8) {
            0 => self.next_words(),
            1 => vec!["ACTIVE", "MULTIPLEXED"],
            2 => vec!["ACTIVE", "MULTIPLE_RETENTION_LEVELS"],
            _ if kilobytes > 12_000_000_000 => vec!["FULL", "ACTIVE"],
            _ => vec!["ACTIVE"],
        };
        let freezes = kilobytes > 0 && !words.contains(&"FROZEN") && rng.u32(0..8) == 0;
        let frozen = freezes.then(|| {
            self.frozen += 1;
            self.start + self.frozen * 3 * HOUR
        });
        let valid_images = if kilobytes > 0 { rng.i64(0..400) } else { 0 };
        let state = TapeState { pool, words, kilobytes, valid_images };
        let place = self.place(rng);
        Cartridge { kind: media_type(rng), place, cleanings: None, state, taken: None, frozen }
    }

    /// Returns the words of the next combination; all of them come in turn.
    fn next_words(&mut self) -> Vec<&'static str> {
        let combination = self.combination;
        self.combination += 1;
        let chosen = WORDS.iter().enumerate();
        chosen.filter(|(bit, _)| combination >> bit & 1 == 1).map(|(_, word)| *word).collect()
    }

    fn place(&self, rng: &mut Rng) -> Place {
        let vault = VAULTS[rng.usize(0..VAULTS.len())];
        match rng.u32(0..16) {
            0 => Place::Shelf("NOT_ROBOTIC"),
            1 => Place::Shelf("NA"),
            2 | 3 => Place::Vault(vault),
            4 => Place::Robot(rng.usize(0..self.robots), Some(vault)),
            _ => Place::Robot(rng.usize(0..self.robots), None),
        }
    }
}

fn media_type(rng: &mut Rng) -> &'static str {
    if rng.u32(0..10) < 3 { "HCART3" } else { "HCART2" }
}

impl Cartridge {
    /// The tape as it is at world time `at`.
    pub(crate) fn at(&self, at: i64) -> TapeState {
        let mut state = self.state.clone();
        if self.is_taken(at) {
            state = TapeState {
                pool: TAKEN_TO,
                words: vec!["ACTIVE"],
                kilobytes: 2_000_000_000,
                valid_images: 1,
            };
        }
        if self.frozen.is_some_and(|frozen| frozen <= at) {
            state.words.insert(0, "FROZEN");
        }
        state
    }

    /// Index of its pool at world time `at`.
    pub(crate) fn pool(&self, at: i64) -> usize {
        if self.is_taken(at) { TAKEN_TO } else { self.state.pool }
    }

    fn is_taken(&self, at: i64) -> bool {
        self.taken.is_some_and(|taken| taken <= at)
    }

    /// Number of the robot that holds it.
    pub(crate) fn robot(&self) -> Option<usize> {
        match self.place {
            Place::Robot(number, _) => Some(number),
            Place::Shelf(_) | Place::Vault(_) => None,
        }
    }
}
