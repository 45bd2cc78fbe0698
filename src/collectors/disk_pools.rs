//! Disk pools: the volumes of each by state (docs/netbackup-api.md#disk-pools).

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::collector::{Cadence, Collected, Collector, Row};
use super::counts::{Counts, Seen, label};
use crate::metric::{Metric, Samples, UNKNOWN};
use crate::netbackup::lenient::{self, Text};
use crate::netbackup::{Error, OffsetPager, Query, Resource, Session};

pub(super) const ROW: Row = Row {
    name: "disk_pools",
    resource: &DISK_POOLS,
    cadence: Cadence::Slow,
    core: false,
    metrics: || vec![VOLUME_COUNT.definition()],
    enabled: |config| config.is_on("tape"),
    build: |_| Box::new(DiskPools),
    same: |_, _| true,
};

static DISK_POOLS: Resource = Resource {
    name: "disk_pools",
    path: "/storage/disk-pools",
    permission: "|STORAGE|DISK-POOLS|",
    max_limit: 500,
};

/// States of a volume; a closed set.
const STATES: [&str; 3] = ["UP", "DOWN", "UNKNOWN"];

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PoolRow<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    name: Text<'a>,
    /// `ADVANCED_DISK`, `CLOUD`, `CLOUD_CATALYST`, `MSDP`, `OPEN_STORAGE`.
    #[serde(borrow, deserialize_with = "lenient::text")]
    storage_category: Text<'a>,
    /// A list of objects with a `state`, if the server keeps to it.
    disk_volumes: Value,
}

static VOLUME_COUNT: Metric<3> = Metric::gauge(
    "nbu.disk.pool.volume.count",
    "{volume}",
    &["pool_name", "storage_category", "state"],
    "Volumes of a disk pool by state (diskVolumes); UP, DOWN and UNKNOWN are exported for each pool.",
);

struct DiskPools;

#[async_trait]
impl Collector for DiskPools {
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let (mut counts, mut seen) = (Counts::default(), Seen::default());
        let mut walk = OffsetPager::new(session, &DISK_POOLS, &Query::all());
        while let Some(page) = walk.next_page::<PoolRow<'_>>().await? {
            for pool in page.rows.iter().filter(|pool| seen.is_new(&pool.id)) {
                match pool.name.as_deref().filter(|name| !name.is_empty()) {
                    Some(name) => fold(name, pool, &mut counts),
                    None => {
                        session.note_unreadable(&DISK_POOLS, &pool.id, "attributes.name: missing");
                    }
                }
            }
        }
        let mut samples = Samples::new();
        counts.record(&VOLUME_COUNT, &mut samples);
        Ok(Collected::whole(samples))
    }
}

/// Counts the volumes of a pool. One whose volumes the server does not list has no series.
fn fold(name: &str, pool: &PoolRow<'_>, counts: &mut Counts<3>) {
    let Some(volumes) = pool.disk_volumes.as_array() else { return };
    let category = label(&pool.storage_category);
    for state in STATES {
        counts.expect([name, category, state]);
    }
    for volume in volumes {
        let state = volume["state"].as_str().filter(|state| !state.is_empty());
        counts.add([name, category, state.unwrap_or(UNKNOWN)]);
    }
}
