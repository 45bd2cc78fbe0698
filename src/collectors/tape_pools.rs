//! Volume pools of tapes, from NetBackup 10.5 on (docs/netbackup-api.md#tape-volume-pools).

use async_trait::async_trait;
use serde::Deserialize;

use super::collector::{Cadence, Collected, Collector, Row};
use super::counts::label;
use crate::metric::{Metric, Samples};
use crate::netbackup::lenient::{self, Text};
use crate::netbackup::{ApiVersion, CursorPager, Error, Query, Resource, Session};

pub(super) const ROW: Row = Row {
    name: "tape_pools",
    resource: &VOLUME_POOLS,
    cadence: Cadence::Slow,
    requests: "1 for 100 volume pools",
    core: false,
    metrics: || vec![PARTIALLY_FULL.definition()],
    switch: Some("tape"),
    build: |_| Box::new(TapePools),
    same: |_, _| true,
};

static VOLUME_POOLS: Resource = Resource {
    name: "tape_volume_pools",
    path: "/storage/tape-volume-pools",
    permission: "|STORAGE|TAPE-MEDIA|VOLUME-POOLS|",
    max_limit: 100,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PoolRow<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    volume_pool_name: Text<'a>,
    /// `REGULAR_MEDIA_POOL`, `SCRATCH_MEDIA_POOL`, `CATALOG_MEDIA_POOL`, `AVAILABLE_MEDIA_POOL`.
    #[serde(borrow, deserialize_with = "lenient::text")]
    pool_type: Text<'a>,
    #[serde(deserialize_with = "lenient::integer")]
    partially_full_media: Option<i64>,
}

static PARTIALLY_FULL: Metric<2> = Metric::gauge(
    "nbu.tape.pool.partially_full",
    "{tape}",
    &["pool_name", "pool_type"],
    "Partially full tapes of a volume pool (partiallyFullMedia). NetBackup 10.5 and later.",
);

struct TapePools;

#[async_trait]
impl Collector for TapePools {
    fn since(&self) -> Option<ApiVersion> {
        Some(ApiVersion::new(12, 0))
    }

    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let mut samples = Samples::new();
        let mut walk = CursorPager::new(session, &VOLUME_POOLS, &Query::all());
        while let Some(page) = walk.next_page::<PoolRow<'_>>().await? {
            for pool in &page.rows {
                let name = pool.volume_pool_name.as_deref().filter(|name| !name.is_empty());
                let Some(name) = name else {
                    let problem = "attributes.volumePoolName: missing";
                    session.note_unreadable(&VOLUME_POOLS, &pool.id, problem);
                    continue;
                };
                if let Some(tapes) = pool.partially_full_media.filter(|tapes| *tapes >= 0) {
                    let labels = [name, label(&pool.pool_type)];
                    samples.record(&PARTIALLY_FULL, labels, tapes as f64);
                }
            }
        }
        Ok(Collected::whole(samples))
    }
}
