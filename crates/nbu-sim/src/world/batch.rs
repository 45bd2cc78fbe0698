//! Jobs that a test starts itself: many that end in the same millisecond, families, failures with a cause, or
//! with values that no server should send and some do.

use std::sync::Arc;
use std::time::Duration;

use super::generate::keep;
use super::job::{FalseGreen, Job, ROOT, Step};
use super::names::Names;
use crate::clock::millis;
use crate::model::{JobState, KINDS, kind_index, schedule_index};
use crate::status::{Cause, Ending};

/// Values of a job that its type and its place do not decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Oddity {
    /// Milliseconds by which the endTime is later than the end.
    pub(crate) end_ahead_ms: i64,
    /// numberOfFiles, where it is negative.
    pub(crate) files: Option<i64>,
    /// kilobytesDataTransferred at the end.
    pub(crate) moved: Option<i64>,
    /// workloadDisplayName.
    pub(crate) workload: Option<Arc<str>>,
    /// backupId.
    pub(crate) backup_id: Option<Arc<str>>,
    /// destinationStorageUnitName, where the server has no such unit any more.
    pub(crate) storage_unit: Option<Arc<str>>,
    /// destinationMediaServerName.
    pub(crate) media_server: Option<Arc<str>>,
}

/// Index of a storage unit that the server does not list.
const DELETED_UNIT: u16 = u16::MAX;

fn place_of(names: &Names, unit: &str) -> Option<u16> {
    let place = names.units.iter().position(|known| *known.name == *unit)?;
    u16::try_from(place).ok()
}

/// A job of a batch, ready for the world, and the jobs that it is the parent of.
pub(crate) struct Prepared {
    pub(crate) count: usize,
    pub(crate) job: Job,
    pub(crate) oddity: Option<Arc<Oddity>>,
    pub(crate) children: Vec<Prepared>,
    /// Milliseconds after the arrival at which it ends.
    runs: i64,
}

/// Jobs that start together and end together, with one startTime, endTime and lastUpdateTime: backups, unless
/// [`Batch::job_type`] says otherwise.
///
/// ```
/// use nbu_sim::{Batch, Cause};
/// use std::time::Duration;
/// let burst = Batch::of(5_300).running_for(Duration::from_secs(30));
/// let fast_clock = Batch::of(1).end_ahead(Duration::from_secs(3600)).client(3);
/// let broken = Batch::of(1).kilobytes(-5).files(-7).status(13);
/// let full = Batch::of(1).storage_unit("stu-tape-01").cause(Cause::Tape).status(84);
/// let machines = Batch::of(1)
///     .policy(1)
///     .child(Batch::of(1).job_type("SNAPSHOT").workload("vm-a"))
///     .child(Batch::of(1).workload("vm-a").queue_wait(Duration::from_secs(5)));
/// let stuck = Batch::of(1).running_for(Duration::from_secs(9 * 3600)).stalled_after(Duration::ZERO);
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    count: usize,
    runs: Duration,
    queue_wait: Duration,
    tries: u8,
    status: Option<u16>,
    cause: Option<Cause>,
    kind: u8,
    schedule: u8,
    client: u32,
    policy: u16,
    unit: Option<String>,
    first_unit: Option<String>,
    kilobytes: i64,
    files: i64,
    end_ahead: Duration,
    late: Duration,
    stalled_after: Option<Duration>,
    false_green: Option<FalseGreen>,
    oddity: Oddity,
    children: Vec<Self>,
}

impl Batch {
    /// So many jobs, which succeed after a minute: those of the first client and the first policy.
    pub fn of(count: usize) -> Self {
        Self {
            count,
            runs: Duration::from_secs(60),
            queue_wait: Duration::ZERO,
            tries: 1,
            status: None,
            cause: None,
            kind: 0,
            schedule: 1,
            client: 0,
            policy: 0,
            unit: None,
            first_unit: None,
            kilobytes: 1024,
            files: 16,
            end_ahead: Duration::ZERO,
            late: Duration::ZERO,
            stalled_after: None,
            false_green: None,
            oddity: Oddity::default(),
            children: Vec::new(),
        }
    }

    /// Sets the time from the start to the end, the wait in the queue included: 49 days at most.
    #[must_use]
    pub fn running_for(self, runs: Duration) -> Self {
        Self { runs, ..self }
    }

    /// Sets the time that they are QUEUED before their first try. If it is no shorter than the time to the end,
    /// they never become ACTIVE.
    #[must_use]
    pub fn queue_wait(self, queue_wait: Duration) -> Self {
        Self { queue_wait, ..self }
    }

    /// Sets the number of tries, at least one. Those before the last one fail for the network, and the tries and
    /// the waits between them are equally long.
    #[must_use]
    pub fn tries(self, tries: u8) -> Self {
        Self { tries: tries.max(1), ..self }
    }

    /// Sets the status with which they end.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Sets what happened in the world. Without [`Batch::status`] the status is the usual one of this cause.
    #[must_use]
    pub fn cause(self, cause: Cause) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// Sets the jobType.
    ///
    /// # Panics
    /// Panics if the API has no such type.
    #[must_use]
    pub fn job_type(self, name: &str) -> Self {
        let kind = kind_index(name);
        assert!(kind.is_some(), "no job type {name:?}");
        Self { kind: kind.unwrap_or(self.kind), ..self }
    }

    /// Sets the scheduleType, and a scheduleName that goes with it.
    ///
    /// # Panics
    /// Panics if the API has no such type.
    #[must_use]
    pub fn schedule_type(self, name: &str) -> Self {
        let schedule = schedule_index(name);
        assert!(schedule.is_some(), "no schedule type {name:?}");
        Self { schedule: schedule.unwrap_or(self.schedule), ..self }
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

    /// Sets the storage unit by its name; otherwise it is the first one. A name that the server does not list is
    /// that of a unit that was deleted.
    #[must_use]
    pub fn storage_unit(self, name: &str) -> Self {
        Self { unit: Some(name.to_owned()), ..self }
    }

    /// Sets the storage unit of the first try, where it is another one than that of the later tries.
    #[must_use]
    pub fn first_storage_unit(self, name: &str) -> Self {
        Self { first_unit: Some(name.to_owned()), ..self }
    }

    /// Sets the media server; otherwise it is that of the storage unit.
    #[must_use]
    pub fn media_server(mut self, name: &str) -> Self {
        self.oddity.media_server = Some(name.into());
        self
    }

    /// Sets workloadDisplayName.
    #[must_use]
    pub fn workload(mut self, name: &str) -> Self {
        self.oddity.workload = Some(name.into());
        self
    }

    /// Sets the backupId that they have once they have begun; may be empty.
    #[must_use]
    pub fn backup_id(mut self, id: &str) -> Self {
        self.oddity.backup_id = Some(id.into());
        self
    }

    /// Sets kilobytesTransferred at the end; may be negative.
    #[must_use]
    pub fn kilobytes(self, kilobytes: i64) -> Self {
        Self { kilobytes, ..self }
    }

    /// Sets kilobytesDataTransferred at the end; otherwise it is kilobytesTransferred.
    #[must_use]
    pub fn moved_kilobytes(mut self, kilobytes: i64) -> Self {
        self.oddity.moved = Some(kilobytes);
        self
    }

    /// Sets numberOfFiles at the end; may be negative.
    #[must_use]
    pub fn files(self, files: i64) -> Self {
        Self { files, ..self }
    }

    /// Makes their success a false one, by the sizes that were set or will be.
    #[must_use]
    pub fn false_green(self, false_green: FalseGreen) -> Self {
        Self { false_green: Some(false_green), ..self }
    }

    /// Lets each try do nothing any more after this time, while it stays ACTIVE until its end: 18 hours at most.
    #[must_use]
    pub fn stalled_after(self, stalled_after: Duration) -> Self {
        Self { stalled_after: Some(stalled_after), ..self }
    }

    /// Makes each of the jobs the parent of these, which start with it. A parent has no place, no schedule and no
    /// backupId, its kilobytes and files are the sums of its children's, and it ends after them. Without
    /// [`Batch::status`] it ends with 1 where one of them does not end with 0.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
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

    /// The status with which they end, and why.
    fn ending(&self) -> Ending {
        let usual = || self.cause.map(|cause| cause.usual_code(&KINDS[usize::from(self.kind)]));
        let of_children = || {
            let good = self.children.iter().all(|child| child.ending() == Ending::GOOD);
            if good { 0 } else { Ending::PARTIAL.status }
        };
        let status = self.status.or_else(usual).unwrap_or_else(of_children);
        Ending { status, cause: self.cause }
    }

    /// Prepares the jobs, as ones that arrive at world time `now`; their steps are added to the world's.
    pub(crate) fn prepare(&self, names: &Names, now: i64, steps: &mut Vec<Step>) -> Prepared {
        let children: Vec<Prepared> =
            self.children.iter().map(|child| child.prepare(names, now, steps)).collect();
        let after_children = children.iter().map(|child| child.runs + 1000).max().unwrap_or(0);
        let runs = millis(self.runs).max(after_children);
        let created = now - now.rem_euclid(1000);
        let mut job = Job {
            created,
            kilobytes: self.kilobytes,
            steps: 0,
            parent: ROOT,
            first_child: 0,
            files: u32::try_from(self.files.max(0)).unwrap_or(u32::MAX),
            dedup: 0.0,
            client: self.client,
            workload: self.client,
            delay: u32::try_from(millis(self.late)).unwrap_or(u32::MAX),
            policy: self.policy,
            stalls_after: self
                .stalled_after
                .map_or(0, |after| u16::try_from(after.as_secs().max(1)).unwrap_or(u16::MAX)),
            children: 0,
            step_count: 0,
            kind: self.kind,
            schedule: self.schedule,
            queue_reason: 0,
            false_green: self.false_green,
        };
        if self.false_green == Some(FalseGreen::NoFiles) {
            job.schedule = schedule_index("FULL_BACKUP").unwrap_or(job.schedule);
        }
        if let Some(false_green) = self.false_green {
            let (kilobytes, files) = false_green.distort(job.kilobytes, i64::from(job.files));
            (job.kilobytes, job.files) = (kilobytes, u32::try_from(files).unwrap_or(u32::MAX));
        }
        if !children.is_empty() {
            let count = |child: &Prepared| i64::try_from(child.count).unwrap_or(i64::MAX);
            let all: usize = children.iter().map(|child| child.count).sum();
            job.children = u16::try_from(all).unwrap_or(u16::MAX);
            job.kilobytes = children.iter().map(|child| child.job.kilobytes * count(child)).sum();
            let files =
                children.iter().map(|child| i64::from(child.job.files) * count(child)).sum::<i64>();
            job.files = u32::try_from(files).unwrap_or(u32::MAX);
            job.schedule = 0;
        }
        keep(&mut job, &self.script(names, now - created, runs), steps);
        let deleted = |name: &&String| place_of(names, name).is_none();
        let oddity = Oddity {
            storage_unit: self.unit.as_ref().filter(deleted).map(|name| name.as_str().into()),
            end_ahead_ms: millis(self.end_ahead),
            files: (self.files < 0).then_some(self.files),
            ..self.oddity.clone()
        };
        let oddity = (oddity != Oddity::default()).then(|| Arc::new(oddity));
        Prepared { count: self.count, job, oddity, children, runs }
    }

    /// Everything that happens to a job that arrives `since` milliseconds after the whole second and ends after
    /// `runs`.
    fn script(&self, names: &Names, since: i64, runs: i64) -> Vec<Step> {
        let unit = |name: &Option<String>, default: u16| {
            name.as_ref().map_or(default, |name| place_of(names, name).unwrap_or(DELETED_UNIT))
        };
        let last_unit = unit(&self.unit, 0);
        let first_unit = unit(&self.first_unit, last_unit);
        let step = |after: i64, state, attempt, ending: Ending| Step {
            delta: u32::try_from(since + after).unwrap_or(u32::MAX),
            status: ending.status,
            unit: if attempt == 1 && self.tries > 1 { first_unit } else { last_unit },
            state,
            attempt,
            cause: ending.cause,
        };
        let mut steps = vec![Step { delta: 0, ..step(0, JobState::Queued, 1, Ending::GOOD) }];
        let wait = millis(self.queue_wait);
        let mut attempt = 1;
        if wait == 0 || wait < runs {
            let slot = (runs - wait) / (2 * i64::from(self.tries) - 1);
            let usual = Cause::Network.usual_code(&KINDS[usize::from(self.kind)]);
            let network = Ending { status: usual, cause: Some(Cause::Network) };
            steps.push(step(wait, JobState::Active, attempt, Ending::GOOD));
            while attempt < self.tries {
                let end = wait + slot * (2 * i64::from(attempt) - 1);
                steps.push(step(end, JobState::Requeued, attempt, network));
                attempt += 1;
                steps.push(step(end + slot, JobState::Active, attempt, Ending::GOOD));
            }
        }
        steps.push(step(runs, JobState::Done, attempt, self.ending()));
        steps
    }
}
