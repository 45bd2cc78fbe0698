//! Jobs that a test starts itself: many that end in the same millisecond, or with values that no server
//! should send and some do.

use std::time::Duration;

use super::job::{Job, ROOT, Step};
use crate::clock::millis;
use crate::model::JobState;

/// Deviations of a job from the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oddity {
    /// Milliseconds by which the endTime is later than the end.
    pub(crate) end_ahead_ms: i64,
    /// numberOfFiles, where it is negative.
    pub(crate) files: Option<i64>,
}

/// Backup jobs that start together and end together, with one startTime, endTime and lastUpdateTime.
///
/// ```
/// use nbu_sim::Batch;
/// use std::time::Duration;
/// let burst = Batch::of(5_300).running_for(Duration::from_secs(30));
/// let fast_clock = Batch::of(1).end_ahead(Duration::from_secs(3600)).client(3);
/// let broken = Batch::of(1).kilobytes(-5).files(-7).status(13);
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    count: usize,
    runs: Duration,
    status: u16,
    client: u32,
    policy: u16,
    kilobytes: i64,
    files: i64,
    end_ahead: Duration,
    late: Duration,
}

impl Batch {
    /// So many jobs, which succeed after a minute: those of the first client and the first policy.
    pub fn of(count: usize) -> Self {
        Self {
            count,
            runs: Duration::from_secs(60),
            status: 0,
            client: 0,
            policy: 0,
            kilobytes: 1024,
            files: 16,
            end_ahead: Duration::ZERO,
            late: Duration::ZERO,
        }
    }

    /// Sets the time from the start to the end: 49 days at most.
    #[must_use]
    pub fn running_for(self, runs: Duration) -> Self {
        Self { runs, ..self }
    }

    /// Sets the status with which they end.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Sets the client, counted from 0: less than [`crate::Settings::clients`].
    #[must_use]
    pub fn client(self, client: u32) -> Self {
        Self { client, ..self }
    }

    /// Sets the policy, counted from 0: less than [`crate::Settings::policies`].
    #[must_use]
    pub fn policy(self, policy: u16) -> Self {
        Self { policy, ..self }
    }

    /// Sets kilobytesTransferred at the end; may be negative.
    #[must_use]
    pub fn kilobytes(self, kilobytes: i64) -> Self {
        Self { kilobytes, ..self }
    }

    /// Sets numberOfFiles at the end; may be negative.
    #[must_use]
    pub fn files(self, files: i64) -> Self {
        Self { files, ..self }
    }

    /// Lets the endTime be later than the end, as a media server's clock that is ahead writes it.
    #[must_use]
    pub fn end_ahead(self, end_ahead: Duration) -> Self {
        Self { end_ahead, ..self }
    }

    /// Lets each change show in lists so much later.
    #[must_use]
    pub fn late(self, late: Duration) -> Self {
        Self { late, ..self }
    }

    pub(crate) fn jobs(&self) -> usize {
        self.count
    }

    pub(crate) fn oddity(&self) -> Option<Oddity> {
        let oddity = Oddity {
            end_ahead_ms: millis(self.end_ahead),
            files: (self.files < 0).then_some(self.files),
        };
        (oddity.end_ahead_ms != 0 || oddity.files.is_some()).then_some(oddity)
    }

    /// Each of the jobs, as one that arrives at world time `now`; its steps are added to the world's.
    pub(crate) fn job(&self, now: i64, steps: &mut Vec<Step>) -> Job {
        let created = now - now.rem_euclid(1000);
        let delta = |after: i64| u32::try_from(now - created + after).unwrap_or(u32::MAX);
        let step = |after, state, status| Step { delta: delta(after), status, state, attempt: 1 };
        let first = steps.len();
        steps.push(Step { delta: 0, status: 0, state: JobState::Queued, attempt: 1 });
        steps.push(step(0, JobState::Active, 0));
        steps.push(step(millis(self.runs), JobState::Done, self.status));
        Job {
            created,
            kilobytes: self.kilobytes,
            steps: u32::try_from(first).unwrap_or(u32::MAX),
            parent: ROOT,
            first_child: 0,
            files: u32::try_from(self.files.max(0)).unwrap_or(u32::MAX),
            dedup: 0.0,
            client: self.client,
            delay: u32::try_from(millis(self.late)).unwrap_or(u32::MAX),
            policy: self.policy,
            unit: 0,
            children: 0,
            step_count: 3,
            kind: 0,
            schedule: 1,
            queue_reason: 0,
        }
    }
}
