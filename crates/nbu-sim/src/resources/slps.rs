//! `GET /config/slps`: storage lifecycle policies (docs/netbackup-api.md#slps). The copy of release 11.0 lacks this
//! operation; it is answered there in the shape of 10.5.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::{Fixture, Paging};
use super::iso;
use super::offset::Envelope;
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::settings::Release;
use crate::shared::Shared;
use crate::truth::Truth;
use crate::world::World;
use crate::world::slp::{self, Operation, REPLICATE, Slp};

/// The list.
pub(crate) static SLPS: Fixture = Fixture {
    path: "/config/slps",
    permission: "|PROTECTION|SLPS|",
    since: Release::R10_3,
    paging: Paging::Offset(1..=100, Envelope::Full),
    rows: &[slp::SLPS],
    enums: &["operationType"],
    handle: get,
    make: |_, _, _| {},
};

fn get(server: &Shared, request: &Request) -> Reply {
    SLPS.list(server, request, |world| world.slp.slps.len(), row)
}

/// The word of the configuration for a copyType.
fn word(kind: &'static str) -> &'static str {
    if kind == "DUPLICATE" { "DUPLICATION" } else { kind }
}

fn row(world: &World, index: usize) -> Value {
    let slp = &world.slp.slps[index];
    let operations = slp.operations.iter().enumerate();
    let operations = operations.map(|(index, operation)| operation_row(world, index, operation));
    let operations: Vec<Value> = operations.collect();
    let mut attributes = json!({
        "slpName": &*slp.name,
        "versionNumber": 1,
        "flagValues": [],
        "active": slp.active,
        "dataClassification": "",
        "duplicationPriority": 0,
        "operationList": operations,
    });
    if !slp.active {
        attributes["activationTime"] = iso::text(world.stamp(0) + 4_102_444_800_000).into();
    }
    json!({
        "type": "slp",
        "id": &*slp.name,
        "links": {"self": {"href": format!("/config/slps/{}", slp.name)}},
        "attributes": attributes,
    })
}

fn operation_row(world: &World, index: usize, operation: &Operation) -> Value {
    let mut flags = Vec::new();
    if operation.suspended {
        flags.push("inactive");
    }
    if operation.deferred {
        flags.push("deferred_op");
    }
    let mut row = json!({
        "operationIndex": index + 1,
        "operationType": word(operation.kind),
        "flagValues": flags,
        "retentionPeriod": {"value": 2, "unit": "WEEKS"},
        "retentionType": "FIXED",
        "sourceOperationIndex": i64::from(index > 0),
        "storage": {"name": "stu-disk", "stype": "AdvancedDisk"},
    });
    if operation.suspended {
        row["operationActivationTime"] = iso::text(4_102_444_800_000).into();
    }
    if let (REPLICATE, Some(target)) = (operation.kind, &world.slp.target) {
        row["targetMasterServer"] = (&**target).into();
        row["targetImportSLP"] = slp::IMPORT_SLP.into();
    }
    row
}

/// An operation of an SLP as it truly is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlpOperationView {
    /// operationIndex.
    pub index: usize,
    /// copyType of its copies.
    pub kind: &'static str,
    /// Somebody has suspended it.
    pub suspended: bool,
}

/// An SLP as it truly is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlpView {
    /// slpName.
    pub name: Arc<str>,
    /// False where somebody has suspended its processing.
    pub active: bool,
    /// Its operations.
    pub operations: Vec<SlpOperationView>,
}

impl Truth {
    /// The SLPs, in the order in which the server lists them.
    pub fn slps(&self) -> Vec<SlpView> {
        self.read(|world| {
            let view = |slp: &Slp| {
                let operations = slp.operations.iter().enumerate();
                let operations = operations.map(|(index, operation)| SlpOperationView {
                    index: index + 1,
                    kind: operation.kind,
                    suspended: operation.suspended,
                });
                let (name, active) = (Arc::clone(&slp.name), slp.active);
                SlpView { name, active, operations: operations.collect() }
            };
            world.slp.slps.iter().map(view).collect()
        })
    }
}
