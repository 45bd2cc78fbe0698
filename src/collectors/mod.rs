//! The one table of NetBackup resources. One file a resource, one row each.

mod alerts;
mod catalog;
mod counts;
mod disk_pools;
mod jobs;
mod malware;
mod slo;
mod storage;
mod tape_drives;
mod tape_media;
mod tape_pools;
mod tape_robots;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::de::IgnoredAny;

use crate::metric::{Definition, Samples};
use crate::netbackup::{ApiVersion, Error, Query, Resource, Session};

pub use crate::jobs::{NameFilter, NameFilterConfig, Subject};

/// What is collected, the same for all sites.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of the file")]
pub struct Config {
    /// Renames job types on the way out (`DUPLICATE` to `DUPLICATION`, say).
    pub action_names: BTreeMap<String, String>,
    /// `/manage/alerts`.
    pub alerts: bool,
    /// Malware scan results.
    pub malware: bool,
    /// Catalogue images by malware and anomaly status.
    pub catalog: bool,
    /// Service level objectives.
    pub slo: bool,
    /// Tape drives, media, robots, pools, and volumes of disk pools.
    pub tape: bool,
    /// Which clients have metrics of their own.
    pub per_client: NameFilterConfig,
    /// Which policies have metrics of their own.
    pub per_policy: NameFilterConfig,
    /// A job that has been active for longer than this runs long.
    pub long_running_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            action_names: BTreeMap::new(),
            alerts: false,
            malware: false,
            catalog: false,
            slo: false,
            tape: false,
            per_client: NameFilterConfig::default(),
            per_policy: NameFilterConfig::default(),
            long_running_after: Self::LONG_RUNNING_AFTER,
        }
    }
}

impl Config {
    /// When a job runs long, where the configuration does not say.
    pub const LONG_RUNNING_AFTER: Duration = Duration::from_secs(12 * 3600);
}

/// How often a resource is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cadence {
    /// At every poll.
    EveryPoll,
    /// Reused for `server.cacheTTL`: it changes slowly.
    Slow,
}

/// One resource: the row of the table.
pub struct Row {
    /// Name in labels, logs and the log line of an error.
    pub name: &'static str,
    /// What it asks for first; the permission that it needs is there.
    pub resource: &'static Resource,
    /// How often.
    pub cadence: Cadence,
    /// Whether its success makes `nbu_up`, and its age `nbu_last_scrape_timestamp_seconds`.
    pub core: bool,
    /// What it declares.
    pub metrics: fn() -> Vec<&'static Definition>,
    /// Whether the configuration wants it.
    pub enabled: fn(&Config) -> bool,
    /// Makes the collector of one site.
    pub build: fn(&Settings<'_>) -> Box<dyn Collector>,
    /// Whether a collector notices no difference between the two.
    pub same: fn(&Settings<'_>, &Settings<'_>) -> bool,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// What a collector is built from.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'c> {
    /// What is collected.
    pub collectors: &'c Config,
    /// The job window.
    pub window: Duration,
    /// Where what a collector knows outlives the process, if anywhere.
    pub state: Option<&'c crate::state::StateDir>,
}

/// A fetch and a pure fold. One instance a site, owned by the site's poller; it may remember what
/// it saw.
#[async_trait]
pub trait Collector: Send {
    /// Asks the server and folds its answers. Dropped at the collector's deadline: what must
    /// survive that is kept in `self` as it comes.
    ///
    /// # Errors
    ///
    /// Where nothing at all could be collected. What failed in part is in [`Collected`].
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error>;

    /// The API version from which servers have the resource; `None` where all have it that the agent
    /// speaks to. An older server is not asked.
    fn since(&self) -> Option<ApiVersion> {
        None
    }

    /// Takes other settings than it was built from, and keeps what it remembers as far as that is
    /// still true. Called between two runs, and only where [`Row::same`] tells the settings apart.
    fn reconfigure(&mut self, _settings: &Settings<'_>) {}

    /// Whether the role of the key may see `resource`, the row's own, by one small request.
    ///
    /// # Errors
    ///
    /// Where it may not, or the server could not be asked.
    async fn permitted(
        &mut self,
        session: &Session,
        resource: &'static Resource,
    ) -> Result<Option<bool>, Error> {
        session.get(resource, &Query::all().limited(1)).await?.list::<IgnoredAny>()?;
        Ok(Some(true))
    }
}

/// What one run of a collector brought.
#[derive(Debug, Default)]
pub struct Collected {
    /// Samples by part. Parts fail, age and vanish separately; one that a run does not name is gone.
    pub parts: Vec<(&'static str, Part)>,
    /// Whether the role of the key may see the resource; unknown where the API does not tell.
    pub permitted: Option<bool>,
    /// There is more to read than one run should take: it goes on with another one at once.
    pub unfinished: bool,
}

/// What became of one part of a collector.
#[derive(Debug)]
pub enum Part {
    /// Samples of now.
    Fresh(Samples),
    /// Totals of now, and since when they count.
    Totals(Samples, SystemTime),
    /// It failed: its last samples are shown until they are stale.
    Failed(Error),
    /// Nothing is known that is newer than its last samples, and nothing is wrong.
    Kept,
}

impl Collected {
    /// A run with one part.
    pub fn whole(samples: Samples) -> Self {
        Self {
            parts: vec![("all", Part::Fresh(samples))],
            permitted: Some(true),
            unfinished: false,
        }
    }
}

/// Every resource that the agent knows.
pub static TABLE: &[Row] = &[
    jobs::ROW,
    storage::ROW,
    alerts::ROW,
    malware::ROW,
    catalog::ROW,
    slo::ROW,
    tape_drives::ROW,
    tape_media::ROW,
    tape_robots::ROW,
    tape_pools::ROW,
    disk_pools::ROW,
];

/// Everything that the collectors declare.
pub fn definitions() -> Vec<&'static Definition> {
    TABLE.iter().flat_map(|row| (row.metrics)()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateDir;

    #[test]
    fn jobs_notice_where_their_state_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name| StateDir::open(&folder.path().join(name)).unwrap();
        let (one, other, config) = (open("one"), open("other"), Config::default());
        let settings =
            |state| Settings { collectors: &config, window: Duration::from_secs(1), state };
        let row = TABLE.iter().find(|row| row.name == "jobs").unwrap();
        let places = [None, Some(&one), Some(&other)];
        for (at, before) in places.iter().enumerate() {
            for (to, now) in places.iter().enumerate() {
                let same = (row.same)(&settings(*before), &settings(*now));
                assert_eq!(same, at == to, "{before:?} {now:?}");
            }
        }
        assert!((row.same)(&settings(Some(&one)), &settings(Some(&one.clone()))));
    }
}
