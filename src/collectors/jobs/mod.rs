//! Jobs: those that ended, each counted once, and those that are live (contract, section 1;
//! docs/adr/0010-job-ledger.md). `walks` asks, the ledger counts, `store` keeps it on disk.

mod disk;
mod fill;
mod health;
mod lookup;
mod probe;
mod store;
mod walks;

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::time::Instant;

use self::fill::Fill;
use self::probe::{any, probe};
use self::store::Store;
use self::walks::{Key, Shared, Walked};
use super::{Cadence, Collected, Collector, Part, Row, Settings};
use crate::jobs::{Actions, Ledger, Live};
use crate::metric::{Definition, Samples};
use crate::netbackup::wire::jobs::JOBS;
use crate::netbackup::{Error, ErrorKind, Query, Resource, Session};
use crate::state::Directory;

pub(super) const ROW: Row = Row {
    name: "jobs",
    resource: &JOBS,
    cadence: Cadence::EveryPoll,
    core: true,
    metrics,
    enabled: |_| true,
    build: |settings| Box::new(Jobs::new(settings)),
    same: |one, other| {
        let (mine, theirs) = (one.collectors, other.collectors);
        one.window == other.window
            && mine.action_names == theirs.action_names
            && mine.long_running_after == theirs.long_running_after
            && mine.per_client == theirs.per_client
            && mine.per_policy == theirs.per_policy
            && one.state == other.state
    },
};

/// Jobs that have not ended.
const LIVE: &str = "state ne 'DONE'";

fn metrics() -> Vec<&'static Definition> {
    let mut all = crate::jobs::definitions();
    all.extend(health::definitions());
    all
}

struct Jobs {
    window: Duration,
    collectors: super::Config,
    actions: Actions,
    ledger: Option<Ledger>,
    fill: Option<Fill>,
    directory: Option<Directory>,
    store: Option<Store>,
    /// When the last cycle began, by our clock.
    began: Option<Instant>,
    /// What tells that a finished job changed.
    key: Key,
}

/// What a cycle asked and heard.
struct Heard {
    live: Result<(Live, usize), Error>,
    changed: Walked,
    late: Walked,
}

impl Heard {
    fn rows(&self) -> usize {
        let live = self.live.as_ref().map_or(0, |(live, _)| live.len());
        live + self.changed.rows + self.late.rows
    }

    fn unreadable(&self) -> usize {
        let live = self.live.as_ref().map_or(0, |(_, unreadable)| *unreadable);
        live + self.changed.unreadable + self.late.unreadable
    }
}

#[async_trait]
impl Collector for Jobs {
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        self.restore(session).await;
        let now = match session.ping().await {
            // The window is one of the server's time, never of ours.
            Ok(ping) => ping.server_time_ms(),
            Err(error) => return self.unreachable(error),
        };
        self.begin(session, now);
        let collected = self.cycle(session).await;
        match collected {
            Ok(collected) => Ok(collected),
            Err(error) => self.unreachable(error),
        }
    }

    fn reconfigure(&mut self, settings: &Settings<'_>) {
        self.window = settings.window;
        self.directory = settings.state.cloned();
        self.actions = Actions::new(&settings.collectors.action_names);
        let before = std::mem::replace(&mut self.collectors, settings.collectors.clone());
        if let Some(ledger) = &mut self.ledger {
            ledger.want(settings.window);
            let now = &self.collectors;
            if (&before.per_client, &before.per_policy) != (&now.per_client, &now.per_policy) {
                ledger.select(&now.per_client, &now.per_policy);
            }
        }
    }

    /// One job that is seen is proof; an empty list proves nothing.
    async fn permitted(
        &mut self,
        session: &Session,
        resource: &'static Resource,
    ) -> Result<Option<bool>, Error> {
        debug_assert_eq!(resource, &JOBS);
        if any(session, &Query::all().limited(1)).await? {
            Ok(Some(true))
        } else {
            probe(session).await
        }
    }
}

impl Jobs {
    fn new(settings: &Settings<'_>) -> Self {
        Self {
            window: settings.window,
            actions: Actions::new(&settings.collectors.action_names),
            collectors: settings.collectors.clone(),
            ledger: None,
            fill: None,
            directory: settings.state.cloned(),
            store: None,
            began: None,
            key: Key::LastUpdate,
        }
    }

    /// Takes up what is on disk, before anything is asked: the totals of before go on, whether the
    /// server answers or not. If it cannot be read now, a ledger without totals stands in for it.
    async fn restore(&mut self, session: &Session) {
        let (site, server) = (session.client().site(), session.client().base());
        if self.store.as_ref().map(Store::directory) != self.directory.as_ref() {
            let is_stand_in = self.store.as_ref().is_some_and(|store| !store.is_read());
            let resumes = self.ledger.is_none() || is_stand_in;
            let directory = self.directory.as_ref();
            self.store = directory.map(|directory| Store::new(directory, site, server, resumes));
            if let Some(ledger) = &mut self.ledger {
                ledger.unsaved();
            }
        }
        let Some(store) = &mut self.store else { return };
        // The time is the saved one, once it is read.
        let empty = || new_ledger(0, self.window, &self.collectors);
        if let Some(mut ledger) = store.load(empty).await {
            ledger.want(self.window);
            ledger.select(&self.collectors.per_client, &self.collectors.per_policy);
            self.ledger = Some(ledger);
            (self.fill, self.began) = (None, None);
        }
    }

    fn begin(&mut self, session: &Session, now: i64) {
        let site = session.client().site();
        let empty = || new_ledger(now, self.window, &self.collectors);
        let ledger = self.ledger.get_or_insert_with(empty);
        let passed = match self.began.replace(Instant::now()) {
            Some(began) => began.elapsed(),
            None => ledger.written().and_then(|at| at.elapsed().ok()).unwrap_or_default(),
        };
        if ledger.begin(now, passed) {
            tracing::warn!(
                site,
                "the server's clock was set back: what changed since the last poll is read with a larger overlap"
            );
        }
    }

    /// Asks, counts, saves. An error means that nothing at all can be said.
    async fn cycle(&mut self, session: &Session) -> Result<Collected, Error> {
        self.check_gap(session).await?;
        let Some(ledger) = &mut self.ledger else { return Ok(Collected::default()) };
        let span = ledger.to_fill();
        if self.fill.as_ref().map(|fill| fill.span) != span {
            self.fill = span.map(Fill::new);
        }
        let heard = hear(session, ledger, &mut self.key).await;
        let mut collected =
            Collected { unreadable: heard.unreadable() as u64, ..Collected::default() };
        let mut rows = heard.rows();
        let Heard { live, changed, late } = heard;
        let live = live.map(|(live, _)| ledger.sweep(live));
        let mut fill_error = None;
        if let Some(fill) = &mut self.fill {
            let turn = fill.turn(session, &Shared::new(ledger), session.client().site()).await;
            rows += turn.rows;
            collected.unreadable += turn.unreadable as u64;
            collected.unfinished = !fill.is_complete() && turn.error.is_none();
            fill_error = turn.error;
        }
        if rows > 0 {
            collected.permitted = Some(true);
        } else if live.is_ok() && changed.error.is_none() && fill_error.is_none() {
            collected.permitted = probe(session).await?;
            if collected.permitted.is_none() {
                // Zeros would claim that nothing runs.
                collected.parts.push(("live", Part::Fresh(Samples::new())));
                collected.parts.push(("finished", Part::Fresh(Samples::new())));
                self.add_kept(&mut collected);
                return Ok(collected);
            }
        }
        // An empty list that may be forbidden does not prove that all was read.
        if collected.permitted == Some(true) {
            if changed.complete {
                ledger.caught_up();
            }
            if self.fill.as_ref().is_some_and(Fill::is_complete) {
                ledger.filled_up();
                self.fill = None;
            }
        }
        let finished = changed.error.or(fill_error);
        if finished.is_none() && ledger.is_whole() {
            lookup::look_up(session, ledger).await;
        }
        self.save().await;
        // The numbers are whole as far as is known; that it failed is said all the same.
        collected.parts.extend(late.error.map(|error| ("late", Part::Failed(error))));
        self.add_parts(&mut collected, live.err(), finished);
        Ok(collected)
    }

    /// What the server purged while the agent was away is lost, which is said.
    /// That is known before the walk closes over it only.
    async fn check_gap(&mut self, session: &Session) -> Result<(), Error> {
        let Some(ledger) = self.ledger.as_mut().filter(|ledger| ledger.is_far_behind()) else {
            return Ok(());
        };
        let oldest = match walks::oldest_success(session).await {
            Err(error) if error.kind() != ErrorKind::BadRequest => return Err(error),
            oldest => oldest.ok().flatten(),
        };
        let Some(oldest) = oldest else { return Ok(()) };
        let lost = ledger.oldest(oldest);
        if !lost.is_zero() {
            tracing::warn!(
                site = session.client().site(),
                seconds = lost.as_secs(),
                "a gap: jobs that ended in this time may be uncounted, since the server has purged what ended before; keep the agent's outages shorter than KEEP_JOBS_HOURS"
            );
        }
        Ok(())
    }

    async fn save(&mut self) {
        if let (Some(ledger), Some(store)) = (&mut self.ledger, &mut self.store) {
            store.save(ledger).await;
        }
    }

    /// A cycle that failed altogether: what is known by heart goes on.
    fn unreachable(&self, error: Error) -> Result<Collected, Error> {
        if self.ledger.is_none() {
            return Err(error);
        }
        let mut collected = Collected::default();
        collected.parts.push(("live", Part::Failed(error)));
        collected.parts.push(("finished", Part::Kept));
        self.add_kept(&mut collected);
        Ok(collected)
    }

    fn add_parts(&self, collected: &mut Collected, live: Option<Error>, finished: Option<Error>) {
        let Some(ledger) = &self.ledger else { return };
        let fresh = |samples: Option<Samples>| samples.map_or(Part::Kept, Part::Fresh);
        let samples = || ledger.live_samples(&self.actions, self.collectors.long_running_after);
        let live = live.map_or_else(|| fresh(samples()), Part::Failed);
        let samples = || ledger.window_samples(&self.actions);
        let finished = finished.map_or_else(|| fresh(samples()), Part::Failed);
        collected.parts.extend([("live", live), ("finished", finished)]);
        self.add_kept(collected);
    }

    /// What does not depend on whether the server answers.
    fn add_kept(&self, collected: &mut Collected) {
        let Some(ledger) = &self.ledger else { return };
        if let Some(store) = self.store.as_ref().filter(|store| !store.is_read()) {
            // Others of before will be shown: these would be a reset, and its end a jump.
            let mut own = Samples::new();
            store.record(&mut own);
            collected.parts.push(("ledger", Part::Fresh(own)));
            return;
        }
        if let Some((samples, origin)) = ledger.total_samples(&self.actions) {
            collected.parts.push(("totals", Part::Totals(samples, origin)));
        }
        if let Some((samples, origin)) = ledger.last_samples(&self.actions) {
            collected.parts.push(("names", Part::Totals(samples, origin)));
        }
        let filled = self.fill.as_ref().map_or(1.0, Fill::progress);
        let mut own = ledger.own_samples(filled);
        if let Some(store) = &self.store {
            store.record(&mut own);
        }
        collected.parts.push(("ledger", Part::Fresh(own)));
    }
}

fn new_ledger(now: i64, window: Duration, collectors: &super::Config) -> Ledger {
    let mut ledger = Ledger::new(now, window, SystemTime::now());
    ledger.select(&collectors.per_client, &collectors.per_policy);
    ledger
}

/// The two questions of a cycle, beside each other, so that neither waits for the other's failure;
/// and the look for late rows, where it is due.
async fn hear(session: &Session, ledger: &mut Ledger, key: &mut Key) -> Heard {
    let (from, span) = ledger.to_walk();
    let shared = Shared::new(ledger);
    let finished = async {
        let mut changed = walks::changed(session, &shared, *key, from).await;
        if changed.is_rejected() && *key == Key::LastUpdate {
            *key = Key::End;
            tracing::warn!(
                site = session.client().site(),
                "the server does not take a filter on lastUpdateTime: jobs are asked for by endTime, and one that ends with an end more than ten minutes back may be missed"
            );
            changed = walks::changed(session, &shared, *key, from).await;
        }
        let mut late = Walked::default();
        if let Some(span) = span.filter(|_| changed.error.is_none()) {
            late = walks::late(session, &shared, *key, span).await;
        }
        (changed, late)
    };
    let (live, (changed, late)) = tokio::join!(walks::live(session), finished);
    Heard { live, changed, late }
}
