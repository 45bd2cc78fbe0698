//! Disk pools: space, marks, state and volumes (docs/netbackup-api.md#disk-pools), and the forecast that is made of
//! them (docs/adr/0021-storage.md).

mod clock;
mod lookup;
mod memory;
mod metrics;
mod row;

use std::collections::HashSet;

use async_trait::async_trait;

use self::lookup::{Found, Lookup};
use self::memory::Memory;
use self::row::{DISK_POOLS, PoolRow, Sizes, Volume};
use super::collector::{Cadence, Collected, Collector, Row, Settings};
use super::counts::{Counts, Seen, label};
use crate::forecast::Reading;
use crate::metric::{Metric, Samples};
use crate::netbackup::wire::Related;
use crate::netbackup::{Error, OffsetPager, Query, Session};

pub(super) const ROW: Row = Row {
    name: "disk_pools",
    resource: &DISK_POOLS,
    also: &[],
    cadence: Cadence::Slow,
    requests: "1 for 500 pools, 1 for the clock; 1 for a pool whose sizes are not in the list, 200 at most",
    core: false,
    metrics: || {
        let mut all = metrics::definitions();
        all.push(TIME_ZONE.definition());
        all
    },
    switch: Some("diskPools"),
    build: |settings| {
        Box::new(DiskPools { memory: Memory::new(settings.state), lookup: Lookup::default() })
    },
    same: |one, other| one.state == other.state,
};

static TIME_ZONE: Metric<2> = Metric::gauge(
    "nbu.server.time_zone.info",
    "",
    &["zone", "source"],
    "Time zone that the nights of a site are counted in; always 1. source is server, or assumed where the primary server does not tell a zone that the agent knows: then it is UTC.",
);

struct DiskPools {
    memory: Memory,
    lookup: Lookup,
}

/// A pool of the list, with what its row borrows turned into its own.
struct Pool {
    id: String,
    name: String,
    row: PoolRow<'static>,
    volumes: Option<Vec<Volume>>,
    /// Ids of its storage servers, sorted.
    servers: Vec<String>,
}

#[async_trait]
impl Collector for DiskPools {
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let pools = read(session).await?;
        let sizes = self.sizes(session, &pools).await;
        let mut samples = Samples::new();
        let (mut counts, mut room) = (Counts::default(), metrics::MAX_VOLUMES);
        for (pool, sizes) in pools.iter().zip(&sizes) {
            let named = (pool.name.as_str(), &pool.row);
            if let Some(volumes) = &pool.volumes {
                metrics::record_volumes(named, volumes, &mut counts, &mut room, &mut samples);
            }
            metrics::record_pool(named, sizes.unwrap_or_default(), &mut samples);
        }
        metrics::record_counts(&counts, &mut samples);
        record_repeated(&pools, &sizes, &mut samples);
        self.forecast(session, &pools, &sizes, &mut samples).await;
        Ok(Collected::whole(samples))
    }

    fn reconfigure(&mut self, settings: &Settings<'_>) {
        self.memory.keep_in(settings.state);
    }
}

/// Reads the list. A pool without a name is left out, and a second one of the same type and name.
async fn read(session: &Session) -> Result<Vec<Pool>, Error> {
    let (mut pools, mut seen) = (Vec::new(), Seen::default());
    let mut walk = OffsetPager::new(session, &DISK_POOLS, &Query::all());
    while let Some(page) = walk.next_page::<PoolRow<'_>>().await? {
        for pool in page.rows.iter().filter(|pool| seen.is_new(&pool.id)) {
            let Some(name) = pool.name.as_deref().filter(|name| !name.is_empty()) else {
                session.note_unreadable(&DISK_POOLS, &pool.id, "attributes.name: missing");
                continue;
            };
            pools.push(Pool {
                id: pool.id.to_string(),
                name: name.to_owned(),
                volumes: pool.volumes(),
                servers: pool.related.as_ref().map(Related::storage_servers).unwrap_or_default(),
                row: pool.to_owned_row(),
            });
        }
    }
    Ok(pools)
}

/// Records of each pool of a vendor's storage whether it repeats the space of one before it: two pools on one appliance
/// may both tell all of it. They have the same servers, and sizes that are equal to the byte.
fn record_repeated(pools: &[Pool], sizes: &[Option<Sizes>], samples: &mut Samples) {
    let mut spaces = HashSet::new();
    let is_of_vendor = |pool: &Pool| label(&pool.row.storage_category) == "OPEN_STORAGE";
    for (pool, sizes) in pools.iter().zip(sizes).filter(|(pool, _)| is_of_vendor(pool)) {
        let sizes = sizes.unwrap_or_default();
        let space = sizes.capacity.zip(sizes.free).filter(|_| sizes.used > Some(0));
        let is_repeated = space.is_some_and(|space| {
            !pool.servers.is_empty() && !spaces.insert((&pool.servers, space))
        });
        metrics::record_repeated((&pool.name, &pool.row), is_repeated, samples);
    }
}

impl DiskPools {
    /// Returns the sizes of each pool: of the list, else of the pool by itself, else the sums of its volumes.
    async fn sizes(&mut self, session: &Session, pools: &[Pool]) -> Vec<Option<Sizes>> {
        let mut known: Vec<Option<Sizes>> = pools.iter().map(|pool| pool.row.sizes()).collect();
        let is_silent = |pool: &Pool| !pool.row.is_cloud() && !pool.row.tells_sizes();
        let asked: Vec<String> =
            pools.iter().filter(|pool| is_silent(pool)).map(|pool| pool.id.clone()).collect();
        if asked.is_empty() {
            return known;
        }
        let found = self.lookup.ask(session, &asked).await;
        for (pool, known) in pools.iter().zip(&mut known).filter(|(pool, _)| is_silent(pool)) {
            *known = match found.get(&pool.id) {
                Some(Found::Sizes(sizes)) => Some(*sizes),
                Some(Found::None) => pool.volumes.as_deref().and_then(row::of_volumes),
                // Not the sums: another definition for one run would look like a change of the pool.
                Some(Found::Unknown) | None => None,
            };
        }
        known
    }

    /// Takes the readings, and records what they say about the nights.
    async fn forecast(
        &mut self,
        session: &Session,
        pools: &[Pool],
        sizes: &[Option<Sizes>],
        samples: &mut Samples,
    ) {
        let Some((now, zone)) = self.memory.time(session).await else { return };
        let source = if self.memory.is_zone_known() { "server" } else { "assumed" };
        samples.record(&TIME_ZONE, [zone.name(), source], 1.0);
        let Some(night) = zone.night_of(now) else { return };
        for (pool, sizes) in pools.iter().zip(sizes) {
            let Some(reading) = reading(now, pool, *sizes) else { continue };
            if let Some(forecast) = self.memory.observe(&key(pool), &night, reading) {
                metrics::record_forecast((&pool.name, &pool.row), forecast, samples);
            }
        }
        self.memory.save(session.client().site(), &night, now).await;
    }
}

fn reading(at: i64, pool: &Pool, sizes: Option<Sizes>) -> Option<Reading> {
    let sizes = sizes?;
    let limit = sizes.capacity.and_then(|capacity| pool.row.limit(capacity));
    Some(Reading { at, used: sizes.used?, limit })
}

/// Returns the name under which a pool is remembered: an id may be missing, and may change.
fn key(pool: &Pool) -> String {
    format!("{}:{}", label(&pool.row.s_type), pool.name)
}
