//! Truth of disk pools and storage servers.

use std::sync::Arc;

use crate::pool_script::PoolSizes;
use crate::truth::Truth;
use crate::world::World;
pub use crate::world::disk::msdp::Msdp;
use crate::world::disk::pool::Pool;

/// Volume of a disk pool as it truly is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskVolumeView {
    /// Name.
    pub name: String,
    /// State: UP, DOWN or UNKNOWN.
    pub state: &'static str,
    /// rawSizeBytes and freeSizeBytes as the server tells them: `None` where it does not, both `i64::MAX` in a
    /// cloud.
    pub sizes: Option<(i64, i64)>,
}

/// Space of a disk pool, in bytes: free is what is usable and not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSpace {
    /// rawSizeBytes.
    pub raw: i64,
    /// usableSizeBytes: for MSDP less than raw.
    pub usable: i64,
    /// usedCapacityBytes.
    pub used: i64,
    /// availableSpaceBytes.
    pub free: i64,
}

/// A disk pool as it truly is.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskPoolView {
    /// Name; unique together with the type.
    pub name: Arc<str>,
    /// Id: sType:name.
    pub id: String,
    /// sType.
    pub server_type: &'static str,
    /// storageCategory.
    pub category: &'static str,
    /// diskPoolState, as of now even of an earlier truth: UP, DOWN or TRANSIENT.
    pub state: &'static str,
    /// Volumes; their states are as of now, too.
    pub volumes: Vec<DiskVolumeView>,
    /// Space that it has; `None` for a cloud, which has no end. What the server tells of it: see `told`.
    pub space: Option<PoolSpace>,
    /// Place where the server tells the space.
    pub told: PoolSizes,
    /// highWaterMark in percent, at which it takes no more; without meaning for a cloud.
    pub high: i64,
    /// lowWaterMark in percent.
    pub low: i64,
    /// Name of its storage server.
    pub server: Arc<str>,
    /// Name of the appliance whose space it shares with another pool: both report all of it.
    pub appliance: Option<Arc<str>>,
    /// Names of the storage units that are on it.
    pub units: Vec<Arc<str>>,
    /// Front-end bytes written since the start of the simulator, of a pool with a script.
    pub written: Option<i64>,
    /// Server time in unix milliseconds from which it took no more for the first time, of a pool with a script.
    pub full_from_ms: Option<i64>,
}

/// A storage server as it truly is.
#[derive(Clone, Debug, PartialEq)]
pub struct StorageServerView {
    /// Name.
    pub name: Arc<str>,
    /// Id: sType:name.
    pub id: String,
    /// sType.
    pub server_type: &'static str,
    /// storageCategory.
    pub category: &'static str,
    /// storageServerState, as of now even of an earlier truth: UP or DOWN.
    pub state: &'static str,
    /// nbuHostVersion; `None` where no NetBackup is.
    pub version: Option<&'static str>,
    /// nbuStatusCode; `None` where no NetBackup is.
    pub status_code: Option<i64>,
    /// Store of an MSDP server, whether the server tells of it or not.
    pub msdp: Option<Msdp>,
}

impl Truth {
    /// The disk pools, in the order in which the server lists them.
    pub fn disk_pools(&self) -> Vec<DiskPoolView> {
        self.read(|world| {
            world.names.disk.pools.iter().map(|pool| pool_view(world, pool, self.at)).collect()
        })
    }

    /// Returns a disk pool by its name.
    pub fn disk_pool(&self, name: &str) -> Option<DiskPoolView> {
        self.read(|world| {
            let pool = world.names.disk.pools.iter().find(|pool| *pool.name == *name)?;
            Some(pool_view(world, pool, self.at))
        })
    }

    /// The storage servers, in the order in which the server lists them.
    pub fn storage_servers(&self) -> Vec<StorageServerView> {
        self.read(|world| {
            let disk = &world.names.disk;
            let views = disk.servers.iter().enumerate().map(|(index, server)| StorageServerView {
                name: Arc::clone(&server.name),
                id: server.id(),
                server_type: server.server_type,
                category: server.category,
                state: server.state,
                version: server.version,
                status_code: server.status_code,
                msdp: disk.msdp(index, self.at),
            });
            views.collect()
        })
    }

    /// Space of all disk storage that has an end, each byte once: of the pools, of which two on an appliance are
    /// one, and of the storage units with a file system of their own. (usable, used) in bytes.
    pub fn disk_space(&self) -> (i64, i64) {
        self.read(|world| {
            let disk = &world.names.disk;
            let is_first = |place: usize, pool: &Pool| {
                let same = |known: &Pool| known.appliance == pool.appliance;
                pool.appliance.is_none() || !disk.pools[..place].iter().any(same)
            };
            let pools =
                disk.pools.iter().enumerate().filter(|(place, pool)| is_first(*place, pool));
            let pools = pools.filter_map(|(_, pool)| pool.sizes(self.at));
            let own = world.names.units.iter().filter(|unit| unit.pool(disk).is_none());
            let own = own.filter_map(|unit| unit.capacity(disk, self.at));
            pools
                .map(|sizes| (sizes.usable, sizes.used))
                .chain(own.map(|(_, used, total)| (total, used)))
                .fold((0, 0), |sum, (usable, used)| (sum.0 + usable, sum.1 + used))
        })
    }
}

fn pool_view(world: &World, pool: &Pool, at: i64) -> DiskPoolView {
    let disk = &world.names.disk;
    let is_it = |other: Option<&Pool>| other.is_some_and(|other| other.id == pool.id);
    let units = world.names.units.iter().filter(|unit| is_it(unit.pool(disk)));
    let volumes = pool.volumes.iter().zip(pool.volume_sizes(at));
    let level = pool.level(at);
    DiskPoolView {
        name: Arc::clone(&pool.name),
        id: pool.id.clone(),
        server_type: pool.server_type,
        category: pool.category,
        state: pool.state,
        volumes: volumes
            .map(|(volume, sizes)| DiskVolumeView {
                name: volume.name.clone(),
                state: volume.state,
                sizes,
            })
            .collect(),
        space: pool.sizes(at).map(|sizes| PoolSpace {
            raw: sizes.raw,
            usable: sizes.usable,
            used: sizes.used,
            free: sizes.free,
        }),
        told: pool.sizes,
        high: pool.high,
        low: pool.low,
        server: Arc::clone(&disk.servers[pool.server].name),
        appliance: pool.appliance.clone(),
        units: units.map(|unit| Arc::clone(&unit.name)).collect(),
        written: level.written,
        full_from_ms: level.full_from.map(|at| world.stamp(at)),
    }
}
