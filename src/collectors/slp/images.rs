//! The backlog: images under an SLP that are not complete, and the sizes of their backups.

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tokio::time::Instant;

use super::catalog::{Catalog, IMAGES};
use super::disk::{Disk, SAVED};
use super::replication::{MAX_REQUESTS, Replication};
use super::walk::{Limits, SLP_IMAGES, Walk};
use crate::collectors::collector::{Cadence, Collected, Collector, Part, Row, Settings};
use crate::metric::{Definition, Metric, Samples, unix_seconds};
use crate::netbackup::{Error, Session};
use crate::slp::{self, Exchange, Round, SharedSizes};
use crate::state::StateDir;

pub(super) const ROW: Row = Row {
    name: "slp_images",
    resource: &SLP_IMAGES,
    also: &[&IMAGES],
    cadence: Cadence::Every(3),
    requests: "1 for 500 images that are not complete, 45 at most; for sizes that no job told 1 for 100 images, 25 at most",
    core: false,
    metrics,
    switch: Some("slp"),
    build: |settings| Box::new(SlpImages::new(settings)),
    same: |one, other| one.state == other.state,
};

/// Requests of a run, with its ping: 20,000 images fit, whichever of the four lists they are in.
const MAX_WALK_REQUESTS: u32 = 45;

/// Requests of a run for sizes.
const MAX_SIZE_REQUESTS: u32 = 25;

static READ: Metric<0> = Metric::gauge(
    "nbu.slp.backlog_read.timestamp",
    "s",
    &[],
    "Time at which the backlog was read completely for the last time, Unix seconds by the agent's clock. Backlogs of more than 22,000 images take more than one run; until then the numbers are those of the last complete one.",
);

fn metrics() -> Vec<&'static Definition> {
    let mut all = slp::definitions().to_vec();
    all.extend([READ.definition(), SAVED.definition()]);
    all
}

/// A round that is complete.
struct Backlog {
    round: Round,
    /// The server's time when it was complete, Unix ms.
    now: i64,
    read_at: SystemTime,
}

struct SlpImages {
    sizes: SharedSizes,
    exchange: Exchange,
    /// Once the name of the site is known.
    replication: Option<Replication>,
    state: Option<StateDir>,
    disk: Option<Disk>,
    walk: Walk,
    catalog: Catalog,
    backlog: Option<Backlog>,
    /// Requests that are left to a run that goes on at once.
    left: Option<u32>,
}

#[async_trait]
impl Collector for SlpImages {
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        self.restore(session).await;
        if let Some(replication) = &mut self.replication {
            replication.begin();
        }
        let result = self.run(session).await;
        let is_failure = |(_, part): &(_, Part)| matches!(part, Part::Failed(_));
        let failed = result.as_ref().map_or(true, |run| run.parts.iter().any(is_failure));
        if let Some(replication) = &mut self.replication {
            replication.end(failed);
        }
        result
    }

    fn reconfigure(&mut self, settings: &Settings<'_>) {
        self.state = settings.state.cloned();
    }
}

impl SlpImages {
    async fn run(&mut self, session: &Session) -> Result<Collected, Error> {
        let site = session.client().site();
        let now = match session.ping().await {
            Ok(ping) => ping.server_time_ms(),
            // The backlog is kept until it is stale, and what is said of other sites is not.
            Err(error) if self.backlog.is_some() => {
                let parts = vec![("backlog", Part::Failed(error)), ("state", Part::Kept)];
                return Ok(Collected { parts, ..Collected::default() });
            }
            Err(error) => return Err(error),
        };
        let begun = Instant::now();
        let time = session.deadline().saturating_duration_since(begun);
        let pages = self.left.take().unwrap_or(MAX_WALK_REQUESTS).saturating_sub(1);
        let limits = Limits { pages, until: begun + time / 2 };
        let last = self.backlog.as_ref().map(|backlog| &backlog.round);
        let step = self.walk.step(session, last, limits).await;
        let unfinished = step.complete.is_none() && step.error.is_none();
        let mut collected = Collected { permitted: Some(true), ..Collected::default() };
        if let Some(round) = step.complete {
            self.complete(round, now);
            let replicas = self.compare(session).await;
            collected.parts.extend(replicas.map(|samples| ("replicas", Part::Fresh(samples))));
        } else if step.error.is_none() {
            collected.parts.push(("replicas", Part::Kept));
        }
        let replication = self.replication.as_ref();
        if !unfinished || pages <= step.pages {
            let spent = replication.is_some_and(Replication::is_shared);
            let requests = MAX_SIZE_REQUESTS - if spent { MAX_REQUESTS } else { 0 };
            self.catalog.step(session, &self.sizes, requests, unix_time()).await;
        }
        if let (Some(disk), Some(replication)) = (&mut self.disk, replication) {
            disk.save(site, &self.sizes, replication.seat()).await;
        }
        if unfinished && step.pages < pages {
            // Time was short, not requests.
            self.left = Some(pages - step.pages);
            collected.unfinished = true;
        }
        match (step.error, self.samples()) {
            (Some(error), None) => return Err(error),
            (Some(error), Some(_)) => {
                collected.permitted = None;
                collected.parts.push(("backlog", Part::Failed(error)));
            }
            (None, samples) => {
                collected.parts.extend(samples.map(|samples| ("backlog", Part::Fresh(samples))));
            }
        }
        if let Some(disk) = &self.disk {
            let mut samples = Samples::new();
            disk.record(&mut samples);
            collected.parts.push(("state", Part::Fresh(samples)));
        }
        Ok(collected)
    }

    fn new(settings: &Settings<'_>) -> Self {
        Self {
            sizes: settings.links.sizes.clone(),
            exchange: settings.links.exchange.clone(),
            replication: None,
            state: settings.state.cloned(),
            disk: None,
            walk: Walk::default(),
            catalog: Catalog::default(),
            backlog: None,
            left: None,
        }
    }

    /// Reads the sizes of before.
    async fn restore(&mut self, session: &Session) {
        let (site, server) = (session.client().site(), session.client().base());
        if self.disk.as_ref().map(Disk::directory) != self.state.as_ref() {
            let resumes = self.disk.is_none() && self.backlog.is_none();
            let directory = self.state.as_ref();
            self.disk = directory.map(|directory| Disk::new(directory, site, server, resumes));
            self.sizes.lock().mark_changed();
        }
        let exchange = &self.exchange;
        let replication = self.replication.get_or_insert_with(|| Replication::new(exchange, site));
        if let Some(disk) = &mut self.disk {
            disk.load(site, &self.sizes, replication.seat()).await;
        }
    }

    /// Compares the last round with what other sites know. Returns the samples, where everything is known.
    async fn compare(&mut self, session: &Session) -> Option<Samples> {
        let backlog = self.backlog.as_ref()?;
        let replication =
            self.replication.as_mut().filter(|replication| replication.is_shared())?;
        replication.apply(session, &backlog.round, backlog.now).await
    }

    /// Takes a round over that is complete. `now` is the server's time.
    fn complete(&mut self, round: Round, now: i64) {
        let before = self.backlog.as_ref().map(|backlog| &backlog.round);
        self.sizes.lock().settle(&round, unix_time());
        self.catalog.aim(&round, before, &self.sizes);
        self.backlog = Some(Backlog { round, now, read_at: SystemTime::now() });
    }

    /// Returns the samples of the last complete round, with the sizes that are known now.
    fn samples(&self) -> Option<Samples> {
        let backlog = self.backlog.as_ref()?;
        let mut samples = slp::samples(&backlog.round, &self.sizes.lock(), backlog.now);
        samples.record(&READ, [], unix_seconds(backlog.read_at));
        Some(samples)
    }
}

fn unix_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
