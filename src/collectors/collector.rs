//! The interface of a collector, and its row in the table of resources.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::de::IgnoredAny;

use super::config::Config;
use crate::metric::{Definition, Samples};
use crate::netbackup::{ApiVersion, Error, Query, Resource, Session};

/// The interval at which a collector runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cadence {
    /// At every poll.
    EveryPoll,
    /// Reused for `server.cacheTTL`: it changes slowly.
    Slow,
}

/// A resource and its collector: a row of the table.
pub struct Row {
    /// Name in labels, logs and the log line of an error.
    pub name: &'static str,
    /// The first resource that it reads, with the permission that it needs.
    pub resource: &'static Resource,
    /// The interval at which it runs.
    pub cadence: Cadence,
    /// Its success makes `nbu_up`, and its age `nbu_last_scrape_timestamp_seconds`.
    pub core: bool,
    /// Returns its metrics.
    pub metrics: fn() -> Vec<&'static Definition>,
    /// Returns whether the configuration enables it.
    pub enabled: fn(&Config) -> bool,
    /// Creates the collector of one site.
    pub build: fn(&Settings<'_>) -> Box<dyn Collector>,
    /// Returns whether a collector has the same settings in both: see `same`.
    pub same: fn(&Settings<'_>, &Settings<'_>) -> bool,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All settings of collectors.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'c> {
    /// The configuration.
    pub collectors: &'c Config,
    /// The job window.
    pub window: Duration,
    /// The state directory, if there is one.
    pub state: Option<&'c crate::state::StateDir>,
}

/// The settings that a collector depends on. A reload that leaves them equal does not touch it.
pub(crate) trait CollectorSettings: PartialEq {
    /// Returns them from all settings.
    fn of(all: &Settings<'_>) -> Self;
}

/// No settings.
impl CollectorSettings for () {
    fn of(_: &Settings<'_>) -> Self {}
}

/// Returns whether the settings of a collector are the same in both.
pub(super) fn same<S: CollectorSettings>(one: &Settings<'_>, other: &Settings<'_>) -> bool {
    S::of(one) == S::of(other)
}

/// A fetch and a pure fold. One instance per site, owned by the site's poller; it may remember what
/// it read.
#[async_trait]
pub trait Collector: Send {
    /// Reads from the server and folds the answers. Dropped at the collector's deadline: what must
    /// survive that is kept in `self` as it comes.
    ///
    /// # Errors
    ///
    /// If nothing at all could be collected. Parts that failed are in [`Collected`].
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
    /// the server does not tell.
    ///
    /// # Errors
    ///
    /// If it may not, or the server could not be asked.
    async fn permitted(
        &mut self,
        session: &Session,
        resource: &'static Resource,
    ) -> Result<Option<bool>, Error> {
        session.get(resource, &Query::all().limited(1)).await?.list::<IgnoredAny>()?;
        Ok(Some(true))
    }
}

/// The results of one run of a collector.
#[derive(Debug, Default)]
pub struct Collected {
    /// Samples by part. Parts fail, age and vanish separately; one that a run does not name is gone.
    pub parts: Vec<(&'static str, Part)>,
    /// The key's role may see the resource; `None` if the API does not tell.
    pub permitted: Option<bool>,
    /// There is more to read than one run should take: another run follows at once.
    pub unfinished: bool,
}

/// The result of one part of a collector.
#[derive(Debug)]
pub enum Part {
    /// Samples of now.
    Fresh(Samples),
    /// Totals of now, and their origin.
    Totals(Samples, SystemTime),
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
