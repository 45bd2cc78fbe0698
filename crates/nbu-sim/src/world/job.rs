//! Script of a job: everything that will ever happen to it, fixed at its arrival. The row of the job
//! at an instant is a pure function of the script and the instant.

use crate::model::{JobKind, JobState, KINDS};

/// No parent.
pub(crate) const ROOT: u32 = u32::MAX;

/// Change of a job's row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Time of the change, in milliseconds after the job was created (49 days fit).
    pub(crate) delta: u32,
    /// The status code that the row carries from here on.
    pub(crate) status: u16,
    /// The state from here on.
    pub(crate) state: JobState,
    /// The try from here on; the first is 1.
    pub(crate) attempt: u8,
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
    /// Milliseconds after `created` at which the first child arrived; the next ones follow, one a second.
    pub(crate) first_child: u32,
    /// Files at the end.
    pub(crate) files: u32,
    /// dedupRatio in percent.
    pub(crate) dedup: f32,
    /// Index of the client.
    pub(crate) client: u32,
    /// Milliseconds by which this job's changes show late in lists.
    pub(crate) delay: u32,
    /// Index of the policy.
    pub(crate) policy: u16,
    /// Index of the storage unit.
    pub(crate) unit: u16,
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
}

/// Row of a job at an instant. Times are world time in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) state: JobState,
    pub(crate) status: u16,
    pub(crate) attempt: u8,
    /// The last change of the row.
    pub(crate) updated: i64,
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

impl Job {
    pub(crate) fn kind(&self) -> &'static JobKind {
        &KINDS[usize::from(self.kind)]
    }

    pub(crate) fn is_leaf(&self) -> bool {
        self.children == 0
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
            before = Some(step.state);
        }
        let active_ms = active_from.map_or(0, |from| active_to.unwrap_or(at) - from);
        let progress = self.progress(script, past, current, active_ms);
        let mut updated = self.at(current);
        if tick > 0 && current.state == JobState::Active {
            updated += (at - updated) / tick * tick;
        }
        Some(Look {
            state: current.state,
            status: current.status,
            attempt: current.attempt,
            updated,
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
