//! The interface of a collector, and its row in the table of resources.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::de::IgnoredAny;

use crate::jobs::NameFilterConfig;
use crate::metric::{Definition, Samples, SeriesGroups};
use crate::netbackup::{ApiVersion, Error, Permission, Query, Resource, Session};
use crate::slp::Links;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cadence {
    EveryPoll,
    /// Reused for `server.cacheTTL`: it changes slowly.
    Slow,
    /// Reused for so many times `server.cacheTTL`.
    Every(u32),
}

/// A resource and its collector: a row of the table.
pub struct Row {
    /// Name in labels, logs and the log line of an error.
    pub name: &'static str,
    /// The first resource that it reads, with the permission that it needs.
    pub resource: &'static Resource,
    /// Further resources with a permission of their own; without it, a part of what it tells is missing.
    pub also: &'static [&'static Resource],
    pub cadence: Cadence,
    /// The requests of one run, for people who look after the server.
    pub requests: &'static str,
    /// Its success makes `nbu_up`, and its age `nbu_last_scrape_timestamp_seconds`.
    pub core: bool,
    pub metrics: fn() -> Vec<&'static Definition>,
    /// The section of `collectors` whose `enabled` switches it on; none if it always is.
    pub switch: Option<&'static str>,
    pub build: fn(&Settings<'_>) -> Box<dyn Collector>,
    /// Returns whether its settings are the same in both, so that a reload does not touch it.
    pub same: fn(&Settings<'_>, &Settings<'_>) -> bool,
}

impl Cadence {
    /// Returns the time between two runs, for people.
    pub fn described(self) -> String {
        match self {
            Self::EveryPoll => "`server.collectionInterval`".to_owned(),
            Self::Slow => "`server.cacheTTL`".to_owned(),
            Self::Every(times) => format!("{times} x `server.cacheTTL`"),
        }
    }
}

impl Row {
    /// Returns what the role of the key must permit for it.
    pub fn permissions(&self) -> impl Iterator<Item = Permission> {
        let all = std::iter::once(&self.resource).chain(self.also);
        all.filter_map(|resource| resource.permission)
    }

    pub fn is_enabled(&self, config: &Config) -> bool {
        self.switch.is_none_or(|switch| config.is_on(switch))
    }

    /// Returns whether nobody asked for it: it is tried, and left out where the role of the key does not
    /// permit it.
    pub fn is_tried(&self, config: &Config) -> bool {
        self.switch.is_some_and(|switch| config.tried.contains(switch))
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The configuration of all collectors, the same for all sites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Renames job types on the way out (`DUPLICATE` to `DUPLICATION`, say).
    pub action_names: BTreeMap<String, String>,
    /// The switches that are on, as the file names them. One may be that of several rows.
    pub switched_on: BTreeSet<String>,
    /// The switches that are on because the file does not name them.
    pub tried: BTreeSet<String>,
    pub per_client: NameFilterConfig,
    pub per_policy: NameFilterConfig,
    pub per_workload: NameFilterConfig,
    pub long_running_after: Duration,
    pub stalled_after: Duration,
    /// Time between two audits of the job ledger; none if it is not audited.
    pub audit_interval: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            action_names: BTreeMap::new(),
            switched_on: BTreeSet::new(),
            tried: BTreeSet::new(),
            per_client: NameFilterConfig::default(),
            per_policy: NameFilterConfig::default(),
            per_workload: NameFilterConfig::default(),
            long_running_after: Self::LONG_RUNNING_AFTER,
            stalled_after: Self::STALLED_AFTER,
            audit_interval: Some(Self::AUDIT_INTERVAL),
        }
    }
}

impl Config {
    pub const LONG_RUNNING_AFTER: Duration = Duration::from_secs(12 * 3600);
    pub const STALLED_AFTER: Duration = Duration::from_secs(3600);
    pub const AUDIT_INTERVAL: Duration = Duration::from_secs(3600);

    /// Returns whether a switch is on.
    pub fn is_on(&self, switch: &str) -> bool {
        self.switched_on.contains(switch) || self.tried.contains(switch)
    }
}

/// All settings of collectors.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'c> {
    pub collectors: &'c Config,
    /// The job window.
    pub window: Duration,
    pub state: Option<&'c crate::state::StateDir>,
    /// Knowledge about images under an SLP that collectors share.
    pub links: &'c Links,
}

/// A fetch and a pure fold. One instance per site, owned by its poller; it may remember what it read.
#[async_trait]
pub trait Collector: Send {
    /// Reads from the server and folds the answers. Dropped at the collector's deadline: what must
    /// survive that is kept in `self` as it comes. Fails if nothing at all could be collected; parts that
    /// failed are in [`Collected`].
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error>;

    /// Returns the API version since which servers have the resource; `None` if all supported ones have
    /// it. An older server is not asked.
    fn since(&self) -> Option<ApiVersion> {
        None
    }

    /// Applies other settings, and keeps what it remembers as far as that is still true. Called between
    /// two runs, and only if [`Row::same`] tells the settings apart.
    fn reconfigure(&mut self, _settings: &Settings<'_>) {}

    /// Returns whether the key's role may see `resource`, the row's own, by one small request; `None` if
    /// the server does not tell. Fails if it may not, or the server could not be asked.
    async fn permitted(
        &mut self,
        session: &Session,
        resource: &'static Resource,
    ) -> Result<Option<bool>, Error> {
        session.get(resource, &Query::all().limited(1)).await?.list::<IgnoredAny>()?;
        Ok(Some(true))
    }
}

#[derive(Debug, Default)]
pub struct Collected {
    /// Samples by part. Parts fail, age and vanish separately; one that a run does not name is gone.
    pub parts: Vec<(&'static str, Part)>,
    /// The key's role may see the resource; `None` if the API does not tell.
    pub permitted: Option<bool>,
    /// There is more to read than one run should take: another run follows at once.
    pub unfinished: bool,
}

#[derive(Debug)]
pub enum Part {
    Fresh(Samples),
    /// Series in groups.
    Groups(SeriesGroups),
    /// Series in groups, and the origin of the totals among them.
    Totals(SeriesGroups, SystemTime),
    /// It failed: its last samples are exported until they are stale.
    Failed(Error),
    /// Nothing is known that is newer than its last samples, and nothing is wrong.
    Kept,
}

impl Collected {
    /// Returns a run with one part.
    pub fn whole(samples: Samples) -> Self {
        Self {
            parts: vec![("all", Part::Fresh(samples))],
            permitted: Some(true),
            unfinished: false,
        }
    }
}
