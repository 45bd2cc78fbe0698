//! A job as a list shows it, and the values that several attributes are made of.

use crate::model::JobState;
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

    /// The job's place in the world.
    pub(crate) fn at(&self) -> usize {
        self.index as usize
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

    pub(crate) fn has_policy(&self) -> bool {
        self.job.kind().policy
    }

    pub(crate) fn is_backup(&self) -> bool {
        self.job.kind().name == "BACKUP"
    }

    /// Source side of jobs that move protected data.
    pub(crate) fn copies(&self) -> bool {
        matches!(self.job.kind().name, "DUPLICATE" | "REPLICATE" | "VERIFY" | "RESTORE")
            && self.look.active_from.is_some()
    }

    pub(crate) fn source_unit(&self) -> &'w str {
        let unit = self.world.names.units.get(usize::from(self.look.unit));
        unit.filter(|_| self.copies()).map_or("", |unit| &unit.name)
    }

    pub(crate) fn source_media_server(&self) -> &'w str {
        let unit = self.world.names.units.get(usize::from(self.look.unit));
        unit.filter(|_| self.copies()).map_or("", |unit| &self.world.names.media[unit.media_server])
    }

    /// transferRate in KB/s.
    pub(crate) fn rate(&self) -> i64 {
        let seconds = self.look.active_ms / 1000;
        if seconds > 0 { self.look.kilobytes / seconds } else { 0 }
    }

    pub(crate) fn queue_reason(&self) -> i64 {
        if self.look.waits() { i64::from(self.job.queue_reason) } else { 0 }
    }

    pub(crate) fn queue_resource(&self) -> &'w str {
        let unit = self.world.names.units.get(usize::from(self.look.unit));
        unit.filter(|_| self.look.waits()).map_or("", |unit| &unit.name)
    }
}
