//! Disk storage: pools with their volumes, and the storage servers behind them. Pools are first, and storage units
//! are put on them.

pub(crate) mod msdp;
pub(crate) mod pool;
pub(crate) mod server;
pub(crate) mod space;

use fastrand::Rng;

use self::pool::Pool;
use self::server::StorageServer;
use self::space::{Course, Night};
use crate::pool_script::PoolScript;
use crate::rows::RowCount;
use crate::settings::Settings;

/// Number of disk pools.
pub(crate) const DISK_POOLS: RowCount = RowCount {
    name: "disk-pools",
    default: 6,
    help: "Disk pools, at least those that the storage units need; storage servers follow from them",
};

const TIB: i64 = 1 << 40;

/// Kinds of pools in the order in which pools take them: (name, storageCategory, sType).
const KINDS: [(&str, &str, &str); 6] = [
    ("dp-msdp", "MSDP", "PureDisk"),
    ("dp-advdisk", "ADVANCED_DISK", "AdvancedDisk"),
    ("dp-cloud", "CLOUD", "amazon_raw"),
    // Not set up yet: 0 of 0.
    ("dp-empty", "ADVANCED_DISK", "AdvancedDisk"),
    // Two pools of an appliance have one space.
    ("dp-appliance-a", "OPEN_STORAGE", "DataDomain"),
    ("dp-appliance-b", "OPEN_STORAGE", "DataDomain"),
];

/// Place of the pools that are not set up in [`KINDS`].
pub(crate) const EMPTY: usize = 3;

/// Place of the first pools of appliances in [`KINDS`]; those of the second ones follow.
pub(crate) const APPLIANCE: usize = 4;

/// (high, low) water marks in percent.
const MARKS: [(i64, i64); 5] = [(98, 80), (95, 85), (97, 90), (98, 75), (99, 80)];

/// Pools and storage servers of a world.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) pools: Vec<Pool>,
    pub(crate) servers: Vec<StorageServer>,
}

impl Disk {
    /// The pools of a world, `least` at least. Their own generator: they change nothing about the jobs.
    pub(crate) fn new(settings: &Settings, least: usize) -> Self {
        let mut rng = Rng::with_seed(settings.seed ^ 0xd15c);
        let mut disk = Self::default();
        for index in 0..settings.rows.of(&DISK_POOLS).max(least) {
            disk.add(&mut rng, settings, index);
        }
        if settings.twins && disk.pools.len() > 1 {
            let (name, server_type) = (disk.pools[0].name.clone(), disk.pools[1].server_type);
            disk.pools[1].id = format!("{server_type}:{name}");
            disk.pools[1].name = name;
        }
        disk.follow(settings);
        disk
    }

    /// Returns the pools of a kind, by its place in [`KINDS`].
    pub(crate) fn of_kind(&self, turn: usize) -> impl Iterator<Item = usize> {
        (turn..self.pools.len()).step_by(KINDS.len())
    }

    fn add(&mut self, rng: &mut Rng, settings: &Settings, index: usize) {
        let turn = index % KINDS.len();
        let round = index / KINDS.len() + 1;
        let (kind, category, server_type) = KINDS[turn];
        let name = format!("{kind}-{round:02}");
        let volumes = pool::volumes(rng);
        let any_up = volumes.iter().any(|volume| volume.state == "UP");
        let (high, low) = MARKS[rng.usize(0..MARKS.len())];
        let size = TIB * i64::from(rng.u32(40..400));
        let host = match category {
            "MSDP" => format!("msdp{round:02}.example.com"),
            "CLOUD" => format!("bucket{round:02}.example.com"),
            "OPEN_STORAGE" => format!("appliance{round:02}.example.com"),
            _ => format!("media{}.example.com", (round - 1) % 4 + 1),
        };
        let saving = 0.5 + 0.45 * rng.f64();
        let server = self.server(rng, host, category, server_type);
        let is_down = self.servers[server].state == "DOWN";
        let mut pool = Pool {
            id: format!("{server_type}:{name}"),
            name: name.into(),
            category,
            server_type,
            state: match rng.u32(0..12) {
                _ if !any_up || is_down => "DOWN",
                0 => "TRANSIENT",
                _ => "UP",
            },
            worm: category == "MSDP" && rng.bool(),
            volumes,
            size: if turn == EMPTY { 0 } else { size },
            course: Course::wave(rng),
            high,
            low,
            saving: if category == "MSDP" { saving } else { 0.0 },
            sizes: settings.pool_sizes.of_pool(index),
            server,
            appliance: None,
        };
        if turn >= APPLIANCE {
            pool.appliance = Some(self.servers[server].name.clone());
        }
        if let Some(first) = self.pools.last().filter(|_| turn > APPLIANCE) {
            (pool.size, pool.course) = (first.size, first.course.clone());
        }
        self.pools.push(pool);
    }

    /// Returns the index of a storage server, which is added where it is new.
    fn server(
        &mut self,
        rng: &mut Rng,
        name: String,
        category: &'static str,
        server_type: &'static str,
    ) -> usize {
        let same = |known: &StorageServer| *known.name == *name && known.server_type == server_type;
        self.servers.iter().position(same).unwrap_or_else(|| {
            self.servers.push(StorageServer::new(rng, name, category, server_type));
            self.servers.len() - 1
        })
    }

    /// Lets pools follow their scripts.
    fn follow(&mut self, settings: &Settings) {
        if settings.pool_scripts.is_empty() {
            return;
        }
        let start = settings.clock.world_ms();
        let nights = Night::all(&settings.time_zone.rules(), start);
        for (number, script) in (0..).zip(&settings.pool_scripts) {
            let Some(named) = self.pools.iter().find(|pool| *pool.name == *script.pool) else {
                continue;
            };
            let appliance = named.appliance.clone();
            let (high, low) = script.marks.unwrap_or((named.high, named.low));
            let shares = |pool: &Pool| match &appliance {
                Some(appliance) => pool.appliance.as_ref() == Some(appliance),
                None => *pool.name == *script.pool,
            };
            let seed = settings.seed.wrapping_add(number);
            for pool in self.pools.iter_mut().filter(|pool| shares(pool)) {
                (pool.high, pool.low, pool.size) = (high, low, script.size);
                if pool.category == "MSDP" {
                    pool.saving = script.saving;
                }
                pool.set_state("UP");
                self.servers[pool.server].state = "UP";
                pool.course = Course::scripted(script, high, &nights, start, seed);
            }
        }
    }

    /// Returns the first script that names no pool.
    pub(crate) fn stray<'s>(&self, scripts: &'s [PoolScript]) -> Option<&'s str> {
        let is_known = |name: &str| self.pools.iter().any(|pool| *pool.name == *name);
        scripts.iter().map(|script| script.pool.as_str()).find(|name| !is_known(name))
    }
}
