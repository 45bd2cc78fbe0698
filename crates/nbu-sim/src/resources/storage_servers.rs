//! `GET /storage/storage-servers`: the servers behind the disk pools (docs/netbackup-api.md#storage-servers). The
//! copies of release 11.2 lack it; it is answered there in the shape of 11.0.

use serde_json::{Value, json};

use super::fixture::{Fixture, Paging};
use super::offset::Envelope;
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::settings::Release;
use crate::shared::Shared;
use crate::world::World;
use crate::world::disk::msdp::Msdp;

/// The list. Its rows follow from the disk pools.
pub(crate) static STORAGE_SERVERS: Fixture = Fixture {
    path: "/storage/storage-servers",
    permission: "|STORAGE|STORAGE-SERVERS|",
    since: Release::R10_3,
    paging: Paging::Offset(1..=100, Envelope::Full),
    rows: &[],
    enums: &["storageCategory", "storageServerState"],
    handle: get,
    make: |_, _, _| {},
};

/// Attributes that the sparse view leaves out.
const FULL: [&str; 3] = ["msdpAttributes", "nbuHostVersion", "nbuStatusCode"];

fn get(server: &Shared, request: &Request) -> Reply {
    let is_minimal = request.parameter("fieldset[storageServer]") == Some("minimal");
    let (nulls, hidden) = (server.settings().null_details, server.settings().hide_msdp_attributes);
    let write = |world: &World, index: usize| {
        let mut row = row(world, index);
        if nulls && index == 0 {
            row["attributes"]["nbuStatusCode"] = Value::Null;
        }
        if let Some(attributes) = row["attributes"].as_object_mut() {
            attributes.retain(|name, _| {
                let is_full = FULL.contains(&name.as_str());
                !(is_minimal && is_full || hidden && name == FULL[0])
            });
        }
        row
    };
    STORAGE_SERVERS.list(server, request, |world| world.names.disk.servers.len(), write)
}

fn row(world: &World, index: usize) -> Value {
    let disk = &world.names.disk;
    let server = &disk.servers[index];
    let (id, is_msdp) = (server.id(), server.category == "MSDP");
    let is_on = |pool: Option<&crate::world::disk::pool::Pool>| {
        pool.is_some_and(|pool| pool.server == index)
    };
    let units = world.names.units.iter().filter(|unit| is_on(unit.pool(disk)));
    let mut attributes = json!({
        "name": &*server.name,
        "storageCategory": server.category,
        "sType": server.server_type,
        "additionalMediaServersDetails": [],
        "encryptionEnabled": false,
        "kmsEnabled": false,
        "isSnapshotSupported": false,
        "isAcceleratorSupported": is_msdp,
        "isAIRSupported": is_msdp,
        "storageServerState": server.state,
        "storageServerCapabilities": ["OPEN_STORAGE", "CAPACITY_MANAGEMENT"],
        "storageUnits": units.map(|unit| &*unit.name).collect::<Vec<&str>>(),
        "isWormSupported": is_msdp,
        "isUshareSupported": is_msdp,
    });
    if let Some(version) = server.version {
        attributes["nbuHostVersion"] = version.into();
    }
    if let Some(code) = server.status_code {
        attributes["nbuStatusCode"] = code.into();
    }
    if let Some(msdp) = disk.msdp(index, world.now) {
        attributes["msdpAttributes"] = msdp_attributes(&msdp);
    }
    json!({
        "type": "storageServer",
        "id": id,
        "links": {"self": {"href": format!("/storage/storage-servers/{id}")}},
        "attributes": attributes,
        "relationships": {"universalShares": {"data": []}},
    })
}

fn msdp_attributes(msdp: &Msdp) -> Value {
    json!({
        "storagePath": "/msdp",
        "spaLogPath": "/msdp/log",
        "deduplicationDBPath": "/msdp/databases",
        "specificNetworkInterface": "",
        "spaLogRetention": 90,
        "verboseLevel": 3,
        "replicationTargets": [],
        "fipsEnabled": false,
        "storagePoolDetails": {
            "rawSizeBytes": msdp.raw,
            "reservedSpaceBytes": msdp.reserved,
            "sizeBytes": msdp.size,
            "usedSpaceBytes": msdp.used,
            "availableSpaceBytes": msdp.available,
        },
        "catalogLogicalSizeBytes": msdp.logical,
        "catalogFilesCount": msdp.files,
        "deduplicationRatioPercentage": msdp.saved_percent,
    })
}
