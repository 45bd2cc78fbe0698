//! The last results of one name and one job type. Two of them merge into what one would be that had
//! seen the jobs of both, in any order: everything is a maximum, or a set.

use std::collections::BTreeSet;

use crate::jobs::completion::{Completion, Outcome};

/// Consecutive failures that are counted, exactly in whatever order jobs come: a bound on memory.
pub(super) const MOST_FAILURES: usize = 256;

/// Order of completions: by the end of the job, and if two ended at once, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Completed {
    pub(super) end: i64,
    pub(super) job_id: i64,
    pub(super) tries: i64,
}

/// A job without children that did what it should, in part at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Done {
    pub(super) at: Completed,
    pub(super) start: Option<i64>,
    pub(super) kilobytes: i64,
}

impl Done {
    pub(super) fn bytes(&self) -> Option<f64> {
        (self.kilobytes >= 0).then_some(self.kilobytes as f64 * 1024.0)
    }

    /// Returns its duration, seconds.
    pub(super) fn duration(&self) -> Option<f64> {
        let took = self.at.end.checked_sub(self.start?)?;
        (took >= 0).then_some(took as f64 / 1000.0)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LastResult {
    /// Newest end of a job with status 0.
    pub(super) success: Option<i64>,
    /// Newest end of a job that failed.
    pub(super) failure: Option<i64>,
    /// The job that ended last, with its status.
    pub(super) ended: Option<(Completed, Option<i64>)>,
    /// The last one that was done, of those without children.
    pub(super) done: Option<Done>,
    /// Jobs without children that failed after `done`; the newest of them.
    pub(super) failures: BTreeSet<Completed>,
}

impl LastResult {
    pub(super) fn of(job: &Completion<'_>) -> Self {
        let outcome = Outcome::of(job.status);
        let end_if = |wanted| (outcome == wanted).then_some(job.end);
        let at = Completed { end: job.end, job_id: job.job_id, tries: job.tries };
        let mut last = Self {
            success: end_if(Outcome::Success),
            failure: end_if(Outcome::Failure).or(end_if(Outcome::Missed)),
            ended: Some((at, job.status)),
            ..Self::default()
        };
        match outcome {
            _ if !job.leaf => {}
            Outcome::Success | Outcome::Partial => {
                last.done = Some(Done { at, start: job.start, kilobytes: job.kilobytes });
            }
            Outcome::Failure | Outcome::Missed => {
                last.failures.insert(at);
            }
            Outcome::Cancelled | Outcome::NothingToDo => {}
        }
        last
    }

    /// Merges with other results. Returns whether anything changed.
    pub(super) fn merge(&mut self, other: &Self) -> bool {
        let mut news = raise(&mut self.success, other.success)
            | raise(&mut self.failure, other.failure)
            | raise(&mut self.ended, other.ended)
            | raise(&mut self.done, other.done);
        let since = self.done.map(|done| done.at);
        if news {
            self.failures.retain(|at| Some(*at) > since);
        }
        for at in other.failures.iter().rev().filter(|at| Some(**at) > since) {
            let full = self.failures.len() >= MOST_FAILURES;
            if full && self.failures.first().is_some_and(|oldest| at < oldest) {
                break;
            }
            news |= self.failures.insert(*at);
            if self.failures.len() > MOST_FAILURES {
                self.failures.pop_first();
            }
        }
        news
    }

    /// Drops what ended after `limit`. Returns whether there was any.
    pub(super) fn drop_after(&mut self, limit: i64) -> bool {
        let before = self.failures.len();
        self.failures.retain(|at| at.end <= limit);
        let failures = self.failures.len() < before;
        let success = self.success.take_if(|end| *end > limit).is_some();
        let failure = self.failure.take_if(|end| *end > limit).is_some();
        let ended = self.ended.take_if(|(at, _)| at.end > limit).is_some();
        let done = self.done.take_if(|done| done.at.end > limit).is_some();
        failures | success | failure | ended | done
    }

    /// Returns when the job that ended last did.
    pub(super) fn end(&self) -> Option<i64> {
        self.ended.map(|(at, _)| at.end)
    }
}

/// Raises a maximum. Returns whether it was raised.
pub(super) fn raise<T: Ord + Copy>(known: &mut Option<T>, new: Option<T>) -> bool {
    let news = new > *known;
    if news {
        *known = new;
    }
    news
}
