//! The finished jobs, each with its last completion, which tells a new completion from one that was
//! counted. A job takes 80 bytes, about 88 with the index.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use super::interner::{LabelSetId, NameId};
use super::schedule::ScheduleClass;
use super::time::Span;
use hashbrown::HashTable;

/// The last completion of a job. Times are the server's, Unix ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FinishedJob {
    pub(super) id: i64,
    /// 0 if the server gave none.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) kilobytes: i64,
    pub(super) files: i64,
    /// Infinite if there is none: equal to itself, unlike NaN.
    pub(super) dedup: f64,
    pub(super) tries: u16,
    pub(super) label_set: LabelSetId,
    pub(super) client: NameId,
    pub(super) policy: NameId,
    pub(super) workload: NameId,
    pub(super) class: ScheduleClass,
    pub(super) leaf: bool,
    /// Nothing tells that it made no image.
    pub(super) image: bool,
    /// It was seen live again, and counts among the live jobs.
    pub(super) resumed: bool,
}

/// Jobs per chunk: memory grows by this, not by doubling.
const CHUNK: usize = 4096;

const NONE: u32 = u32::MAX;

const MINUTE: i64 = 60_000;

#[derive(Debug, Clone, Copy)]
struct Slot {
    job: FinishedJob,
    /// The next and the one before of those that ended in the same minute.
    next: u32,
    previous: u32,
}

#[derive(Debug, Default)]
pub(super) struct FinishedJobs {
    chunks: Vec<Vec<Slot>>,
    free: Vec<u32>,
    by_id: HashTable<u32>,
    hasher: RandomState,
    /// By the minute of the end; the first slot of each.
    minutes: BTreeMap<i64, u32>,
}

impl FinishedJobs {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn slot(&self, number: u32) -> &Slot {
        slot(&self.chunks, number)
    }

    fn slot_mut(&mut self, number: u32) -> &mut Slot {
        &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }

    fn find(&self, id: i64) -> Option<u32> {
        let hash = self.hasher.hash_one(id);
        self.by_id.find(hash, |number| self.slot(*number).job.id == id).copied()
    }

    pub(super) fn get(&self, id: i64) -> Option<&FinishedJob> {
        self.find(id).map(|number| &self.slot(number).job)
    }

    /// Sets what is known of the jobs to what every build knows.
    pub(super) fn forget_details(&mut self) {
        for slot in self.chunks.iter_mut().flatten() {
            let job = &mut slot.job;
            (job.workload, job.class, job.image) = (job.client, ScheduleClass::Unknown, true);
        }
    }

    pub(super) fn mark_resumed(&mut self, id: i64) {
        if let Some(number) = self.find(id) {
            self.slot_mut(number).job.resumed = true;
        }
    }

    /// Inserts a job, in place of an older completion of it.
    pub(super) fn insert(&mut self, job: FinishedJob) {
        self.remove(job.id);
        let minute = job.end.div_euclid(MINUTE);
        let next = self.minutes.get(&minute).copied().unwrap_or(NONE);
        let number = self.place(Slot { job, next, previous: NONE });
        if next != NONE {
            self.slot_mut(next).previous = number;
        }
        self.minutes.insert(minute, number);
        let (chunks, hasher) = (&self.chunks, &self.hasher);
        let rehash = |number: &u32| hasher.hash_one(slot(chunks, *number).job.id);
        self.by_id.insert_unique(hasher.hash_one(job.id), number, rehash);
    }

    fn place(&mut self, slot: Slot) -> u32 {
        if let Some(number) = self.free.pop() {
            *self.slot_mut(number) = slot;
            return number;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let last = self.chunks.len() - 1;
        self.chunks[last].push(slot);
        // Four billion jobs do not fit into memory.
        u32::try_from(last * CHUNK + self.chunks[last].len() - 1).unwrap_or(NONE)
    }

    pub(super) fn remove(&mut self, id: i64) -> Option<FinishedJob> {
        let (chunks, hash) = (&self.chunks, self.hasher.hash_one(id));
        let matches = |number: &u32| slot(chunks, *number).job.id == id;
        let (number, _) = self.by_id.find_entry(hash, matches).ok()?.remove();
        let Slot { job, next, previous } = *self.slot(number);
        if next != NONE {
            self.slot_mut(next).previous = previous;
        }
        let minute = job.end.div_euclid(MINUTE);
        if previous != NONE {
            self.slot_mut(previous).next = next;
        } else if next != NONE {
            self.minutes.insert(minute, next);
        } else {
            self.minutes.remove(&minute);
        }
        self.free.push(number);
        Some(job)
    }

    /// Returns the jobs that ended in `(after, until]`, by minute; within one in no order.
    pub(super) fn ended(&self, after: i64, until: i64) -> impl Iterator<Item = &FinishedJob> {
        let minutes =
            after.div_euclid(MINUTE)..=until.div_euclid(MINUTE).max(after.div_euclid(MINUTE));
        self.minutes
            .range(minutes)
            .flat_map(|(_, first)| self.chain(*first))
            .filter(move |job| after < job.end && job.end <= until)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &FinishedJob> {
        self.minutes.values().flat_map(|first| self.chain(*first))
    }

    fn chain(&self, first: u32) -> impl Iterator<Item = &FinishedJob> {
        let slot = |number: u32| (number != NONE).then(|| self.slot(number));
        std::iter::successors(slot(first), move |at| slot(at.next)).map(|slot| &slot.job)
    }

    /// Drops the jobs that ended at or before `horizon`, and returns them.
    pub(super) fn drop_until(&mut self, horizon: i64) -> Vec<FinishedJob> {
        let ids: Vec<i64> = self.ended(i64::MIN / 2, horizon).map(|job| job.id).collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// Returns the numbers of the jobs that ended in a span and are not live again.
    pub(super) fn ids_in(&self, span: Span) -> impl Iterator<Item = i64> {
        self.ended(span.from, span.to).filter(|job| !job.resumed).map(|job| job.id)
    }

    /// Returns the end at a rank among those in the span; the number of those tells the rank.
    pub(super) fn nth_end(&self, span: Span, rank: impl Fn(usize) -> Option<usize>) -> Option<i64> {
        let mut ends: Vec<i64> = self.ended(span.from, span.to).map(|job| job.end).collect();
        let rank = rank(ends.len())?;
        Some(*ends.select_nth_unstable(rank).1)
    }
}

fn slot(chunks: &[Vec<Slot>], number: u32) -> &Slot {
    &chunks[number as usize / CHUNK][number as usize % CHUNK]
}
