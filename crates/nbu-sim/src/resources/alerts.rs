//! `GET /manage/alerts`: what the server tells its administrators (docs/netbackup-api.md#alerts).

use fastrand::Rng;
use serde_json::{Value, json};

use super::fixture::{Fixture, Paging};
use super::iso;
use super::offset::Envelope;
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::rows::RowCount;
use crate::settings::{Release, Settings};
use crate::shared::Shared;
use crate::truth::Truth;
use crate::world::{World, recurring};

/// Number of rows.
const COUNT: RowCount = RowCount { name: "alerts", default: 12, help: "Alerts" };

/// The list, with its rows.
pub(crate) static ALERTS: Fixture = Fixture {
    path: "/manage/alerts",
    permission: "|MANAGE|EMAIL-NOTIFICATIONS|",
    since: Release::R10_3,
    paging: Paging::Offset(1..=500, Envelope::Full),
    rows: &[COUNT],
    enums: &["severity", "category"],
    handle: get,
    make: |settings, _, lists| lists.insert(Alert::all(settings)),
};

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    severity: &'static str,
    context: &'static str,
    sub_category: &'static str,
    /// Alerts come again and again: which part of the period this one is.
    phase: i64,
}

/// severity and context, by how often they come.
const KINDS: [(&str, &str); 6] = [
    ("ERROR", "JOB_STATE_FAILED"),
    ("ERROR", "JOB_STATE_FAILED"),
    ("WARNING", "JOB_STATE_SUSPEND"),
    ("INFO", "JOB_TYPE_BACKUP"),
    ("WARNING", "CREDENTIAL"),
    ("ERROR", "GENERAL"),
];

/// Names of policies as they are displayed, which are not the jobs' own.
const SUB_CATEGORIES: [&str; 4] = ["STANDARD", "MS-WINDOWS", "VMWARE", "ORACLE"];

impl Alert {
    /// The alerts of a world.
    fn all(settings: &Settings) -> Vec<Self> {
        let mut rng = Rng::with_seed(settings.seed ^ 0xa1e7);
        let alerts = (0..settings.rows.of(&COUNT)).map(|_| {
            let (severity, context) = KINDS[rng.usize(0..KINDS.len())];
            let sub_category = SUB_CATEGORIES[rng.usize(0..SUB_CATEGORIES.len())];
            Self { severity, context, sub_category, phase: recurring::phase(&mut rng) }
        });
        alerts.collect()
    }
}

fn get(server: &Shared, request: &Request) -> Reply {
    ALERTS.list(server, request, |world| world.list::<Alert>().len(), row)
}

fn row(world: &World, index: usize) -> Value {
    let alert = &world.list::<Alert>()[index];
    let id = (index + 1).to_string();
    json!({
        "type": "alert",
        "id": id,
        "links": {"self": {"href": format!("/manage/alerts/{id}")}},
        "attributes": {
            "titleId": 10,
            "title": format!("{} of a {} policy", alert.context, alert.sub_category),
            "descriptionId": 11,
            "description": "An alert of the simulator.",
            "category": "JOB",
            "subCategory": alert.sub_category,
            "severity": alert.severity,
            "context": alert.context,
            "createdDateTime": iso::text(world.stamp(recurring::latest(alert.phase, world.now))),
            "tags": [],
            "systemDefined": true,
            "params": {"policy": alert.sub_category},
        },
    })
}

/// An alert as it truly is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertView {
    /// severity.
    pub severity: &'static str,
    /// category.
    pub category: &'static str,
}

impl Truth {
    /// The alerts, in the order in which the server lists them.
    pub fn alerts(&self) -> Vec<AlertView> {
        self.read(|world| {
            let view = |alert: &Alert| AlertView { severity: alert.severity, category: "JOB" };
            world.list::<Alert>().iter().map(view).collect()
        })
    }
}
