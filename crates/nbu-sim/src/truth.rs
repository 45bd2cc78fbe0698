//! Truth of the simulated world at an instant, read from its own state and by no code of the HTTP
//! side: the reference against which tests check an agent's numbers.

use std::sync::{Arc, PoisonError, RwLock};

use crate::model::JobState;
use crate::status::Cause;
use crate::world::World;
use crate::world::job::FalseGreen;

/// A job as it truly is at the truth's instant. Times are server time in unix milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct JobView {
    /// jobId.
    pub job_id: i64,
    /// parentJobId, 0 for a root.
    pub parent: i64,
    /// try: the current one, or how many there were.
    pub attempt: i64,
    /// jobType, as the API spells it.
    pub job_type: &'static str,
    /// policyType, as the API spells it.
    pub policy_type: &'static str,
    /// policyName; empty where the job has no policy.
    pub policy: Arc<str>,
    /// clientName; empty where the job has no client.
    pub client: Arc<str>,
    /// scheduleName; a dash for parents and jobs without one.
    pub schedule: Arc<str>,
    /// scheduleType.
    pub schedule_type: &'static str,
    /// workloadDisplayName: of a virtual machine its own name, else that of the client.
    pub workload: Arc<str>,
    /// backupId; empty where no backup is made, or none has begun.
    pub backup_id: Arc<str>,
    /// destinationStorageUnitName of the current or last try; empty where nothing is written.
    pub storage_unit: Arc<str>,
    /// destinationMediaServerName; likewise.
    pub media_server: Arc<str>,
    /// destinationMediaId; likewise. That of a disk begins with `@`.
    pub media_id: Arc<str>,
    /// State.
    pub state: JobState,
    /// status: final once the job is DONE, of the failed attempt in REQUEUED and INCOMPLETE, else 0.
    pub status: i64,
    /// Cause in the world, where `status` tells of a failure.
    pub cause: Option<Cause>,
    /// Success that is none.
    pub false_green: Option<FalseGreen>,
    /// Server time at which the state was entered.
    pub entered_ms: i64,
    /// Server time from which an ACTIVE job has done nothing; `None` where it is well.
    pub stalled_from_ms: Option<i64>,
    /// currentOperation: 27 for a parent that is ACTIVE, 0 for a job that is not.
    pub current_operation: i64,
    /// jobQueueReason: not 0 in QUEUED and REQUEUED only.
    pub queue_reason: i64,
    /// kilobytesTransferred; a parent's is the sum of its children's.
    pub kilobytes: i64,
    /// kilobytesDataTransferred.
    pub moved_kilobytes: i64,
    /// numberOfFiles; likewise.
    pub files: i64,
    /// percentComplete.
    pub percent_complete: i64,
    /// dedupRatio.
    pub dedup_ratio: f64,
    /// startTime.
    pub start_ms: i64,
    /// endTime; `None` while the job is not DONE.
    pub end_ms: Option<i64>,
    /// activeTryStartTime, whole seconds; `None` before the first attempt.
    pub active_start_ms: Option<i64>,
    /// activeTryStartTime - startTime of a job that was tried once and has begun: negative where the server's
    /// clock was set back between them.
    pub queue_wait_ms: Option<i64>,
    /// lastUpdateTime.
    pub last_update_ms: i64,
    /// Server time from which lists show this state of the row.
    pub visible_from_ms: i64,
    /// Direct children that exist.
    pub child_count: i64,
    /// The job is purged: lists do not have it any more.
    pub purged: bool,
}

impl JobView {
    /// True for a job without children.
    pub fn is_leaf(&self) -> bool {
        self.child_count == 0
    }
}

/// Completion of a job: it became DONE. A job that is resumed afterwards completes again, with
/// another try.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// jobId.
    pub job_id: i64,
    /// try with which it ended.
    pub attempt: i64,
    /// startTime, unix milliseconds.
    pub start_ms: i64,
    /// endTime, unix milliseconds, whole seconds.
    pub end_ms: i64,
    /// lastUpdateTime that the completion gave the row, unix milliseconds.
    pub updated_ms: i64,
    /// activeTryStartTime of its last try, unix milliseconds, whole seconds; `None` if it never was ACTIVE.
    pub active_start_ms: Option<i64>,
    /// activeTryStartTime - startTime of a job that was tried once, as in [`JobView::queue_wait_ms`].
    pub queue_wait_ms: Option<i64>,
    /// Final status of this completion.
    pub status: i64,
    /// Cause in the world, where `status` tells of a failure.
    pub cause: Option<Cause>,
    /// Success that is none.
    pub false_green: Option<FalseGreen>,
    /// parentJobId, 0 for a root.
    pub parent: i64,
    /// jobType.
    pub job_type: &'static str,
    /// policyType.
    pub policy_type: &'static str,
    /// policyName; empty where the job has no policy.
    pub policy: Arc<str>,
    /// clientName; empty where the job has no client.
    pub client: Arc<str>,
    /// scheduleType.
    pub schedule_type: &'static str,
    /// workloadDisplayName.
    pub workload: Arc<str>,
    /// backupId; empty where no backup was made.
    pub backup_id: Arc<str>,
    /// destinationStorageUnitName of the last try; empty where nothing was written.
    pub storage_unit: Arc<str>,
    /// destinationMediaServerName; likewise.
    pub media_server: Arc<str>,
    /// destinationMediaId; likewise.
    pub media_id: Arc<str>,
    /// currentOperation of the row that tells of it.
    pub current_operation: i64,
    /// kilobytesTransferred of this completion.
    pub kilobytes: i64,
    /// kilobytesDataTransferred of this completion.
    pub moved_kilobytes: i64,
    /// numberOfFiles of this completion.
    pub files: i64,
    /// True for a job that never has children: bytes are counted on those.
    pub leaf: bool,
    /// World time ([`crate::Clock::world_ms`]) at which it happened.
    pub done_at: i64,
    /// World time from which lists show it.
    pub listed_from: i64,
    /// World time from which lists show something else: the job was resumed, or is purged. `None` where
    /// neither is going to be.
    pub listed_until: Option<i64>,
}

/// Capacities of a storage unit at an instant, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct StorageUnitView {
    /// Name.
    pub name: Arc<str>,
    /// storageCategory.
    pub category: &'static str,
    /// storageServerType.
    pub server_type: &'static str,
    /// Name of the disk pool whose space it repeats; `None` for tape and for a file system of its own.
    pub pool: Option<Arc<str>>,
    /// freeCapacityBytes; `None` for tape, `i64::MAX` for cloud.
    pub free: Option<i64>,
    /// usedCapacityBytes.
    pub used: Option<i64>,
    /// totalCapacityBytes.
    pub total: Option<i64>,
    /// maxConcurrentJobs; `None` for tape.
    pub max_concurrent_jobs: Option<i64>,
    /// maxConcurrentDrives; for tape only.
    pub max_concurrent_drives: Option<i64>,
    /// maxFragmentSizeMegabytes.
    pub max_fragment_mb: i64,
}

/// The truth at an instant, [`Truth::server_time`]. With a manual clock it is exact; with the system's, it
/// is the truth at the moment when it was asked for.
#[derive(Clone)]
pub struct Truth {
    world: Arc<RwLock<World>>,
    /// World time of the instant.
    pub(crate) at: i64,
    now_ms: i64,
}

impl Truth {
    pub(crate) fn new(world: Arc<RwLock<World>>, at: i64, now_ms: i64) -> Self {
        Self { world, at, now_ms }
    }

    /// Server time of the instant, in unix milliseconds.
    pub fn server_time(&self) -> i64 {
        self.now_ms
    }

    /// The truth at an earlier instant: `ms` milliseconds before this one. What was purged since is there.
    #[must_use]
    pub fn earlier(&self, ms: i64) -> Self {
        Self { world: Arc::clone(&self.world), at: self.at - ms, now_ms: self.now_ms - ms }
    }

    /// The truth at an earlier instant, given in server time (unix milliseconds, by the skew of now).
    #[must_use]
    pub fn at(&self, server_ms: i64) -> Self {
        self.earlier(self.now_ms - server_ms)
    }

    /// Jobs that are DONE and whose endTime is in `(from_exclusive, to_inclusive]`, in the order of jobId.
    /// Purged ones are there too, marked.
    pub fn jobs_ended(
        &self,
        from_exclusive: i64,
        to_inclusive: i64,
    ) -> std::vec::IntoIter<JobView> {
        self.jobs(|job| job.end_ms.is_some_and(|end| end > from_exclusive && end <= to_inclusive))
    }

    /// Jobs that are not DONE, in the order of jobId.
    pub fn live_jobs(&self) -> std::vec::IntoIter<JobView> {
        self.jobs(|job| job.end_ms.is_none())
    }

    /// Every job that arrived, in the order of jobId.
    pub fn all_jobs(&self) -> std::vec::IntoIter<JobView> {
        self.jobs(|_| true)
    }

    /// Jobs as lists show them at the instant, each late by its own delay, in the order of jobId: without
    /// those that do not show yet, and those that are purged.
    pub fn listed_jobs(&self) -> std::vec::IntoIter<JobView> {
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        let views = world.jobs.iter().enumerate().filter_map(|(index, job)| {
            let view = self.view_at(&world, index, self.at - i64::from(job.delay))?;
            let ended = world.look(index, self.at - i64::from(job.delay))?.ended;
            let purged = ended.is_some_and(|end| end + world.retention <= self.at);
            (!purged).then_some(view)
        });
        views.collect::<Vec<_>>().into_iter()
    }

    /// Returns one job; `None` if it has not arrived.
    pub fn job(&self, job_id: i64) -> Option<JobView> {
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        let index = usize::try_from(job_id - World::job_id(0)).ok()?;
        self.view(&world, index)
    }

    /// Every completion ever up to the instant, in the order of jobId; a job that was resumed after it was
    /// DONE has several.
    pub fn completions(&self) -> std::vec::IntoIter<Completion> {
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::new();
        for (index, job) in world.jobs.iter().enumerate() {
            for step in world.completions_of(job, self.at) {
                let at = job.at(step);
                let Some(look) = world.look(index, at) else { continue };
                let delay = i64::from(job.delay);
                let resumed = world.resumed_after(job, step).map(|at| at + delay);
                let purged = (world.retention < i64::MAX / 8).then_some(at + world.retention);
                all.push(Completion {
                    job_id: World::job_id(u32::try_from(index).unwrap_or(u32::MAX)),
                    attempt: i64::from(step.attempt),
                    start_ms: world.start_stamp(job),
                    end_ms: world.end_stamp(index, &look),
                    updated_ms: world.stamp(at),
                    active_start_ms: look.active_from.map(|_| world.active_start_stamp(&look)),
                    queue_wait_ms: world.queue_wait(job, &look),
                    status: i64::from(step.status),
                    cause: step.cause,
                    false_green: job.false_green,
                    parent: World::parent_id(job),
                    job_type: job.kind().name,
                    policy_type: world.policy_type(job),
                    policy: Arc::clone(world.policy(job)),
                    client: Arc::clone(world.client(job)),
                    schedule_type: job.schedule_type(),
                    workload: Arc::clone(world.workload(index)),
                    backup_id: world.backup_id(index, &look).into(),
                    storage_unit: Arc::clone(world.storage_unit(index, &look)),
                    media_server: Arc::clone(world.media_server(index, &look)),
                    media_id: world.media_id(index, &look).into(),
                    current_operation: job.operation(&look),
                    kilobytes: look.kilobytes,
                    moved_kilobytes: world.moved(index, &look),
                    files: look.files,
                    leaf: job.is_leaf(),
                    done_at: at,
                    listed_from: at + delay,
                    listed_until: resumed.into_iter().chain(purged).min(),
                });
            }
        }
        all.into_iter()
    }

    /// The storage units, in the order in which the server lists them.
    pub fn storage_units(&self) -> Vec<StorageUnitView> {
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        let units = world.names.units.iter().map(|unit| {
            let space = unit.capacity(&world.names.disk, self.at);
            let tape = unit.category == "TAPE";
            StorageUnitView {
                name: Arc::clone(&unit.name),
                category: unit.category,
                server_type: unit.server_type,
                pool: unit.pool(&world.names.disk).map(|pool| Arc::clone(&pool.name)),
                free: space.map(|space| space.0),
                used: space.map(|space| space.1),
                total: space.map(|space| space.2),
                max_concurrent_jobs: (!tape).then_some(unit.concurrent),
                max_concurrent_drives: tape.then_some(unit.concurrent),
                max_fragment_mb: unit.fragment_mb,
            }
        });
        units.collect()
    }

    /// Reads the world, for the views of the resources.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        read(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn jobs(&self, keep: impl Fn(&JobView) -> bool) -> std::vec::IntoIter<JobView> {
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        let views = (0..world.jobs.len()).filter_map(|index| self.view(&world, index));
        views.filter(keep).collect::<Vec<_>>().into_iter()
    }

    fn view(&self, world: &World, index: usize) -> Option<JobView> {
        self.view_at(world, index, self.at)
    }

    /// A job as it is at world time `at`.
    fn view_at(&self, world: &World, index: usize, at: i64) -> Option<JobView> {
        let look = world.look(index, at)?;
        let job = &world.jobs[index];
        Some(JobView {
            job_id: World::job_id(u32::try_from(index).unwrap_or(u32::MAX)),
            parent: World::parent_id(job),
            attempt: i64::from(look.attempt),
            job_type: job.kind().name,
            policy_type: world.policy_type(job),
            policy: Arc::clone(world.policy(job)),
            client: Arc::clone(world.client(job)),
            schedule: Arc::clone(&world.names.schedules[usize::from(job.schedule)]),
            schedule_type: job.schedule_type(),
            workload: Arc::clone(world.workload(index)),
            backup_id: world.backup_id(index, &look).into(),
            storage_unit: Arc::clone(world.storage_unit(index, &look)),
            media_server: Arc::clone(world.media_server(index, &look)),
            media_id: world.media_id(index, &look).into(),
            state: look.state,
            status: i64::from(look.status),
            cause: look.cause,
            false_green: job.false_green.filter(|_| look.ended.is_some()),
            entered_ms: world.stamp(look.entered),
            stalled_from_ms: look.stalled_from.map(|at| world.stamp(at)),
            current_operation: job.operation(&look),
            queue_reason: if look.waits() { i64::from(job.queue_reason) } else { 0 },
            kilobytes: look.kilobytes,
            moved_kilobytes: world.moved(index, &look),
            files: look.files,
            percent_complete: look.percent(),
            dedup_ratio: job.dedup_ratio(&look),
            start_ms: world.start_stamp(job),
            end_ms: look.ended.map(|_| world.end_stamp(index, &look)),
            active_start_ms: look.active_from.map(|_| world.active_start_stamp(&look)),
            queue_wait_ms: world.queue_wait(job, &look),
            last_update_ms: world.stamp(look.updated),
            visible_from_ms: world.stamp(look.updated + i64::from(job.delay)),
            child_count: job.children_at(at),
            purged: self.at >= world.now && world.is_purged(index),
        })
    }
}

impl std::fmt::Debug for Truth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Truth").field("server_time", &self.now_ms).finish_non_exhaustive()
    }
}
