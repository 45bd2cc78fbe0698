//! Tapes, from NetBackup 10.5 on (docs/netbackup-api.md#tape-media). Which of them are scratch is told by the
//! types of their pools, another list, which the key may be forbidden to see.

use async_trait::async_trait;

use super::inventory::{self, Inventory, TapeRow};
use super::pools::VOLUME_POOLS;
use super::pools::{self, PoolTypes};
use super::scratch::{self, Scratch};
use crate::collectors::collector::{Cadence, Collected, Collector, Part, Row};
use crate::collectors::counts::Seen;
use crate::metric::Samples;
use crate::netbackup::{
    ApiVersion, CursorPager, Error, ErrorKind, Permission, Query, Resource, Session,
};

pub(in crate::collectors) const ROW: Row = Row {
    name: "tape_media",
    resource: &TAPE_MEDIA,
    also: &[&VOLUME_POOLS],
    // Every hundred tapes are a request: 200 an hour for 20,000 tapes.
    cadence: Cadence::Every(12),
    requests: "1 for 100 tapes, and 1 for 100 pools",
    core: false,
    metrics: || [inventory::metrics(), scratch::metrics()].concat(),
    switch: Some("tape"),
    build: |_| Box::new(TapeMedia::default()),
    same: |_, _| true,
};

static TAPE_MEDIA: Resource = Resource {
    name: "tape_media",
    path: "/storage/tape-media",
    permission: Some(Permission::view("|STORAGE|TAPE-MEDIA|")),
    max_limit: 100,
};

/// Remembers the combinations: a scratch pool that runs empty must read 0, not vanish.
#[derive(Default)]
struct TapeMedia {
    tapes: Inventory,
    scratch: Scratch,
}

#[async_trait]
impl Collector for TapeMedia {
    fn since(&self) -> Option<ApiVersion> {
        Some(ApiVersion::new(12, 0))
    }

    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let (mut tapes, mut seen) = (self.tapes.emptied(), Seen::default());
        let mut walk = CursorPager::new(session, &TAPE_MEDIA, &Query::all());
        while let Some(page) = walk.next_page::<TapeRow<'_>>().await? {
            page.rows.iter().filter(|tape| seen.is_new(&tape.id)).for_each(|tape| tapes.add(tape));
        }
        tapes.forget_robots();
        let mut samples = Samples::new();
        tapes.record(&mut samples);
        self.tapes = tapes;
        let mut parts = vec![("all", Part::Fresh(samples))];
        // Asked for after the tapes: a pool that was made meanwhile is known.
        match pools::types(session).await {
            Ok(types) => parts.push(("scratch", Part::Fresh(self.scratch(&types)))),
            // The collector of the pools tells of it, and repeating the walk of the tapes does not help.
            Err(error) if is_denied(error.kind()) => {}
            Err(error) => parts.push(("scratch", Part::Failed(error))),
        }
        Ok(Collected { parts, permitted: Some(true), unfinished: false })
    }
}

impl TapeMedia {
    fn scratch(&mut self, types: &PoolTypes) -> Samples {
        let mut samples = Samples::new();
        self.scratch.update(&self.tapes, types);
        self.scratch.record(&mut samples);
        samples
    }
}

/// Returns whether the pools stay hidden until somebody grants the right to see them, or upgrades the server.
fn is_denied(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unauthorized | ErrorKind::Forbidden | ErrorKind::NotFound)
}
