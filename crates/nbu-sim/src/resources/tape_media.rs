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
use crate::world::World;
use crate::world::cartridges::{Cartridge, Place, VOLUME_POOLS, VolumePool};

/// The list of tapes.
pub(crate) static TAPES: Fixture = Fixture {
    path: "/storage/tape-media",
    permission: "|STORAGE|TAPE-MEDIA|",
    since: Release::R10_5,
    paging: Paging::Cursor,
    rows: &[crate::world::cartridges::TAPES],
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
    rows: &[VOLUME_POOLS],
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
    let state = tape.at(world.now);
    let id = format!("T{index:05}");
    let host = &*world.names.media[index % world.names.media.len()];
    let mut row = json!({
        "type": "volumeInfo",
        "id": id,
        "links": {"self": {"href": format!("/storage/tape-media/{id}")}},
        "attributes": {
            "barcode": id,
            "mediaType": tape.kind,
            "robot": robot(world, tape),
            "volumeGroup": "000_00000_TLD",
            "volumePool": &*world.tape.pools[state.pool].name,
            "mounts": 3,
            "application": "NETBACKUP",
            "maxMounts": 0,
            "created": iso::text(world.stamp(0)),
            "kiloBytes": state.kilobytes,
            "images": state.valid_images,
            "validImages": state.valid_images,
            "numberOfRestores": 0,
            "originHost": host,
            "mediaStatus": state.words.join(" "),
            "mediaOwner": host,
            "lastWriteHost": host,
        },
    });
    let attributes = &mut row["attributes"];
    if let Some(left) = tape.cleanings {
        attributes["cleaningsRemaining"] = left.into();
    }
    if let Place::Vault(vault) | Place::Robot(_, Some(vault)) = tape.place {
        attributes["vaultName"] = vault.into();
    }
    row
}

/// The place of a tape. One on a shelf may still have the number of the robot in which it was.
fn robot(world: &World, tape: &Cartridge) -> Value {
    match tape.place {
        Place::Robot(number, _) => json!({
            "robotType": world.tape.robot_type(Some(number)),
            "robotNumber": number,
            "robotHost": &*world.names.media[world.tape.robots[number].host],
        }),
        Place::Shelf(word) => json!({"robotType": word, "robotNumber": 0}),
        Place::Vault(_) => json!({"robotType": world.tape.robot_type(None)}),
    }
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
            "partiallyFullMedia": world.tape.partially_full(index, world.now),
            "poolType": pool.kind,
        },
    })
}

/// A tape as it truly is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapeView {
    /// volumePool.
    pub pool: Arc<str>,
    /// poolType of its pool.
    pub pool_type: &'static str,
    /// mediaType.
    pub media_type: &'static str,
    /// robotType of what holds it.
    pub robot_type: &'static str,
    /// Number of the robot that holds it; none outside of them.
    pub robot: Option<usize>,
    /// The vault in which it is.
    pub vault: Option<&'static str>,
    /// Words of mediaStatus.
    pub words: Vec<&'static str>,
    /// Kilobytes written on it.
    pub kilobytes: i64,
    /// Images on it that are not expired.
    pub valid_images: i64,
    /// Cleanings left, of a cleaning tape.
    pub cleanings: Option<i64>,
}

/// A volume pool as it truly is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumePoolView {
    /// volumePoolName.
    pub name: Arc<str>,
    /// poolType.
    pub pool_type: &'static str,
    /// partiallyFullMedia.
    pub partially_full: usize,
}

impl Truth {
    /// The tapes, in the order in which the server lists them.
    pub fn tapes(&self) -> Vec<TapeView> {
        self.read(|world| {
            let view = |tape: &Cartridge| {
                let state = tape.at(self.at);
                let pool = &world.tape.pools[state.pool];
                let (robot_type, vault) = match tape.place {
                    Place::Robot(number, _) => (world.tape.robot_type(Some(number)), None),
                    Place::Shelf(word) => (word, None),
                    Place::Vault(vault) => (world.tape.robot_type(None), Some(vault)),
                };
                TapeView {
                    pool: Arc::clone(&pool.name),
                    pool_type: pool.kind,
                    media_type: tape.kind,
                    robot_type,
                    robot: tape.robot(),
                    vault,
                    words: state.words,
                    kilobytes: state.kilobytes,
                    valid_images: state.valid_images,
                    cleanings: tape.cleanings,
                }
            };
            world.tape.tapes.iter().map(view).collect()
        })
    }

    /// The volume pools, in the order in which the server lists them.
    pub fn volume_pools(&self) -> Vec<VolumePoolView> {
        self.read(|world| {
            let view = |(index, pool): (usize, &VolumePool)| VolumePoolView {
                name: Arc::clone(&pool.name),
                pool_type: pool.kind,
                partially_full: world.tape.partially_full(index, self.at),
            };
            world.tape.pools.iter().enumerate().map(view).collect()
        })
    }
}
