//! Facts of a job beside its own numbers: the names, the places and the sizes that its row and the truth have.

use std::borrow::Cow;
use std::sync::Arc;

use super::World;
use super::job::{FalseGreen, Job, Look};
use super::storage::StorageUnit;
use crate::model::Workload;
use crate::status::Medium;

/// Disk volumes and tapes that jobs write to.
const MEDIA: u32 = 400;

impl World {
    /// policyType. Jobs without a policy say STANDARD, the API's code 0.
    pub(crate) fn policy_type(&self, job: &Job) -> &'static str {
        if job.kind().policy {
            self.names.policies[usize::from(job.policy)].spelling
        } else {
            "STANDARD"
        }
    }

    /// policyName; empty where the job has no policy.
    pub(crate) fn policy(&self, job: &Job) -> &Arc<str> {
        let policy = &self.names.policies[usize::from(job.policy)];
        if job.kind().policy { &policy.name } else { &self.names.empty }
    }

    /// clientName; empty where the job has no policy.
    pub(crate) fn client(&self, job: &Job) -> &Arc<str> {
        if job.kind().policy { &self.names.clients[job.client as usize] } else { &self.names.empty }
    }

    /// workloadDisplayName: of a virtual machine its own name, else that of the client.
    pub(crate) fn workload(&self, index: usize) -> &Arc<str> {
        let job = &self.jobs[index];
        if let Some(workload) = self.oddity(index).and_then(|oddity| oddity.workload.as_ref()) {
            return workload;
        }
        if !job.kind().policy {
            return &self.names.empty;
        }
        let names = match self.names.policies[usize::from(job.policy)].workload {
            Workload::Machines => &self.names.machines,
            _ => &self.names.clients,
        };
        &names[job.workload as usize]
    }

    /// backupId: name and time of the backup, once it has begun. A parent makes none.
    pub(crate) fn backup_id(&self, index: usize, look: &Look) -> Cow<'_, str> {
        let job = &self.jobs[index];
        if look.active_from.is_none() {
            return Cow::Borrowed("");
        }
        if let Some(id) = self.oddity(index).and_then(|oddity| oddity.backup_id.as_deref()) {
            return Cow::Borrowed(id);
        }
        let made =
            job.kind().backs_up() && job.is_leaf() && job.false_green != Some(FalseGreen::NoImage);
        if !made {
            return Cow::Borrowed("");
        }
        Cow::Owned(format!("{}_{}", self.workload(index), self.start_stamp(job) / 1000))
    }

    /// The storage unit that the job writes to; `None` where it does not, or has not begun.
    fn unit(&self, index: usize, look: &Look) -> Option<&StorageUnit> {
        let unit = self.names.units.get(usize::from(look.unit));
        unit.filter(|_| self.jobs[index].has_place(look))
    }

    /// destinationStorageUnitName.
    pub(crate) fn storage_unit(&self, index: usize, look: &Look) -> &Arc<str> {
        if let Some(unit) = self.unit(index, look) {
            return &unit.name;
        }
        let deleted = self.oddity(index).and_then(|oddity| oddity.storage_unit.as_ref());
        deleted.filter(|_| self.jobs[index].has_place(look)).unwrap_or(&self.names.empty)
    }

    /// destinationMediaServerName.
    pub(crate) fn media_server(&self, index: usize, look: &Look) -> &Arc<str> {
        if !self.jobs[index].has_place(look) {
            return &self.names.empty;
        }
        if let Some(odd) = self.oddity(index).and_then(|oddity| oddity.media_server.as_ref()) {
            return odd;
        }
        let unit = self.unit(index, look);
        unit.map_or(&self.names.empty, |unit| &self.names.media[unit.media_server])
    }

    /// destinationMediaId: that of a disk volume begins with `@`, that of a tape is its barcode.
    pub(crate) fn media_id(&self, index: usize, look: &Look) -> Cow<'_, str> {
        let Some(unit) = self.unit(index, look) else { return Cow::Borrowed("") };
        Cow::Owned(match unit.medium() {
            Medium::Disk => {
                let letter = |place: u32| char::from(b'a' + u8::try_from(place % 26).unwrap_or(0));
                let unit = u32::from(look.unit);
                format!("@aaa{}{}", letter(unit / 26), letter(unit))
            }
            Medium::Tape => {
                let mixed =
                    u32::try_from(index).unwrap_or(0).wrapping_add(1).wrapping_mul(0x9e37_79b9);
                format!("T{:05}", (mixed >> 16) % MEDIA)
            }
        })
    }

    /// kilobytesDataTransferred: what moved after deduplication.
    pub(crate) fn moved(&self, index: usize, look: &Look) -> i64 {
        let job = &self.jobs[index];
        #[allow(clippy::cast_possible_truncation, reason = "a share of a total that fits")]
        let share = |total: i64, share: f64| (total as f64 * share) as i64;
        match self.oddity(index).and_then(|oddity| oddity.moved) {
            Some(moved) if look.progress >= 1.0 => moved,
            Some(moved) => share(moved, look.progress),
            None => share(look.kilobytes, 1.0 - job.dedup_ratio(look) / 100.0),
        }
    }

    /// activeTryStartTime as stamped, in whole seconds; 0 before the first attempt.
    pub(crate) fn active_start_stamp(&self, look: &Look) -> i64 {
        look.active_from.map_or(0, |at| super::whole_seconds(self.stamp(at)))
    }

    /// Milliseconds from startTime to activeTryStartTime, as stamped, of a job that was tried once.
    pub(crate) fn queue_wait(&self, job: &Job, look: &Look) -> Option<i64> {
        let once = look.attempt == 1 && look.active_from.is_some();
        once.then(|| self.active_start_stamp(look) - self.start_stamp(job))
    }
}
