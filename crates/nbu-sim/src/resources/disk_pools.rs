//! `GET /storage/disk-pools`, and one by id: the disk pools and their volumes
//! (docs/netbackup-api.md#disk-pools). The copies of release 11.2 lack them; they are answered there in the shape of
//! 11.0.

use serde_json::{Value, json};

use super::fixture::{Fixture, Paging};
use super::offset::Envelope;
use crate::http::reply::Reply;
use crate::http::request::{Request, encode};
use crate::pool_script::PoolSizes;
use crate::settings::Release;
use crate::shared::Shared;
use crate::world::World;
use crate::world::disk::{self, pool::Pool};

/// The list.
pub(crate) static DISK_POOLS: Fixture = Fixture {
    path: PATH,
    permission: PERMISSION,
    since: Release::R10_3,
    paging: Paging::Offset(1..=500, Envelope::Full),
    rows: &[disk::DISK_POOLS],
    enums: &["storageCategory", "state", "diskPoolState"],
    handle: get,
    make: |_, _, _| {},
};

const PATH: &str = "/storage/disk-pools";

/// RBAC namespace of the list, and of one pool.
pub(crate) const PERMISSION: &str = "|STORAGE|DISK-POOLS|";

fn get(server: &Shared, request: &Request) -> Reply {
    let row = |world: &World, index: usize| {
        let pool = &world.names.disk.pools[index];
        row(world, pool, pool.sizes == PoolSizes::Listed)
    };
    DISK_POOLS.list(server, request, |world| world.names.disk.pools.len(), row)
}

/// Answers with the pool whose id the path ends with.
pub(crate) fn get_one(server: &Shared, request: &Request) -> Reply {
    let path = request.decoded_path();
    let id = path.strip_prefix(PATH).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    let found = server.read_world(|world| {
        let pool = world.names.disk.pools.iter().find(|pool| pool.id == id)?;
        let told = matches!(pool.sizes, PoolSizes::Listed | PoolSizes::ById);
        Some(json!({ "data": row(world, pool, told) }))
    });
    match found {
        Some(body) => Reply::json(200, request.served(), body.to_string().into_bytes()),
        None => Reply::not_found(request.served()),
    }
}

/// Returns a pool, `with_sizes` of its own or without.
fn row(world: &World, pool: &Pool, with_sizes: bool) -> Value {
    let server = &world.names.disk.servers[pool.server];
    let mut attributes = json!({
        "name": &*pool.name,
        "sType": pool.server_type,
        "storageCategory": pool.category,
        "diskVolumes": volumes(pool, world.now),
        "highWaterMark": pool.high,
        "lowWaterMark": pool.low,
        "maximumIoStreams": {"limitIoStreams": false},
        "diskPoolState": pool.state,
        "wormCapable": pool.worm,
        "readOnly": false,
        "diskPoolCapabilities": ["VISIBLE", "OPEN_STORAGE"],
        "mediaServersCount": 1,
    });
    if let Some(sizes) = pool.sizes(world.now).filter(|_| with_sizes) {
        attributes["rawSizeBytes"] = sizes.raw.into();
        attributes["usableSizeBytes"] = sizes.usable.into();
        attributes["availableSpaceBytes"] = sizes.free.into();
        attributes["usedCapacityBytes"] = sizes.used.into();
    }
    json!({
        "type": "diskPool",
        "id": pool.id,
        "links": {"self": {"href": format!("{PATH}/{}", encode(&pool.id))}},
        "attributes": attributes,
        "relationships": {"storageServers": {
            "data": [{"type": "storageServer", "id": server.id()}],
        }},
    })
}

fn volumes(pool: &Pool, now: i64) -> Vec<Value> {
    let sizes = pool.volume_sizes(now);
    let all = pool.volumes.iter().zip(sizes).enumerate().map(|(index, (volume, sizes))| {
        let mut row = json!({
            "name": volume.name,
            "id": volume.name,
            "diskMediaId": format!("@aaa{index:02}"),
            "state": volume.state,
            "isReplicationSource": false,
            "isReplicationTarget": false,
            "wormIndelibleMinimumInterval": 0,
            "wormIndelibleMaximumInterval": 0,
        });
        if let Some((raw, free)) = sizes {
            row["rawSizeBytes"] = raw.into();
            row["freeSizeBytes"] = free.into();
        }
        row
    });
    all.collect()
}
