//! Jobs: those that ended, each counted once, and those that are live
//! (docs/netbackup-api.md#jobs-changes; docs/adr/0010-job-ledger.md). `cycle` asks by `changes`,
//! `backfill` and `side_queries`, all of which walk lists by `walks`; the ledger counts, `store` keeps it
//! on disk.

mod audit;
mod backfill;
mod changes;
mod cycle;
mod disk;
mod health;
mod lookup;
mod probe;
mod side_queries;
mod store;
mod walks;

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::time::Instant;

use self::backfill::Backfill;
use self::changes::Changes;
use self::side_queries::SideQueries;
use self::store::Store;
use super::{Cadence, Collected, Collector, Part, Row, Settings};
use crate::jobs::audit::Audit;
use crate::jobs::{Actions, Ledger};
use crate::metric::{Definition, Samples};
use crate::netbackup::wire::jobs::JOBS;
use crate::netbackup::{Error, Query, Resource, Session};
use crate::state::StateDir;

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

/// A time without a poll after which the server may have purged jobs that nobody read.
const NO_POLL: Duration = Duration::from_secs(3600);

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
    changes: Changes,
    backfill: Backfill,
    side_queries: SideQueries,
    /// The last cycle proved that the role of the key may see jobs. Without such a proof an empty answer
    /// may be a forbidden one.
    proven: bool,
    directory: Option<StateDir>,
    store: Option<Store>,
    audit: Audit,
    /// When the last cycle began, by our clocks: the one that never jumps, and the one that goes on
    /// while this machine sleeps.
    began: Option<(Instant, SystemTime)>,
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
            ledger.set_window(settings.window);
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
        if probe::any(session, &Query::all().limited(1)).await? {
            Ok(Some(true))
        } else {
            probe::count(session).await
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
            changes: Changes::default(),
            backfill: Backfill::new(),
            side_queries: SideQueries::default(),
            proven: false,
            directory: settings.state.cloned(),
            store: None,
            audit: Audit::default(),
            began: None,
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
                ledger.mark_all_dirty();
            }
        }
        let Some(store) = &mut self.store else { return };
        // The time is the saved one, once it is read.
        let empty = || new_ledger(0, self.window, &self.collectors);
        if let Some(mut ledger) = store.load(empty).await {
            ledger.set_window(self.window);
            ledger.select(&self.collectors.per_client, &self.collectors.per_policy);
            self.ledger = Some(ledger);
            (self.changes, self.backfill, self.side_queries) =
                (Changes::default(), Backfill::new(), SideQueries::default());
            (self.audit, self.began) = (Audit::default(), None);
        }
    }

    fn begin(&mut self, session: &Session, now: i64) {
        let site = session.client().site();
        let empty = || new_ledger(now, self.window, &self.collectors);
        let ledger = self.ledger.get_or_insert_with(empty);
        let last = self.began.replace((Instant::now(), SystemTime::now()));
        let passed = match last {
            Some((began, _)) => began.elapsed(),
            None => ledger.saved_at().and_then(|at| at.elapsed().ok()).unwrap_or_default(),
        };
        let asleep = last.and_then(|(_, at)| at.elapsed().ok()).unwrap_or_default();
        if asleep >= NO_POLL {
            ledger.interrupt();
        }
        if ledger.begin(now, passed) {
            self.changes.clock_was_set_back();
            tracing::warn!(
                site,
                "the server's clock was set back; reading changes since the last poll with a \
                 larger overlap"
            );
        }
    }

    async fn save(&mut self) {
        if let (Some(ledger), Some(store)) = (&mut self.ledger, &mut self.store) {
            store.save(ledger).await;
        }
    }

    /// Returns what goes on where a cycle failed altogether: what is known by heart.
    fn unreachable(&mut self, error: Error) -> Result<Collected, Error> {
        let Some(ledger) = &mut self.ledger else { return Err(error) };
        ledger.interrupt();
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

    /// Adds what does not depend on whether the server answers.
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
        let mut own = ledger.own_samples(self.backfill.ahead());
        self.audit.record(&mut own);
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
