//! Storage units: capacity, limits and properties (docs/netbackup-api.md#storage-units).

use async_trait::async_trait;
use serde::Deserialize;

use super::collector::{Cadence, Collected, Collector, Row};
use super::counts::size;
use crate::metric::{Metric, Samples};
use crate::netbackup::lenient::{self, Text};
use crate::netbackup::wire::Related;
use crate::netbackup::{Error, OffsetPager, Permission, Query, Resource, Session};

pub(super) const ROW: Row = Row {
    name: "storage",
    resource: &STORAGE_UNITS,
    also: &[],
    cadence: Cadence::Slow,
    requests: "1 for 500 storage units",
    core: true,
    metrics: || {
        vec![
            DISK_BYTES.definition(),
            DISK_CAPACITY.definition(),
            MAX_CONCURRENT_JOBS.definition(),
            MAX_FRAGMENT_SIZE.definition(),
            INFO.definition(),
            POOL_INFO.definition(),
        ]
    },
    switch: None,
    build: |_| Box::new(Storage),
    same: |_, _| true,
};

static STORAGE_UNITS: Resource = Resource {
    name: "storage_units",
    path: "/storage/storage-units",
    permission: Some(Permission::view("|STORAGE|STORAGE-UNITS|")),
    max_limit: 500,
};

/// The attributes of a storage unit that the agent uses. Any may be missing: tape units have no
/// capacities, and a cloud unit's "unlimited" is `i64::MAX`, which the reader must take as unknown.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StorageUnit<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    name: Text<'a>,
    /// `DISK`, `TAPE` and so on; as the server spells it.
    #[serde(borrow, deserialize_with = "lenient::text")]
    storage_type: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    storage_sub_type: Text<'a>,
    /// `PureDisk` and the like.
    #[serde(borrow, deserialize_with = "lenient::text")]
    storage_server_type: Text<'a>,
    /// `ADVANCED_DISK`, `BASIC_DISK`, `CLOUD`, `CLOUD_CATALYST`, `MSDP`, `OPEN_STORAGE`, `TAPE`.
    #[serde(borrow, deserialize_with = "lenient::text")]
    storage_category: Text<'a>,
    #[serde(deserialize_with = "lenient::integer")]
    free_capacity_bytes: Option<i64>,
    #[serde(deserialize_with = "lenient::integer")]
    total_capacity_bytes: Option<i64>,
    #[serde(deserialize_with = "lenient::integer")]
    used_capacity_bytes: Option<i64>,
    /// Jobs at once; disk units.
    #[serde(deserialize_with = "lenient::integer")]
    max_concurrent_jobs: Option<i64>,
    /// Mebibytes.
    #[serde(deserialize_with = "lenient::integer")]
    max_fragment_size_megabytes: Option<i64>,
    #[serde(rename = "isCloudSTU", deserialize_with = "lenient::boolean")]
    is_cloud: Option<bool>,
    /// It can hold write-once copies.
    #[serde(deserialize_with = "lenient::boolean")]
    worm_capable: Option<bool>,
    /// It is configured to.
    #[serde(deserialize_with = "lenient::boolean")]
    use_worm: Option<bool>,
    #[serde(deserialize_with = "lenient::boolean")]
    replication_capable: Option<bool>,
    #[serde(deserialize_with = "lenient::boolean")]
    instant_access_enabled: Option<bool>,
}

static DISK_BYTES: Metric<3> = Metric::gauge(
    "nbu.disk",
    "By",
    &["name", "type", "size"],
    "Free and used space of a storage unit. Absent for tape; no free space for cloud units without a limit.",
);
static DISK_CAPACITY: Metric<2> = Metric::gauge(
    "nbu.disk.capacity",
    "By",
    &["name", "type"],
    "Total capacity of a storage unit. Absent for tape and for cloud units without a limit.",
);
static MAX_CONCURRENT_JOBS: Metric<2> = Metric::gauge(
    "nbu.storage.max_concurrent_jobs",
    "{job}",
    &["name", "type"],
    "Maximum number of concurrent jobs of a storage unit. Absent for tape units, which are limited by their drives.",
);
static MAX_FRAGMENT_SIZE: Metric<2> = Metric::gauge(
    "nbu.storage.max_fragment_size",
    "By",
    &["name", "type"],
    "Maximum fragment size of a storage unit.",
);
static INFO: Metric<8> = Metric::gauge(
    "nbu.storage.info",
    "",
    &[
        "name",
        "type",
        "subtype",
        "is_cloud",
        "worm_capable",
        "use_worm",
        "replication_capable",
        "instant_access",
    ],
    "Properties of a storage unit; always 1.",
);
static POOL_INFO: Metric<3> = Metric::gauge(
    "nbu.storage.unit.pool.info",
    "",
    &["name", "type", "pool_name"],
    "Disk pool of a storage unit (relationships.diskPool); always 1. Several units may have one pool. Absent for units without one, such as BASIC_DISK and tape.",
);

struct Storage;

#[async_trait]
impl Collector for Storage {
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let mut samples = Samples::new();
        let mut walk = OffsetPager::new(session, &STORAGE_UNITS, &Query::all());
        while let Some(page) = walk.next_page::<StorageUnit<'_>>().await? {
            for unit in &page.rows {
                match unit.name.as_deref().filter(|name| !name.is_empty()) {
                    Some(name) => {
                        fold(name, unit, &mut samples);
                        if let Some(pool) = pool_name(unit.related.as_ref()) {
                            let kind = unit.storage_server_type.as_deref().unwrap_or_default();
                            samples.record(&POOL_INFO, [name, kind, &pool], 1.0);
                        }
                    }
                    None => session.note_unreadable(
                        &STORAGE_UNITS,
                        &unit.id,
                        "attributes.name: missing",
                    ),
                }
            }
        }
        Ok(Collected::whole(samples))
    }
}

fn fold(name: &str, row: &StorageUnit<'_>, samples: &mut Samples) {
    let kind = row.storage_server_type.as_deref().unwrap_or_default();
    // "0 of 0" is how an unlimited unit may look.
    let has_limit = (row.total_capacity_bytes, row.free_capacity_bytes) != (Some(0), Some(0));
    if has_limit && !is_tape(row) {
        samples.record(&DISK_BYTES, [name, kind, "free"], size(row.free_capacity_bytes));
        samples.record(&DISK_BYTES, [name, kind, "used"], size(row.used_capacity_bytes));
        samples.record(&DISK_CAPACITY, [name, kind], size(row.total_capacity_bytes));
    }
    samples.record(&MAX_CONCURRENT_JOBS, [name, kind], size(row.max_concurrent_jobs));
    let fragment = size(row.max_fragment_size_megabytes).map(|megabytes| megabytes * 1_048_576.0);
    samples.record(&MAX_FRAGMENT_SIZE, [name, kind], fragment);
    let properties = [
        name,
        kind,
        row.storage_sub_type.as_deref().unwrap_or_default(),
        truth(row.is_cloud),
        truth(row.worm_capable),
        truth(row.use_worm),
        truth(row.replication_capable),
        truth(row.instant_access_enabled),
    ];
    samples.record(&INFO, properties, 1.0);
}

/// Returns the name of the unit's disk pool, whose id is `type:name`.
fn pool_name(related: Option<&Related<'_>>) -> Option<String> {
    let id = related?.disk_pool.as_ref()?.id()?.to_string();
    let name = id.split_once(':').map_or(id.as_str(), |(_, name)| name);
    (!name.is_empty()).then(|| name.to_owned())
}

/// Returns whether the unit is on tape, however its type is spelled.
fn is_tape(row: &StorageUnit<'_>) -> bool {
    [&row.storage_category, &row.storage_type, &row.storage_server_type]
        .into_iter()
        .flatten()
        .any(|text| text.to_ascii_lowercase().contains("tape"))
}

fn truth(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "true",
        Some(false) => "false",
        None => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_unit_with_missing_fields_is_read() {
        let row: StorageUnit<'_> = serde_json::from_str(
            r#"{"name":"stu","storageServerType":null,"freeCapacityBytes":9223372036854775807,
            "isCloudSTU":true,"wormCapable":0,"useWorm":"false","maxConcurrentJobs":"8"}"#,
        )
        .unwrap();
        assert_eq!((row.name.as_deref(), row.storage_server_type), (Some("stu"), None));
        assert_eq!((row.free_capacity_bytes, row.max_concurrent_jobs), (Some(i64::MAX), Some(8)));
        assert_eq!(
            (row.is_cloud, row.worm_capable, row.use_worm),
            (Some(true), Some(false), Some(false))
        );
        assert_eq!(row.instant_access_enabled, None);
    }
}
