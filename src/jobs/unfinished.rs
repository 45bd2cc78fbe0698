//! Jobs that are remembered although none of the finished jobs tells their present state.

use std::collections::HashMap;

const HOUR: i64 = 3_600_000;

/// A job that was not seen for so long is forgotten, ms.
const FORGET_AFTER: i64 = 7 * 24 * HOUR;

/// A job that was seen unfinished, or whose last completion is no longer remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnfinishedJob {
    /// Tries up to its last completion, 1 if there was none.
    pub(super) tries: u16,
    /// The server's time at which it was seen last, to the hour: so that it is seldom saved.
    pub(super) seen: i64,
    /// It ended, and was removed from the finished jobs: only a later try is another completion.
    pub(super) ended: bool,
}

impl UnfinishedJob {
    /// Returns whether a row with so many tries is a new completion.
    pub(super) fn completes(&self, tries: u16) -> bool {
        !self.ended || tries > self.tries
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct UnfinishedJobs {
    pub(super) by_id: HashMap<i64, UnfinishedJob>,
}

impl UnfinishedJobs {
    /// Records that a job is live at `now`; `tries` are those up to its last completion, if it is new
    /// here. Returns whether anything changed.
    pub(super) fn see(&mut self, id: i64, tries: u16, now: i64) -> bool {
        let before = self.by_id.get(&id).copied();
        let tries = before.map_or(tries, |before| before.tries);
        let job = UnfinishedJob { tries, seen: now - now.rem_euclid(HOUR), ended: false };
        let changed = before != Some(job);
        if changed {
            self.by_id.insert(id, job);
        }
        changed
    }

    /// Remembers the tries of a job that is removed from the finished ones. Returns whether it was not
    /// here already, as one that was resumed is.
    pub(super) fn remember_tries(&mut self, id: i64, tries: u16, now: i64) -> bool {
        let new = !self.by_id.contains_key(&id);
        if new {
            self.by_id.insert(id, UnfinishedJob { tries, seen: now, ended: true });
        }
        new
    }

    /// Forgets the jobs that were not seen for long, and returns their numbers.
    pub(super) fn forget_old(&mut self, now: i64) -> Vec<i64> {
        let is_old = |job: &mut UnfinishedJob| now - job.seen >= FORGET_AFTER;
        self.by_id.extract_if(|_, job| is_old(job)).map(|(id, _)| id).collect()
    }

    /// Returns whether a job was live within the last two hours.
    pub(super) fn any_live_lately(&self, now: i64) -> bool {
        self.by_id.values().any(|job| !job.ended && job.seen > now - 2 * HOUR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_keeps_its_tries_and_changes_once_an_hour() {
        let mut jobs = UnfinishedJobs::default();
        assert!(jobs.remember_tries(1, 3, 10 * HOUR));
        assert!(!jobs.by_id[&1].completes(3) && jobs.by_id[&1].completes(4));
        assert!(jobs.see(1, 1, 10 * HOUR), "it is live again");
        assert!(!jobs.see(1, 1, 10 * HOUR + 1), "the same hour");
        assert!(!jobs.remember_tries(1, 1, 10 * HOUR), "it is here");
        assert_eq!(jobs.by_id[&1].tries, 3);
        assert!(jobs.any_live_lately(11 * HOUR) && !jobs.any_live_lately(13 * HOUR));
    }

    #[test]
    fn job_is_forgotten_a_week_after_it_was_seen() {
        let mut jobs = UnfinishedJobs::default();
        jobs.see(1, 1, HOUR);
        jobs.see(2, 1, 2 * HOUR);
        assert_eq!(jobs.forget_old(HOUR + FORGET_AFTER - 1), Vec::<i64>::new());
        assert_eq!(jobs.forget_old(HOUR + FORGET_AFTER), [1]);
        assert_eq!(jobs.by_id.into_keys().collect::<Vec<_>>(), [2]);
    }
}
