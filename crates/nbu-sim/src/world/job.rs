//! Script of a job: everything that will ever happen to it, fixed at its arrival. The row of the job
//! at an instant is a pure function of the script and the instant.

use crate::model::{JobKind, JobState, KINDS, PARENT_OPERATION, SCHEDULES};
use crate::status::{Cause, Ending};

/// No parent.
pub(crate) const ROOT: u32 = u32::MAX;

/// Change of a job's row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Time of the change, in milliseconds after the job was created (49 days fit).
    pub(crate) delta: u32,
    /// The status code that the row carries from here on.
    pub(crate) status: u16,
    /// Index of the storage unit from here on: another try may go elsewhere.
    pub(crate) unit: u16,
    /// The state from here on.
    pub(crate) state: JobState,
    /// The try from here on; the first is 1.
    pub(crate) attempt: u8,
    /// Cause in the world, where `status` tells of a failure.
    pub(crate) cause: Option<Cause>,
}

impl Step {
    /// The end of an attempt that the row tells of from here on.
    pub(crate) fn ending(self) -> Ending {
        Ending { status: self.status, cause: self.cause }
    }
}

/// Success of a backup that is none: its row has status 0, and it cannot be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FalseGreen {
    /// No image was made: the backupId is empty.
    NoImage,
    /// A full backup without any file.
    NoFiles,
    /// Ten times the usual size.
    TenfoldSize,
    /// A tenth of the usual size.
    TenthOfSize,
}

impl FalseGreen {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::NoImage, Self::NoFiles, Self::TenfoldSize, Self::TenthOfSize];

    /// Turns the sizes of a good backup into its own; `files` and `kilobytes`.
    pub(crate) fn distort(self, kilobytes: i64, files: i64) -> (i64, i64) {
        match self {
            Self::NoImage => (kilobytes, files),
            Self::NoFiles => (kilobytes, 0),
            Self::TenfoldSize => (kilobytes.saturating_mul(10), files),
            Self::TenthOfSize => (kilobytes / 10, files),
        }
    }
}

/// A job, packed: a world of a million of them has to fit in memory and start in about a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    /// World time of the arrival in milliseconds, a whole second: startTime.
    pub(crate) created: i64,
    /// Kilobytes at the end; of a parent, the sum of its children.
    pub(crate) kilobytes: i64,
    /// Offset of the first step in the world's steps.
    pub(crate) steps: u32,
    /// Index of the parent in the world's jobs, or [`ROOT`].
    pub(crate) parent: u32,
    /// Milliseconds after `created` at which the first child arrived; the next ones follow, one a second. 0 where
    /// all arrived with the parent.
    pub(crate) first_child: u32,
    /// Files at the end.
    pub(crate) files: u32,
    /// dedupRatio in percent.
    pub(crate) dedup: f32,
    /// Index of the client.
    pub(crate) client: u32,
    /// Index of the machine that is worked for; of most jobs that of the client.
    pub(crate) workload: u32,
    /// Milliseconds by which this job's changes show late in lists.
    pub(crate) delay: u32,
    /// Index of the policy.
    pub(crate) policy: u16,
    /// Seconds of an attempt after which it does nothing any more, while it stays ACTIVE; 0 for never.
    pub(crate) stalls_after: u16,
    /// Direct children.
    pub(crate) children: u16,
    /// Number of steps.
    pub(crate) step_count: u8,
    /// Index into [`KINDS`].
    pub(crate) kind: u8,
    /// Index into the schedules.
    pub(crate) schedule: u8,
    /// jobQueueReason while it waits.
    pub(crate) queue_reason: i8,
    /// Its success is false.
    pub(crate) false_green: Option<FalseGreen>,
}

/// Row of a job at an instant. Times are world time in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) state: JobState,
    pub(crate) status: u16,
    pub(crate) cause: Option<Cause>,
    pub(crate) attempt: u8,
    /// Index of the storage unit of the current or last attempt.
    pub(crate) unit: u16,
    /// The last change of the row.
    pub(crate) updated: i64,
    /// The moment at which the state was entered.
    pub(crate) entered: i64,
    /// The moment from which the attempt has done nothing, where it does nothing now.
    pub(crate) stalled_from: Option<i64>,
    /// The end, once it is DONE.
    pub(crate) ended: Option<i64>,
    /// Start of the current or last attempt.
    pub(crate) active_from: Option<i64>,
    /// Time spent in that attempt, in milliseconds.
    pub(crate) active_ms: i64,
    /// Completed share of the attempt, 0 to 1.
    pub(crate) progress: f64,
    pub(crate) kilobytes: i64,
    pub(crate) files: i64,
}

impl Look {
    /// percentComplete.
    #[allow(clippy::cast_possible_truncation, reason = "0 to 100")]
    pub(crate) fn percent(&self) -> i64 {
        (self.progress * 100.0) as i64
    }

    /// Returns true in the states in which a job waits for its turn.
    pub(crate) fn waits(&self) -> bool {
        matches!(self.state, JobState::Queued | JobState::Requeued)
    }
}

impl Job {
    pub(crate) fn kind(&self) -> &'static JobKind {
        &KINDS[usize::from(self.kind)]
    }

    pub(crate) fn is_leaf(&self) -> bool {
        self.children == 0
    }

    /// scheduleType.
    pub(crate) fn schedule_type(&self) -> &'static str {
        SCHEDULES[usize::from(self.schedule)].1
    }

    /// dedupRatio in percent, which is known at the end: the double that is written as the float is, 12.3 and
    /// not 12.300000190734863.
    pub(crate) fn dedup_ratio(&self, look: &Look) -> f64 {
        if look.state == JobState::Done {
            (f64::from(self.dedup) * 10.0).round() / 10.0
        } else {
            0.0
        }
    }

    /// currentOperation, as the row is.
    pub(crate) fn operation(&self, look: &Look) -> i64 {
        match look.state {
            JobState::Active if self.is_leaf() => self.kind().operation,
            JobState::Active => PARENT_OPERATION,
            _ => 0,
        }
    }

    /// Returns true if its row names a storage unit: it has begun to write, and not by its children.
    pub(crate) fn has_place(&self, look: &Look) -> bool {
        self.is_leaf() && self.kind().writes() && look.active_from.is_some()
    }

    /// The job's own slice of the world's steps.
    pub(crate) fn script<'a>(&self, steps: &'a [Step]) -> &'a [Step] {
        let from = self.steps as usize;
        &steps[from..from + usize::from(self.step_count)]
    }

    /// World time of a step.
    pub(crate) fn at(&self, step: Step) -> i64 {
        self.created + i64::from(step.delta)
    }

    /// World time from which nothing about the job changes any more, in lists too.
    pub(crate) fn settled_at(&self, steps: &[Step]) -> i64 {
        let last = self.script(steps).last().map_or(0, |step| i64::from(step.delta));
        self.created + last + i64::from(self.delay)
    }

    /// Children that exist at `at`.
    pub(crate) fn children_at(&self, at: i64) -> i64 {
        let since = at - self.created - i64::from(self.first_child);
        if self.children == 0 || since < 0 {
            return 0;
        }
        if self.first_child == 0 {
            return i64::from(self.children);
        }
        (since / 1000 + 1).min(i64::from(self.children))
    }

    /// The job at world time `at`; `None` before its arrival. `tick` (milliseconds, 0 for off) is how often
    /// the row of a running job is touched.
    pub(crate) fn look(&self, steps: &[Step], at: i64, tick: i64) -> Option<Look> {
        let script = self.script(steps);
        let past = script.iter().take_while(|step| self.at(**step) <= at).count();
        let current = *script[..past].last()?;
        let mut ended = None;
        let mut active_from = None;
        let mut active_to = None;
        let mut entered = self.created;
        let mut before = None;
        for step in &script[..past] {
            match step.state {
                JobState::Active => (active_from, active_to) = (Some(self.at(*step)), None),
                _ => active_to = active_to.or(Some(self.at(*step))),
            }
            if step.state != JobState::Done {
                ended = None;
            } else if before != Some(JobState::Done) {
                ended = Some(self.at(*step));
            }
            if before != Some(step.state) {
                entered = self.at(*step);
            }
            before = Some(step.state);
        }
        let active_ms = active_from.map_or(0, |from| active_to.unwrap_or(at) - from);
        let stalled_from = active_from
            .filter(|_| self.stalls_after > 0 && current.state == JobState::Active)
            .map(|from| from + 1000 * i64::from(self.stalls_after))
            .filter(|from| *from <= at);
        let moves_until = stalled_from.unwrap_or(at);
        let moved_ms = active_from.map_or(0, |from| active_to.unwrap_or(moves_until) - from);
        let progress = self.progress(script, past, current, moved_ms);
        let mut updated = self.at(current);
        if tick > 0 && current.state == JobState::Active {
            updated += (moves_until - updated) / tick * tick;
        }
        Some(Look {
            state: current.state,
            status: current.status,
            cause: current.cause,
            attempt: current.attempt,
            unit: current.unit,
            updated,
            entered,
            stalled_from,
            ended,
            active_from,
            active_ms,
            progress,
            kilobytes: scale(self.kilobytes, progress),
            files: scale(i64::from(self.files), progress),
        })
    }

    /// Returns the progress of the work: 1 at the final end, the elapsed share of the time while it
    /// runs, 0 before the first attempt, and one half in any other state.
    fn progress(&self, script: &[Step], past: usize, current: Step, active_ms: i64) -> f64 {
        let final_attempt = script.last().is_none_or(|last| last.attempt == current.attempt);
        match current.state {
            JobState::Done if final_attempt => 1.0,
            JobState::Queued if current.attempt <= 1 => 0.0,
            JobState::Active => {
                let from = self.at(current);
                let to = script.get(past).map_or(from, |next| self.at(*next));
                if to > from {
                    (active_ms as f64 / (to - from) as f64).clamp(0.0, 1.0)
                } else {
                    0.0
                }
            }
            _ => 0.5,
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a share of a number that fits")]
fn scale(total: i64, share: f64) -> i64 {
    // Exact at the end: a float would lose the low digits of a large total.
    if share >= 1.0 { total } else { (total as f64 * share) as i64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_small_enough_for_worlds_of_a_million() {
        assert!(size_of::<Job>() <= 64, "{}", size_of::<Job>());
        assert!(size_of::<Step>() <= 12, "{}", size_of::<Step>());
    }
}
