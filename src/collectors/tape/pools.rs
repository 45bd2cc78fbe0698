//! Volume pools of tapes, from NetBackup 10.5 on (docs/netbackup-api.md#tape-volume-pools).

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;

use crate::collectors::collector::{Cadence, Collected, Collector, Row};
use crate::collectors::counts::label;
use crate::metric::{Metric, Samples, UNKNOWN};
use crate::netbackup::lenient::{self, Text};
use crate::netbackup::{ApiVersion, CursorPager, Error, Permission, Query, Resource, Session};

pub(in crate::collectors) const ROW: Row = Row {
    name: "tape_pools",
    resource: &VOLUME_POOLS,
    also: &[],
    cadence: Cadence::Slow,
    requests: "1 for 100 volume pools",
    core: false,
    metrics: || vec![PARTIALLY_FULL.definition()],
    switch: Some("tape"),
    build: |_| Box::new(TapePools),
    same: |_, _| true,
};

pub(super) static VOLUME_POOLS: Resource = Resource {
    name: "tape_volume_pools",
    path: "/storage/tape-volume-pools",
    permission: Some(Permission::view("|STORAGE|TAPE-MEDIA|VOLUME-POOLS|")),
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
        walk(session, |name, pool| {
            if let Some(tapes) = pool.partially_full_media.filter(|tapes| *tapes >= 0) {
                samples.record(&PARTIALLY_FULL, [name, label(&pool.pool_type)], tapes as f64);
            }
        })
        .await?;
        Ok(Collected::whole(samples))
    }
}

/// Reads all pools, and hands each to `see` with its name.
async fn walk(
    session: &Session,
    mut see: impl FnMut(&str, &PoolRow<'_>) + Send,
) -> Result<(), Error> {
    let mut walk = CursorPager::new(session, &VOLUME_POOLS, &Query::all());
    while let Some(page) = walk.next_page::<PoolRow<'_>>().await? {
        for pool in &page.rows {
            let name = pool.volume_pool_name.as_deref().filter(|name| !name.is_empty());
            let Some(name) = name else {
                let problem = "attributes.volumePoolName: missing";
                session.note_unreadable(&VOLUME_POOLS, &pool.id, problem);
                continue;
            };
            see(name, pool);
        }
    }
    Ok(())
}

/// The types of the pools of a site: `true` for a scratch pool, by name.
pub(super) struct PoolTypes(BTreeMap<Box<str>, bool>);

/// Reads the types of all pools.
pub(super) async fn types(session: &Session) -> Result<PoolTypes, Error> {
    let mut types = BTreeMap::new();
    walk(session, |name, pool| {
        let kind = label(&pool.pool_type);
        if kind != UNKNOWN {
            types.insert(name.trim().into(), kind == "SCRATCH_MEDIA_POOL");
        }
    })
    .await?;
    Ok(PoolTypes(types))
}

impl PoolTypes {
    #[cfg(test)]
    pub(super) fn of(types: &[(&str, &str)]) -> Self {
        let is_scratch = |kind: &str| kind == "SCRATCH_MEDIA_POOL";
        Self(types.iter().map(|(name, kind)| ((*name).into(), is_scratch(kind))).collect())
    }

    /// Returns whether there is a scratch pool.
    pub(super) fn have_scratch(&self) -> bool {
        self.0.values().any(|is_scratch| *is_scratch)
    }

    /// Returns whether a pool is a scratch pool; `None` if its type was not told.
    pub(super) fn is_scratch(&self, pool: &str) -> Option<bool> {
        self.0.get(pool).copied()
    }
}
