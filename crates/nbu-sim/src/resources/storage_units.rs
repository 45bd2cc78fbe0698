//! `GET /storage/storage-units`: the storage units with their capacities
//! (docs/netbackup-api.md#storage-units). The copies of release 11.2 lack this operation; it is
//! answered there in the shape of 11.0.

use serde_json::{Value, json};

use super::offset::OffsetPage;
use crate::http::reply::Reply;
use crate::http::request::{Request, encode};
use crate::shared::Shared;
use crate::world::names::Names;
use crate::world::storage::StorageUnit;

/// Attributes with a closed set of values.
pub(crate) const ENUMS: &[&str] = &["storageCategory", "robotType", "density"];

pub(crate) fn get(server: &Shared, request: &Request) -> Reply {
    if !server.permissions().storage {
        return Reply::unauthorized(request.served());
    }
    let page = match OffsetPage::of(request, 1..=500) {
        Ok(page) => page,
        Err(detail) => return Reply::bad_request(request.served(), &detail),
    };
    let nulls = server.settings().null_details;
    let body = server.read_world(|world| {
        let units = &world.names.units;
        let range = page.range(units.len());
        let rows: Vec<Value> = (range.start..)
            .zip(&units[range])
            .map(|(index, unit)| row(&world.names, unit, world.now, nulls && index == 0))
            .collect();
        let meta = page.meta(units.len());
        let address = server.absolute("/storage/storage-units");
        let links = OffsetPage::links(&meta, &address, request);
        json!({ "data": rows, "meta": meta, "links": links })
    });
    Reply::json(200, request.served(), body.to_string().into_bytes())
}

/// Returns one unit. With `nulls`, it has no media servers and no server type, as real servers were
/// seen to answer.
fn row(names: &Names, unit: &StorageUnit, now: i64, nulls: bool) -> Value {
    let name: &str = &unit.name;
    json!({
        "links": {"self": {"href": format!("/storage/storage-units/{name}")}},
        "type": "storageUnit",
        "id": name,
        "attributes": attributes(names, unit, now, nulls),
        "relationships": relationships(names, unit),
    })
}

fn attributes(names: &Names, unit: &StorageUnit, now: i64, nulls: bool) -> Value {
    let dedup = unit.category == "MSDP";
    let mut all = json!({
        "name": &*unit.name,
        "storageType": unit.storage_type,
        "storageSubType": unit.sub_type,
        "storageServerType": if nulls { Value::Null } else { unit.server_type.into() },
        "storageCategory": unit.category,
        "useAnyAvailableMediaServer": true,
        "accelerator": dedup,
        "replicationCapable": dedup,
        "replicationSourceCapable": dedup,
        "replicationTargetCapable": dedup,
        "snapshot": false,
        "mirror": false,
        "independent": false,
        "primary": false,
        "instantAccessEnabled": dedup,
        "scaleOutEnabled": false,
        "isCloudSTU": unit.category == "CLOUD",
        "maxFragmentSizeMegabytes": unit.fragment_mb,
        "onDemandOnly": unit.category == "BASIC_DISK",
        "wormCapable": unit.worm,
        "useWorm": unit.worm,
    });
    let media = json!([{
        "name": &*names.media[unit.media_server],
        "operatingSystem": "linux",
        "netbackupVersion": "11.0",
    }]);
    all["mediaServerDetails"] = if nulls { Value::Null } else { media };
    add_own(&mut all, names, unit, now);
    all
}

/// Adds the attributes that only some kinds of units have: tape has drives in place of jobs, and no
/// capacities.
fn add_own(all: &mut Value, names: &Names, unit: &StorageUnit, now: i64) {
    if let Some((free, used, total)) = unit.capacity(&names.disk, now) {
        all["freeCapacityBytes"] = free.into();
        all["usedCapacityBytes"] = used.into();
        all["totalCapacityBytes"] = total.into();
    }
    if unit.category == "TAPE" {
        all["maxConcurrentDrives"] = unit.concurrent.into();
        all["robotType"] = "TLD".into();
        all["robotNumber"] = 0.into();
        all["density"] = "DHCART2".into();
        all["multiplexing"] = 4.into();
    } else {
        all["maxConcurrentJobs"] = unit.concurrent.into();
    }
    if unit.category == "BASIC_DISK" {
        all["absolutePath"] = format!("/{}", unit.name).into();
    }
}

/// Units of disk pools relate to their pool; the others to nothing.
fn relationships(names: &Names, unit: &StorageUnit) -> Value {
    let Some(pool) = unit.pool(&names.disk) else { return json!({}) };
    json!({"diskPool": {
        "links": {"related": {"href": format!("/storage/disk-pools/{}", encode(&pool.id))}},
        "data": {"type": "diskPool", "id": pool.id},
    }})
}
