//! Storage servers: whether each is up, and the space of MSDP (docs/netbackup-api.md#storage-servers). A collector of
//! its own: one slow server may delay the whole list.

use async_trait::async_trait;
use serde::Deserialize;

use super::collector::{Cadence, Collected, Collector, Row};
use super::counts::{Seen, label, size};
use crate::metric::{Metric, Samples, UNKNOWN, flag};
use crate::netbackup::lenient::{self, Text};
use crate::netbackup::{Error, OffsetPager, Permission, Query, Resource, Session};

pub(super) const ROW: Row = Row {
    name: "storage_servers",
    resource: &STORAGE_SERVERS,
    also: &[],
    cadence: Cadence::Slow,
    requests: "1 for 100 storage servers",
    core: false,
    metrics: || {
        vec![
            UP.definition(),
            INFO.definition(),
            MSDP_BYTES.definition(),
            MSDP_LOGICAL.definition(),
            MSDP_DEDUP_RATE.definition(),
        ]
    },
    switch: Some("storageServers"),
    build: |_| Box::new(StorageServers),
    same: |_, _| true,
};

static STORAGE_SERVERS: Resource = Resource {
    name: "storage_servers",
    path: "/storage/storage-servers",
    permission: Some(Permission::view("|STORAGE|STORAGE-SERVERS|")),
    max_limit: 100,
};

/// The attributes of a storage server that the agent uses.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ServerRow<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    name: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    s_type: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    storage_category: Text<'a>,
    /// `UP` or `DOWN`.
    #[serde(borrow, deserialize_with = "lenient::text")]
    storage_server_state: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    nbu_host_version: Text<'a>,
    #[serde(deserialize_with = "lenient::object")]
    msdp_attributes: Option<Msdp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Msdp {
    #[serde(deserialize_with = "lenient::object")]
    storage_pool_details: Option<Space>,
    #[serde(deserialize_with = "lenient::integer")]
    catalog_logical_size_bytes: Option<i64>,
    #[serde(deserialize_with = "lenient::float")]
    deduplication_ratio_percentage: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Space {
    #[serde(rename = "rawSizeBytes", deserialize_with = "lenient::integer")]
    raw: Option<i64>,
    #[serde(rename = "reservedSpaceBytes", deserialize_with = "lenient::integer")]
    reserved: Option<i64>,
    #[serde(rename = "sizeBytes", deserialize_with = "lenient::integer")]
    size: Option<i64>,
    #[serde(rename = "usedSpaceBytes", deserialize_with = "lenient::integer")]
    used: Option<i64>,
    #[serde(rename = "availableSpaceBytes", deserialize_with = "lenient::integer")]
    available: Option<i64>,
}

static UP: Metric<3> = Metric::gauge(
    "nbu.storage.server.up",
    "",
    &["storage_server", "server_type", "storage_category"],
    "1 if a storage server is UP (storageServerState), else 0; absent where the server does not say.",
);
static INFO: Metric<4> = Metric::gauge(
    "nbu.storage.server.info",
    "",
    &["storage_server", "server_type", "storage_category", "version"],
    "NetBackup release of a storage server (nbuHostVersion); always 1. Absent where none is told.",
);
static MSDP_BYTES: Metric<2> = Metric::gauge(
    "nbu.msdp",
    "By",
    &["storage_server", "size"],
    "Space of an MSDP storage server: size is raw, reserved, size (raw less reserved), used or available.",
);
static MSDP_LOGICAL: Metric<1> = Metric::gauge(
    "nbu.msdp.catalog_logical",
    "By",
    &["storage_server"],
    "Front-end bytes that an MSDP storage server holds, before deduplication (catalogLogicalSizeBytes). Divided by nbu_msdp_bytes{size=\"used\"} it is how many times its space it holds.",
);
static MSDP_DEDUP_RATE: Metric<1> = Metric::gauge(
    "nbu.msdp.dedup_rate",
    "",
    &["storage_server"],
    "deduplicationRatioPercentage of an MSDP storage server as it comes. Whether it is a saving or a ratio is not documented: prefer nbu_msdp_catalog_logical_bytes over used.",
);

struct StorageServers;

#[async_trait]
impl Collector for StorageServers {
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let (mut samples, mut seen) = (Samples::new(), Seen::default());
        let mut walk = OffsetPager::new(session, &STORAGE_SERVERS, &Query::all());
        while let Some(page) = walk.next_page::<ServerRow<'_>>().await? {
            for server in page.rows.iter().filter(|server| seen.is_new(&server.id)) {
                match server.name.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
                    Some(name) => fold(name, server, &mut samples),
                    None => session.note_unreadable(
                        &STORAGE_SERVERS,
                        &server.id,
                        "attributes.name: missing",
                    ),
                }
            }
        }
        Ok(Collected::whole(samples))
    }
}

fn fold(name: &str, row: &ServerRow<'_>, samples: &mut Samples) {
    let labels = [name, label(&row.s_type), label(&row.storage_category)];
    let state = label(&row.storage_server_state);
    samples.record(&UP, labels, (state != UNKNOWN).then(|| flag(state == "UP")));
    let version = label(&row.nbu_host_version);
    if version != UNKNOWN {
        samples.record(&INFO, [labels[0], labels[1], labels[2], version], 1.0);
    }
    let Some(msdp) = &row.msdp_attributes else { return };
    if let Some(space) = &msdp.storage_pool_details {
        for (part, bytes) in [
            ("raw", space.raw),
            ("reserved", space.reserved),
            ("size", space.size),
            ("used", space.used),
            ("available", space.available),
        ] {
            samples.record(&MSDP_BYTES, [name, part], size(bytes));
        }
    }
    samples.record(&MSDP_LOGICAL, [name], size(msdp.catalog_logical_size_bytes));
    samples.record(&MSDP_DEDUP_RATE, [name], msdp.deduplication_ratio_percentage);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_with_odd_fields_is_read() {
        let row: ServerRow<'_> = serde_json::from_str(
            r#"{"name":"m1","storageServerState":null,"nbuStatusCode":null,"msdpAttributes":
            {"storagePoolDetails":{"rawSizeBytes":9223372036854775807,"usedSpaceBytes":"5"},
            "deduplicationRatioPercentage":"98.5"}}"#,
        )
        .unwrap();
        let mut samples = Samples::new();
        fold("m1", &row, &mut samples);
        let (families, _) = samples.finish();
        let names: Vec<_> = families
            .iter()
            .map(|family| (family.definition.prometheus_name(), family.points.len()))
            .collect();
        assert_eq!(
            names,
            [("nbu_msdp_bytes".to_owned(), 1), ("nbu_msdp_dedup_rate".to_owned(), 1)]
        );
    }
}
