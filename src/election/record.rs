//! The record of a Lease, and where it is kept.

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::config::Config;
use crate::tenure::Moment;

/// The content of a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The agent that has it; none once it was given back.
    pub(super) holder: Option<String>,
    /// The number of the holder's term; none in a Lease that nobody has had.
    pub(super) transitions: Option<u64>,
    /// The time for which the holder has it after a renewal.
    pub(super) duration: Option<Duration>,
    /// Times of day of the holder, for people. They are compared with no clock.
    pub(super) acquired: Option<SystemTime>,
    pub(super) renewed: Option<SystemTime>,
}

impl Record {
    /// Returns that of a Lease that nobody has had.
    pub(super) fn new(config: &Config) -> Self {
        let (holder, transitions, acquired, renewed) = Default::default();
        Self { holder, transitions, duration: Some(config.duration), acquired, renewed }
    }
}

/// A version of a Lease, as the server calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version(pub(super) String);

/// The result of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "kubernetes"), allow(dead_code, reason = "there is nowhere to write"))]
pub(super) enum Written {
    Done(Version),
    /// It has another version by now, or is there or gone against what was expected. Nothing was written.
    Overtaken,
}

/// A request that failed, in one line. A write may have been done all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestError(pub(super) String);

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The place of the Lease.
#[async_trait]
pub(super) trait Leases: fmt::Debug + Send + Sync {
    /// Returns the record and its version; `None` if there is no Lease.
    async fn read(&mut self) -> Result<Option<(Record, Version)>, RequestError>;

    /// Replaces the record of this version, or makes a Lease where there is none.
    async fn write(
        &mut self,
        record: &Record,
        over: Option<&Version>,
    ) -> Result<Written, RequestError>;
}

/// No place: of a build without the feature.
#[cfg(not(feature = "kubernetes"))]
#[derive(Debug)]
pub(super) struct NoLeases;

#[cfg(not(feature = "kubernetes"))]
#[async_trait]
impl Leases for NoLeases {
    async fn read(&mut self) -> Result<Option<(Record, Version)>, RequestError> {
        Err(RequestError("this build has no Kubernetes client".to_owned()))
    }

    async fn write(&mut self, _: &Record, _: Option<&Version>) -> Result<Written, RequestError> {
        Err(RequestError("this build has no Kubernetes client".to_owned()))
    }
}

/// The record as it was last seen, and the moment since when it is known to be so.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) record: Record,
    since: Moment,
}

impl Seen {
    /// Takes over what was read, at a moment after the answer came.
    pub(super) fn update(seen: &mut Option<Self>, record: Record, now: Moment) -> &mut Self {
        match seen {
            Some(seen) if seen.record == record => {}
            _ => *seen = Some(Self { record: record.clone(), since: now }),
        }
        seen.get_or_insert(Self { record, since: now })
    }

    /// Returns the time until the Lease is free: none if it is. `least` is the shortest that anybody holds it: a record may
    /// have no duration, or one that somebody has lowered.
    pub(super) fn until_free(&self, now: Moment, least: Duration) -> Duration {
        if self.record.holder.is_none() {
            return Duration::ZERO;
        }
        let duration = self.record.duration.unwrap_or(least).max(least);
        duration.saturating_sub(now.since(self.since))
    }
}
