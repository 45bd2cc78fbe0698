//! Jobs that run and do not get on: their row tells the same bytes, files, operation and try for long.

use std::collections::HashMap;
use std::time::Duration;

use crate::jobs::live::{ACTIVE, Live, LiveJob};
use crate::jobs::time::ms;

/// Types of jobs that move data all the time while they run (docs/netbackup-api.md#jobs-stalled). Others may stay
/// as they are for days.
const TYPES: [&str; 10] = [
    "BACKUP",
    "ARCHIVE",
    "RESTORE",
    "DUPLICATE",
    "REPLICATE",
    "IMPORT",
    "REPLICA_IMPORT",
    "SNAPDUPE",
    "DBBACKUP",
    "VERIFY",
];

/// A job that did not get on for so long is saved, ms: most do, and need no record.
const SAVED_AFTER: i64 = 600_000;

/// The progress of a job when it was seen last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::jobs) struct Progressed {
    /// A hash of what tells progress.
    pub(in crate::jobs) print: u64,
    /// The server's time since which it is the same, as far as it was seen, Unix ms.
    pub(in crate::jobs) since: i64,
}

#[derive(Debug, Default)]
pub(super) struct Stalls {
    pub(super) jobs: HashMap<i64, Progressed>,
    /// Those that are on disk, or are about to be.
    saved: HashMap<i64, Progressed>,
}

/// Returns whether a live job is one that should get on.
pub(super) fn is_watched(job: &LiveJob) -> bool {
    job.leaf && &*job.state == ACTIVE && TYPES.contains(&&*job.job_type)
}

impl Stalls {
    /// Looks at all live jobs at `now`. Returns the jobs whose record on disk is to change.
    pub(super) fn see(&mut self, live: &Live, now: i64) -> Vec<i64> {
        let before = std::mem::take(&mut self.jobs);
        for (id, job) in live.jobs.iter().filter(|(_, job)| is_watched(job)) {
            let known = before.get(id).filter(|known| known.print == job.print);
            // A clock that was set back does not make a wait longer.
            let since = known.map_or(now, |known| known.since.min(now));
            self.jobs.insert(*id, Progressed { print: job.print, since });
        }
        let mut changed: Vec<i64> = self
            .saved
            .keys()
            .filter(|id| self.jobs.get(id) != self.saved.get(id))
            .copied()
            .collect();
        for id in &changed {
            self.saved.remove(id);
        }
        for (id, job) in &self.jobs {
            if now - job.since >= SAVED_AFTER && self.saved.get(id) != Some(job) {
                self.saved.insert(*id, *job);
                changed.push(*id);
            }
        }
        changed
    }

    /// Returns whether a job has not got on for so long.
    pub(super) fn is_stalled(&self, id: i64, now: i64, after: Duration) -> bool {
        self.jobs.get(&id).is_some_and(|job| now - job.since >= ms(after))
    }

    /// Returns the record of a job; `None` if there is to be none.
    pub(super) fn saved(&self, id: i64) -> Option<Progressed> {
        self.saved.get(&id).copied()
    }

    pub(super) fn all_saved(&self) -> impl Iterator<Item = i64> {
        self.saved.keys().copied()
    }

    pub(super) fn restore(&mut self, id: i64, job: Option<Progressed>) {
        if let Some(job) = job {
            self.jobs.insert(id, job);
            self.saved.insert(id, job);
        } else {
            self.jobs.remove(&id);
            self.saved.remove(&id);
        }
    }
}
