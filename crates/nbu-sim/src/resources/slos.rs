//! `GET /servicecatalog/slos`: protection plans (docs/netbackup-api.md#protection-plans). Its
//! answers say nothing of paging. The copies of release 11.2 lack this operation; it is answered
//! there in the shape of 11.0.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::{Fixture, Paging};
use super::offset::Envelope;
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::rows::RowCount;
use crate::settings::{Release, Settings};
use crate::shared::Shared;
use crate::truth::Truth;
use crate::world::World;

/// Number of rows.
const COUNT: RowCount =
    RowCount { name: "slos", default: 6, help: "Service level objectives (protection plans)" };

/// The list, with its rows.
pub(crate) static SLOS: Fixture = Fixture {
    path: "/servicecatalog/slos",
    permission: "SERVICE-CATALOG",
    since: Release::R10_3,
    paging: Paging::Offset(0..=100, Envelope::Bare),
    rows: &[COUNT],
    enums: &["workloadType"],
    handle: get,
    make: |settings, _, lists| lists.insert(Slo::all(settings)),
};

/// Workload types that every release has.
const WORKLOADS: [&str; 5] = ["VMWARE", "CLOUD", "SQL_SERVER", "KUBERNETES", "RHV"];

/// A protection plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slo {
    name: Arc<str>,
    workload: &'static str,
    /// Which storage unit it writes to.
    unit: usize,
}

impl Slo {
    /// The protection plans of a world.
    fn all(settings: &Settings) -> Vec<Self> {
        let plans = (0..settings.rows.of(&COUNT)).map(|index| {
            let workload = WORKLOADS[index % WORKLOADS.len()];
            Self { name: format!("Gold-{workload}-{index:02}").into(), workload, unit: index }
        });
        plans.collect()
    }
}

fn get(server: &Shared, request: &Request) -> Reply {
    SLOS.list(server, request, |world| world.list::<Slo>().len(), row)
}

fn row(world: &World, index: usize) -> Value {
    let slo = &world.list::<Slo>()[index];
    let id = format!("slo-{index:04}");
    let units = &world.names.units;
    let unit = units.get(slo.unit % units.len().max(1)).map_or("", |unit| &unit.name);
    json!({
        "type": "slov3",
        "id": id,
        "links": {"self": {"href": format!("/servicecatalog/slos/{id}")}},
        "attributes": {
            "name": &*slo.name,
            "description": "A protection plan of the simulator.",
            "policyNamePrefix": "Gold",
            "workloadType": slo.workload,
            "subscribeAllowed": true,
            "subscriptionCount": index * 3,
            "capabilities": [],
            "schedules": [{
                "scheduleType": "FULL",
                "scheduleName": "FULL_Gold",
                "frequencySeconds": 86_400,
                "retention": {"value": 2, "unit": "WEEKS"},
                "backupWindows": [],
                "backupStorageUnit": unit,
            }],
        },
    })
}

/// A protection plan as it truly is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SloView {
    /// Name.
    pub name: Arc<str>,
    /// workloadType.
    pub workload: &'static str,
}

impl Truth {
    /// The protection plans, in the order in which the server lists them.
    pub fn slos(&self) -> Vec<SloView> {
        self.read(|world| {
            let view = |slo: &Slo| SloView { name: Arc::clone(&slo.name), workload: slo.workload };
            world.list::<Slo>().iter().map(view).collect()
        })
    }
}
