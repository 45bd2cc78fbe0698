//! `GET /storage/disk-pools`: the pools behind the storage units on disk, and their volumes
//! (docs/netbackup-api.md#disk-pools).

use std::sync::Arc;

use fastrand::Rng;
use serde_json::{Value, json};

use super::fixture::{Fixture, Paging};
use super::offset::Envelope;
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::settings::{Release, Settings};
use crate::shared::Shared;
use crate::truth::Truth;
use crate::world::World;
use crate::world::names::Names;

/// The list, with a row for each storage unit that relates to one.
pub(crate) static DISK_POOLS: Fixture = Fixture {
    path: "/storage/disk-pools",
    permission: "|STORAGE|DISK-POOLS|",
    since: Release::R10_3,
    paging: Paging::Offset(1..=500, Envelope::Full),
    rows: &[],
    enums: &["storageCategory", "state"],
    handle: get,
    make: |settings, names, lists| lists.insert(DiskPool::all(settings, names)),
};

/// A disk pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiskPool {
    name: Arc<str>,
    server_type: &'static str,
    category: &'static str,
    worm: bool,
    /// States of its volumes.
    volumes: Vec<&'static str>,
}

impl DiskPool {
    /// The pools of a world: one for each name of a storage unit that relates to one.
    fn all(settings: &Settings, names: &Names) -> Vec<Self> {
        let mut rng = Rng::with_seed(settings.seed ^ 0xd15c);
        let mut pools: Vec<Self> = Vec::new();
        for unit in names.units.iter().filter(|unit| unit.has_pool()) {
            let volumes = (0..rng.usize(1..4)).map(|_| match rng.u32(0..8) {
                0 => "DOWN",
                1 => "UNKNOWN",
                _ => "UP",
            });
            let pool = Self {
                volumes: volumes.collect(),
                name: unit.pool_name().into(),
                server_type: unit.server_type,
                category: unit.category,
                worm: unit.worm,
            };
            // Units of one name share their pool.
            if settings.twins && pools.iter().any(|known| known.name == pool.name) {
                continue;
            }
            pools.push(pool);
        }
        pools
    }
}

fn get(server: &Shared, request: &Request) -> Reply {
    DISK_POOLS.list(server, request, |world| world.list::<DiskPool>().len(), row)
}

fn row(world: &World, index: usize) -> Value {
    let pool = &world.list::<DiskPool>()[index];
    let id = format!("{}:{}", pool.server_type, pool.name);
    let up = pool.volumes.contains(&"UP");
    let server = &*world.names.media[index % world.names.media.len()];
    json!({
        "type": "diskPool",
        "id": id,
        "links": {"self": {"href": format!("/storage/disk-pools/{id}")}},
        "attributes": {
            "name": &*pool.name,
            "sType": pool.server_type,
            "storageCategory": pool.category,
            "diskVolumes": pool.volumes.iter().enumerate().map(volume).collect::<Vec<Value>>(),
            "highWaterMark": 98,
            "lowWaterMark": 80,
            "maximumIoStreams": {"limitIoStreams": false},
            "diskPoolState": if up { "UP" } else { "DOWN" },
            "wormCapable": pool.worm,
            "readOnly": false,
            "diskPoolCapabilities": ["VISIBLE", "OPEN_STORAGE"],
            "mediaServersCount": 1,
        },
        "relationships": {"storageServers": {
            "data": [{"type": "storageServer", "id": format!("{}:{server}", pool.server_type)}],
        }},
    })
}

fn volume((index, state): (usize, &&'static str)) -> Value {
    json!({
        "name": format!("volume{index}"),
        "id": format!("volume{index}"),
        "diskMediaId": format!("@aaa{index:02}"),
        "state": state,
        "isReplicationSource": false,
        "isReplicationTarget": false,
        "wormIndelibleMinimumInterval": 0,
        "wormIndelibleMaximumInterval": 0,
    })
}

/// A disk pool as it truly is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskPoolView {
    /// Name.
    pub name: Arc<str>,
    /// storageCategory.
    pub category: &'static str,
    /// States of its volumes.
    pub volumes: Vec<&'static str>,
}

impl Truth {
    /// The disk pools, in the order in which the server lists them.
    pub fn disk_pools(&self) -> Vec<DiskPoolView> {
        self.read(|world| {
            let view = |pool: &DiskPool| DiskPoolView {
                name: Arc::clone(&pool.name),
                category: pool.category,
                volumes: pool.volumes.clone(),
            };
            world.list::<DiskPool>().iter().map(view).collect()
        })
    }
}
