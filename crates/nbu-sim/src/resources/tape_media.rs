//! `GET /storage/tape-media` and `GET /storage/tape-volume-pools`: tapes and their pools, from 10.5
//! on, in cursor pages (docs/netbackup-api.md#tape-media).

use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::{Fixture, Paging};
use super::iso;
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::settings::Release;
use crate::shared::Shared;
use crate::truth::Truth;
use crate::world::tape::{Cartridge, VolumePool};
use crate::world::{self, World};

/// The list of tapes.
pub(crate) static TAPES: Fixture = Fixture {
    path: "/storage/tape-media",
    permission: "|STORAGE|TAPE-MEDIA|",
    since: Release::R10_5,
    paging: Paging::Cursor,
    rows: &[world::tape::TAPES],
    enums: &["mediaType", "robotType"],
    handle: get,
    make: |_, _, _| {},
};

/// The list of volume pools.
pub(crate) static POOLS: Fixture = Fixture {
    path: "/storage/tape-volume-pools",
    permission: "|STORAGE|TAPE-MEDIA|VOLUME-POOLS|",
    since: Release::R10_5,
    paging: Paging::Cursor,
    rows: &[world::tape::VOLUME_POOLS],
    enums: &["poolType"],
    handle: pools,
    make: |_, _, _| {},
};

fn get(server: &Shared, request: &Request) -> Reply {
    TAPES.list(server, request, |world| world.tape.tapes.len(), tape)
}

fn pools(server: &Shared, request: &Request) -> Reply {
    POOLS.list(server, request, |world| world.tape.pools.len(), pool)
}

fn tape(world: &World, index: usize) -> Value {
    let tape = &world.tape.tapes[index];
    let id = format!("T{index:05}");
    let host = &*world.names.media[index % world.names.media.len()];
    let mut robot = json!({ "robotType": world.tape.robot_type(tape.robot) });
    if let Some(number) = tape.robot {
        robot["robotNumber"] = number.into();
        robot["robotHost"] = (&*world.names.media[world.tape.robots[number].host]).into();
    }
    json!({
        "type": "volumeInfo",
        "id": id,
        "links": {"self": {"href": format!("/storage/tape-media/{id}")}},
        "attributes": {
            "barcode": id,
            "mediaType": tape.kind,
            "robot": robot,
            "volumeGroup": "000_00000_TLD",
            "volumePool": &*world.tape.pools[tape.pool].name,
            "mounts": 3,
            "application": "NETBACKUP",
            "maxMounts": 0,
            "created": iso::text(world.stamp(0)),
            "kiloBytes": tape.kilobytes,
            "images": i64::from(tape.kilobytes > 0),
            "validImages": i64::from(tape.kilobytes > 0),
            "numberOfRestores": 0,
            "originHost": host,
            "mediaStatus": if tape.full { "FULL" } else { "ACTIVE" },
            "mediaOwner": host,
            "lastWriteHost": host,
        },
    })
}

fn pool(world: &World, index: usize) -> Value {
    let pool = &world.tape.pools[index];
    json!({
        "type": "volumePoolDetails",
        "id": index.to_string(),
        "links": {"self": {"href": format!("/storage/tape-volume-pools/{index}")}},
        "attributes": {
            "volumePoolName": &*pool.name,
            "description": "",
            "partiallyFullMedia": pool.partially_full,
            "poolType": pool.kind,
        },
    })
}

/// A tape as it truly is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapeView {
    /// volumePool.
    pub pool: Arc<str>,
    /// mediaType.
    pub media_type: &'static str,
    /// robotType of what holds it.
    pub robot_type: &'static str,
}

/// A volume pool as it truly is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumePoolView {
    /// volumePoolName.
    pub name: Arc<str>,
    /// poolType.
    pub pool_type: &'static str,
    /// partiallyFullMedia.
    pub partially_full: i64,
}

impl Truth {
    /// The tapes, in the order in which the server lists them.
    pub fn tapes(&self) -> Vec<TapeView> {
        self.read(|world| {
            let view = |tape: &Cartridge| TapeView {
                pool: Arc::clone(&world.tape.pools[tape.pool].name),
                media_type: tape.kind,
                robot_type: world.tape.robot_type(tape.robot),
            };
            world.tape.tapes.iter().map(view).collect()
        })
    }

    /// The volume pools, in the order in which the server lists them.
    pub fn volume_pools(&self) -> Vec<VolumePoolView> {
        self.read(|world| {
            let view = |pool: &VolumePool| VolumePoolView {
                name: Arc::clone(&pool.name),
                pool_type: pool.kind,
                partially_full: pool.partially_full,
            };
            world.tape.pools.iter().map(view).collect()
        })
    }
}
