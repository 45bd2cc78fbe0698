//! Jobs: finished ones, each counted once, and live ones (docs/netbackup-api.md#jobs-changes;
//! docs/adr/0010-job-ledger.md). `cycle` runs the incremental and late walks of `changes`, the
//! `backfill` and the `side_queries`; the ledger counts, `store` keeps it on disk.

mod audit;
mod backfill;
mod backup_sizes;
mod changes;
mod cycle;
mod disk;
mod health;
mod lookup;
mod queries;
mod side_queries;
mod status_texts;
mod store;
mod walks;

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::time::Instant;

use self::backfill::Backfill;
use self::backup_sizes::BackupSizes;
use self::changes::Changes;
use self::side_queries::SideQueries;
use self::status_texts::StatusTexts;
use self::store::Store;
use super::collector::{Cadence, Collected, Collector, Part, Row, Settings};
use crate::jobs::audit::Audit;
use crate::jobs::{Actions, Ledger, NameFilterConfig};
use crate::metric::{Definition, Samples};
use crate::netbackup::wire::jobs::JOBS;
use crate::netbackup::{Error, Query, Resource, Session};
use crate::state::StateDir;

pub(super) const ROW: Row = Row {
    name: "jobs",
    resource: &JOBS,
    also: &[],
    cadence: Cadence::EveryPoll,
    requests: "about 7; the first fill 1 for 100 jobs of the window",
    core: true,
    metrics,
    switch: None,
    build: |settings| Box::new(Jobs::new(JobSettings::of(settings), sizes_for(settings))),
    same: |one, other| JobSettings::of(one) == JobSettings::of(other),
};

/// A time without a poll after which the server may have purged jobs that nobody read.
const NO_POLL: Duration = Duration::from_secs(3600);

fn metrics() -> Vec<&'static Definition> {
    let mut all = crate::jobs::definitions();
    all.extend(health::definitions());
    all
}

#[derive(Debug, Clone, PartialEq)]
struct JobSettings {
    window: Duration,
    actions: Actions,
    long_running_after: Duration,
    stalled_after: Duration,
    audit_interval: Option<Duration>,
    per_client: NameFilterConfig,
    per_policy: NameFilterConfig,
    per_workload: NameFilterConfig,
    /// The backlog of SLPs is collected.
    slp: bool,
    state: Option<StateDir>,
}

/// Returns the receiver of sizes of backups, if the backlog of SLPs is collected.
fn sizes_for(settings: &Settings<'_>) -> Option<BackupSizes> {
    super::slp::IMAGES_ROW
        .is_enabled(settings.collectors)
        .then(|| BackupSizes::new(&settings.links.sizes))
}

impl JobSettings {
    fn of(all: &Settings<'_>) -> Self {
        let config = all.collectors;
        Self {
            window: all.window,
            actions: Actions(config.action_names.clone()),
            long_running_after: config.long_running_after,
            stalled_after: config.stalled_after,
            audit_interval: config.audit_interval,
            per_client: config.per_client.clone(),
            per_policy: config.per_policy.clone(),
            per_workload: config.per_workload.clone(),
            slp: super::slp::IMAGES_ROW.is_enabled(config),
            state: all.state.cloned(),
        }
    }

    /// Creates an empty ledger that begins at `now`, the server's time.
    fn new_ledger(&self, now: i64) -> Ledger {
        let mut ledger = Ledger::new(now, self.window, SystemTime::now());
        self.select_in(&mut ledger);
        ledger
    }

    fn select_in(&self, ledger: &mut Ledger) {
        ledger.select(&self.per_client, &self.per_policy, &self.per_workload);
    }

    /// Returns whether the same names are selected.
    fn selects_as(&self, other: &Self) -> bool {
        (&self.per_client, &self.per_policy, &self.per_workload)
            == (&other.per_client, &other.per_policy, &other.per_workload)
    }
}

struct Jobs {
    settings: JobSettings,
    ledger: Option<Ledger>,
    changes: Changes,
    backfill: Backfill,
    side_queries: SideQueries,
    status_texts: StatusTexts,
    /// The last cycle proved that the role may see jobs. Otherwise an empty answer may be a forbidden one.
    proven: bool,
    store: Option<Store>,
    audit: Audit,
    backup_sizes: Option<BackupSizes>,
    /// The beginning of the last cycle, by our clocks: the one that never jumps, and the one that goes on
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
        self.cycle(session).await.or_else(|error| self.unreachable(error))
    }

    fn reconfigure(&mut self, settings: &Settings<'_>) {
        let before = std::mem::replace(&mut self.settings, JobSettings::of(settings));
        let now = &self.settings;
        if before.slp != now.slp {
            if let Some(sizes) = self.backup_sizes.take() {
                sizes.clear();
            }
            self.backup_sizes = sizes_for(settings);
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.set_window(now.window);
            if !before.selects_as(now) {
                now.select_in(ledger);
            }
        }
    }

    /// Returns whether the role may see jobs. One job is proof; an empty list proves nothing.
    async fn permitted(
        &mut self,
        session: &Session,
        resource: &'static Resource,
    ) -> Result<Option<bool>, Error> {
        debug_assert_eq!(resource, &JOBS);
        if queries::any(session, &Query::all().limited(1)).await? {
            Ok(Some(true))
        } else {
            queries::count_live(session).await
        }
    }
}

impl Jobs {
    fn new(settings: JobSettings, backup_sizes: Option<BackupSizes>) -> Self {
        Self {
            settings,
            ledger: None,
            changes: Changes::default(),
            backfill: Backfill::new(),
            side_queries: SideQueries::default(),
            status_texts: StatusTexts::default(),
            proven: false,
            store: None,
            audit: Audit::default(),
            backup_sizes,
            began: None,
        }
    }

    /// Loads the ledger from disk before anything is asked: its totals continue, whether the server
    /// answers or not. If it cannot be read now, a ledger without totals stands in for it.
    async fn restore(&mut self, session: &Session) {
        let (site, server) = (session.client().site(), session.client().base());
        let settings = &self.settings;
        if self.store.as_ref().map(|store| &store.directory) != settings.state.as_ref() {
            let is_stand_in = self.store.as_ref().is_some_and(|store| !store.read);
            let resumes = self.ledger.is_none() || is_stand_in;
            let directory = settings.state.as_ref();
            self.store = directory.map(|directory| Store::new(directory, site, server, resumes));
            if let Some(ledger) = &mut self.ledger {
                ledger.mark_all_dirty();
            }
        }
        let Some(store) = &mut self.store else { return };
        // The time is the saved one, once it is read.
        if let Some(mut ledger) = store.load(|| settings.new_ledger(0)).await {
            ledger.set_window(settings.window);
            settings.select_in(&mut ledger);
            *self = Self {
                ledger: Some(ledger),
                proven: self.proven,
                store: self.store.take(),
                ..Self::new(self.settings.clone(), self.backup_sizes.take())
            };
        }
    }

    fn begin(&mut self, session: &Session, now: i64) {
        let site = session.client().site();
        let ledger = self.ledger.get_or_insert_with(|| self.settings.new_ledger(now));
        let last = self.began.replace((Instant::now(), SystemTime::now()));
        let passed = match last {
            Some((began, _)) => began.elapsed(),
            None => ledger.saved_at.and_then(|at| at.elapsed().ok()).unwrap_or_default(),
        };
        let asleep = last.and_then(|(_, at)| at.elapsed().ok()).unwrap_or_default();
        if asleep >= NO_POLL {
            ledger.progress.gap.interrupt();
        }
        if ledger.begin(now, passed) {
            self.changes.expect_future_times();
            tracing::warn!(
                site,
                "the server's clock was set back; reading changes since the last poll with a \
                 larger overlap"
            );
        }
    }

    /// Returns the parts of a cycle without the server: totals and last results come from memory.
    fn unreachable(&mut self, error: Error) -> Result<Collected, Error> {
        let Some(ledger) = &mut self.ledger else { return Err(error) };
        ledger.progress.gap.interrupt();
        let parts =
            vec![("live", Part::Failed(error)), ("finished", Part::Kept), ("failures", Part::Kept)];
        let mut collected = Collected { parts, ..Collected::default() };
        self.add_kept(&mut collected);
        Ok(collected)
    }

    fn add_parts(
        &mut self,
        collected: &mut Collected,
        live: Option<Error>,
        finished: Option<Error>,
    ) {
        let Some(ledger) = &mut self.ledger else { return };
        let actions = &self.settings.actions;
        let after = (self.settings.long_running_after, self.settings.stalled_after);
        let live = match live {
            Some(error) => Part::Failed(error),
            None => ledger.live_samples(actions, after).map_or(Part::Kept, Part::Fresh),
        };
        let finished = match finished {
            Some(error) => Part::Failed(error),
            None => ledger.window_samples(actions).map_or(Part::Kept, Part::Groups),
        };
        // What was not read may be the other failures: their share is known when they are.
        let failures = match &finished {
            Part::Groups(_) => ledger.failure_samples().map_or(Part::Kept, Part::Fresh),
            _ => Part::Kept,
        };
        collected.parts.extend([("live", live), ("finished", finished), ("failures", failures)]);
        self.add_kept(collected);
    }

    /// Adds the parts that do not depend on the server.
    fn add_kept(&mut self, collected: &mut Collected) {
        let Some(ledger) = &mut self.ledger else { return };
        let mut own = Samples::new();
        // The saved totals will be exported: others before would be a reset, and its end a jump.
        if self.store.as_ref().is_none_or(|store| store.read) {
            if let Some((groups, origin)) = ledger.total_samples(&self.settings.actions) {
                collected.parts.push(("totals", Part::Totals(groups, origin)));
            }
            if let Some((groups, origin)) = ledger.counter_samples(&self.settings.actions) {
                collected.parts.push(("leaves", Part::Totals(groups, origin)));
            }
            if let Some((groups, origin)) = ledger.last_samples(&self.settings.actions) {
                collected.parts.push(("names", Part::Totals(groups, origin)));
            }
            own = ledger.own_samples(self.backfill.ahead());
            self.audit.record(&mut own);
        }
        if let Some(store) = &self.store {
            store.record(&mut own);
        }
        collected.parts.push(("ledger", Part::Fresh(own)));
    }
}
