//! Storage lifecycle policies as they are configured (docs/netbackup-api.md#slps): which of them, or of their operations,
//! somebody has suspended. The vendor's files of 11.0 lack the resource.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::{Deserialize, Deserializer};

use crate::collectors::collector::{Cadence, Collected, Collector, Row};
use crate::collectors::counts::{Seen, label};
use crate::metric::{Metric, Samples, UNKNOWN, flag};
use crate::netbackup::lenient::{self, Text};
use crate::netbackup::{Error, OffsetPager, Permission, Query, Resource, Session};
use crate::slp::Exchange;

pub(super) const ROW: Row = Row {
    name: "slps",
    resource: &SLPS,
    also: &[],
    cadence: Cadence::Every(12),
    requests: "1 for 100 SLPs",
    core: false,
    metrics: || vec![ACTIVE.definition(), SUSPENDED.definition()],
    switch: Some("slp"),
    build: |settings| Box::new(Slps(settings.links.exchange.clone())),
    same: |_, _| true,
};

static SLPS: Resource = Resource {
    name: "slps",
    path: "/config/slps",
    permission: Some(Permission::view("|PROTECTION|SLPS|")),
    max_limit: 100,
};

static ACTIVE: Metric<1> = Metric::gauge(
    "nbu.slp.active",
    "",
    &["slp"],
    "1 if the SLP processes its images, 0 if somebody has suspended it. At most 1000 SLPs, suspended ones first. Absent where the server does not list SLPs.",
);
static SUSPENDED: Metric<3> = Metric::gauge(
    "nbu.slp.operation_suspended",
    "",
    &["slp", "operation_index", "operation"],
    "1 if somebody has suspended the operation of the SLP, else 0; operation is spelled as in nbu_slp_backlog_copies. The operations of at most 1000 SLPs, at most 30 each.",
);

/// SLPs whose series are exported.
const MAX_SLPS: usize = 1000;

/// Operations of an SLP whose series are exported.
const MAX_OPERATIONS: usize = 30;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SlpRow<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    slp_name: Text<'a>,
    #[serde(deserialize_with = "lenient::boolean")]
    active: Option<bool>,
    #[serde(borrow, deserialize_with = "operations")]
    operation_list: Vec<OperationRow<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OperationRow<'a> {
    #[serde(deserialize_with = "lenient::integer")]
    operation_index: Option<i64>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    operation_type: Text<'a>,
    /// Unix ms; of a suspended operation only.
    #[serde(deserialize_with = "lenient::timestamp")]
    operation_activation_time: Option<i64>,
    /// The server that a replication goes to; none where it goes to any that its storage is connected with.
    #[serde(borrow, deserialize_with = "lenient::text")]
    target_master_server: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::texts")]
    flag_values: Vec<std::borrow::Cow<'a, str>>,
}

fn operations<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<OperationRow<'de>>, D::Error> {
    lenient::objects(deserializer)
}

/// An SLP, as far as it is exported.
struct Told {
    name: String,
    active: Option<bool>,
    /// Index, operation, and whether it is suspended.
    operations: Vec<(String, String, bool)>,
    /// Names of the servers that it replicates to.
    targets: BTreeSet<String>,
}

impl Told {
    fn of(name: &str, row: &SlpRow<'_>) -> Self {
        let operations = row.operation_list.iter().take(MAX_OPERATIONS).map(|operation| {
            let index = operation.operation_index;
            let index = index.map_or_else(|| UNKNOWN.to_owned(), |index| index.to_string());
            let flagged =
                operation.flag_values.iter().any(|flag| flag.eq_ignore_ascii_case("inactive"));
            let suspended = flagged || operation.operation_activation_time.is_some();
            let kind = match label(&operation.operation_type) {
                // The word that images have for it.
                "DUPLICATION" => "DUPLICATE",
                kind => kind,
            };
            (index, kind.to_owned(), suspended)
        });
        let targets = row.operation_list.iter().filter_map(|operation| {
            let name = operation.target_master_server.as_deref().map(str::trim);
            name.filter(|name| !name.is_empty()).map(str::to_owned)
        });
        Self {
            name: name.to_owned(),
            active: row.active,
            operations: operations.collect(),
            targets: targets.collect(),
        }
    }

    fn is_suspended(&self) -> bool {
        self.active == Some(false) || self.operations.iter().any(|(_, _, suspended)| *suspended)
    }
}

/// Tells the exchange of sites where SLPs replicate to.
struct Slps(Exchange);

#[async_trait]
impl Collector for Slps {
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let (mut seen, mut told) = (Seen::default(), Vec::new());
        let mut walk = OffsetPager::new(session, &SLPS, &Query::all());
        while let Some(page) = walk.next_page::<SlpRow<'_>>().await? {
            for slp in page.rows.iter().filter(|slp| seen.is_new(&slp.id)) {
                let id = slp.id.to_string();
                match slp.slp_name.as_deref().or(Some(&id)).filter(|name| !name.is_empty()) {
                    Some(name) => told.push(Told::of(name, slp)),
                    None => session.note_unreadable(&SLPS, &slp.id, "slpName: missing"),
                }
            }
        }
        let targets = told.iter().map(|slp| (slp.name.clone(), slp.targets.clone()));
        let targets = targets.filter(|(_, names)| !names.is_empty()).collect();
        self.0.configure(session.client().site(), targets);
        Ok(Collected::whole(samples(told)))
    }
}

fn samples(mut told: Vec<Told>) -> Samples {
    let mut samples = Samples::new();
    told.sort_by_key(|slp| !slp.is_suspended());
    for slp in told.iter().take(MAX_SLPS) {
        samples.record(&ACTIVE, [&slp.name], slp.active.map(flag));
        for (index, kind, suspended) in &slp.operations {
            samples.record(&SUSPENDED, [&slp.name, index, kind], flag(*suspended));
        }
    }
    samples
}
