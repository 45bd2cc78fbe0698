//! A job as a list shows it, and the values that several attributes are made of.

use crate::filter::Value;
use crate::model::{JobState, SCHEDULES};
use crate::settings::Release;
use crate::world::World;
use crate::world::job::{Job, Look};

/// Row of a visible job.
pub(crate) struct Row<'w> {
    pub(crate) world: &'w World,
    pub(crate) index: u32,
    pub(crate) job: &'w Job,
    pub(crate) look: Look,
    /// The release whose shape was asked for.
    pub(crate) release: Release,
}

impl<'w> Row<'w> {
    /// The row of an index; `None` when lists do not show it now.
    pub(crate) fn new(world: &'w World, index: u32, release: Release) -> Option<Self> {
        let look = world.visible(index as usize)?;
        Some(Self { world, index, job: world.jobs.get(index as usize)?, look, release })
    }

    pub(crate) fn job_id(&self) -> i64 {
        World::job_id(self.index)
    }

    pub(crate) fn is(&self, state: JobState) -> bool {
        self.look.state == state
    }

    /// An arbitrary number below `below` that belongs to this job and this attribute for good.
    pub(crate) fn arbitrary(&self, salt: u64, below: u64) -> i64 {
        let mixed = (u64::from(self.index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt;
        let mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32;
        i64::try_from(mixed % below.max(1)).unwrap_or(0)
    }

    pub(crate) fn start(&self) -> i64 {
        self.world.start_stamp(self.job)
    }

    pub(crate) fn end(&self) -> i64 {
        self.world.end_stamp(self.index as usize, &self.look)
    }

    pub(crate) fn updated(&self) -> i64 {
        self.world.stamp(self.look.updated)
    }

    /// Start of the current attempt, in whole seconds; 0 before the first.
    pub(crate) fn active_start(&self) -> i64 {
        self.look.active_from.map_or(0, |at| {
            let at = self.world.stamp(at);
            at - at.rem_euclid(1000)
        })
    }

    /// elapsedTime in milliseconds, whole seconds: computed when it is read.
    pub(crate) fn elapsed(&self) -> i64 {
        let to = self.look.ended.unwrap_or(self.world.now);
        let span = (to - self.job.created).max(0);
        span - span.rem_euclid(1000)
    }

    pub(crate) fn active_elapsed(&self) -> i64 {
        let running = self.is(JobState::Active);
        // A row that shows late still has its clock running.
        let late = if running { i64::from(self.job.delay) } else { 0 };
        let span = self.look.active_ms + late;
        span - span.rem_euclid(1000)
    }

    pub(crate) fn waits(&self) -> bool {
        matches!(self.look.state, JobState::Queued | JobState::Requeued)
    }

    pub(crate) fn has_policy(&self) -> bool {
        self.job.kind().policy
    }

    pub(crate) fn policy(&self) -> &'w str {
        let policy = &self.world.names.policies[usize::from(self.job.policy)];
        if self.has_policy() { &policy.name } else { "" }
    }

    pub(crate) fn policy_type(&self) -> &'static str {
        let policy = &self.world.names.policies[usize::from(self.job.policy)];
        if self.has_policy() { policy.policy_type } else { "STANDARD" }
    }

    pub(crate) fn client(&self) -> &'w str {
        if self.has_policy() { &self.world.names.clients[self.job.client as usize] } else { "" }
    }

    pub(crate) fn schedule(&self) -> &'w str {
        &self.world.names.schedules[usize::from(self.job.schedule)]
    }

    pub(crate) fn schedule_type(&self) -> &'static str {
        SCHEDULES[usize::from(self.job.schedule)].1
    }

    /// True where the job writes to storage and has begun.
    fn writes(&self) -> bool {
        self.job.kind().data && self.look.active_from.is_some()
    }

    pub(crate) fn unit(&self) -> &'w str {
        let unit = self.world.names.units.get(usize::from(self.job.unit));
        unit.filter(|_| self.writes()).map_or("", |unit| &unit.name)
    }

    pub(crate) fn media_server(&self) -> &'w str {
        let unit = self.world.names.units.get(usize::from(self.job.unit));
        unit.filter(|_| self.writes()).map_or("", |unit| &self.world.names.media[unit.media_server])
    }

    /// True for a unit of this category.
    pub(crate) fn on(&self, category: &str) -> bool {
        let unit = self.world.names.units.get(usize::from(self.job.unit));
        self.writes() && unit.is_some_and(|unit| unit.category == category)
    }

    pub(crate) fn is_backup(&self) -> bool {
        self.job.kind().name == "BACKUP"
    }

    /// Source side of jobs that move protected data.
    pub(crate) fn copies(&self) -> bool {
        matches!(self.job.kind().name, "DUPLICATE" | "REPLICATE" | "VERIFY" | "RESTORE")
    }

    /// True for policies whose client is a virtual machine.
    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self.policy_type(), "VMWARE" | "HYPERV" | "NUTANIX_AHV" | "OLVM_RHV" | "KVM")
    }

    /// The display name of the workload: of a virtual machine its own name.
    pub(crate) fn workload(&self) -> Value<'w> {
        if self.has_policy() && self.is_virtual() {
            let host = self.client().split('.').next().unwrap_or_default();
            return Value::Text(format!("vm-{host}").into());
        }
        Value::Text(self.client().into())
    }

    /// backupId: client and time of the backup, once it has begun.
    pub(crate) fn backup_id(&self) -> Value<'w> {
        if self.is_backup() && self.look.active_from.is_some() {
            return Value::Text(format!("{}_{}", self.client(), self.start() / 1000).into());
        }
        Value::Text("".into())
    }

    /// transferRate in KB/s.
    pub(crate) fn rate(&self) -> i64 {
        let seconds = self.look.active_ms / 1000;
        if seconds > 0 { self.look.kilobytes / seconds } else { 0 }
    }

    /// A ratio of the job once it is DONE; 0 before.
    pub(crate) fn dedup(&self) -> f64 {
        if self.is(JobState::Done) {
            (f64::from(self.job.dedup) * 10.0).round() / 10.0
        } else {
            0.0
        }
    }

    /// kilobytesDataTransferred: what moved after deduplication.
    pub(crate) fn moved(&self) -> i64 {
        #[allow(clippy::cast_possible_truncation, reason = "a share of a total that fits")]
        let moved = (self.look.kilobytes as f64 * (1.0 - self.dedup() / 100.0)) as i64;
        moved
    }

    #[allow(clippy::cast_possible_truncation, reason = "0 to 100")]
    pub(crate) fn percent(&self) -> i64 {
        (self.look.progress * 100.0) as i64
    }

    pub(crate) fn queue_reason(&self) -> i64 {
        if self.waits() { i64::from(self.job.queue_reason) } else { 0 }
    }

    pub(crate) fn queue_resource(&self) -> &'w str {
        let unit = self.world.names.units.get(usize::from(self.job.unit));
        unit.filter(|_| self.waits()).map_or("", |unit| &unit.name)
    }
}
