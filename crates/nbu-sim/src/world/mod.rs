//! The world: every job with its script, kept up to the present, and sorted for the lists.
//!
//! Nothing random happens when time passes: jobs are drawn in the order of their arrival from one generator,
//! so it does not matter how often, or in what steps, the world is advanced.

pub(crate) mod arrivals;
pub(crate) mod batch;
pub(crate) mod cartridges;
pub(crate) mod disk;
pub(crate) mod drives;
pub(crate) mod facts;
pub(crate) mod generate;
pub(crate) mod job;
pub(crate) mod lists;
pub(crate) mod names;
pub(crate) mod recurring;
pub(crate) mod script;
pub(crate) mod slp;
pub(crate) mod storage;
pub(crate) mod tape;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::sync::{Arc, RwLock};

use self::arrivals::Arrivals;
use self::batch::{Batch, Oddity, Prepared};
use self::job::{Job, Look, Step};
use self::lists::Lists;
use self::names::Names;
use self::slp::SlpWorld;
use self::tape::Tape;
use crate::clock::{Clock, millis, stamp};
use crate::model::JobState;
use crate::settings::Settings;

/// The first jobId; the others follow in the order of arrival.
pub(crate) const FIRST_JOB_ID: i64 = 1001;

/// A sorted index: (key, index of the job).
pub(crate) type Index = Vec<(i64, u32)>;

/// The simulated server's state.
pub(crate) struct World {
    pub(crate) names: Names,
    pub(crate) tape: Tape,
    pub(crate) slp: SlpWorld,
    /// The servers whose images are replicated to this one.
    pub(crate) origins: Vec<Arc<RwLock<World>>>,
    lists: Lists,
    /// All jobs ever, in the order of arrival: sorted by startTime and by jobId at once.
    pub(crate) jobs: Vec<Job>,
    pub(crate) steps: Vec<Step>,
    /// Jobs to which something still happens.
    pub(crate) live: BTreeSet<u32>,
    /// The others, by lastUpdateTime.
    pub(crate) by_update: Index,
    /// The others, by endTime.
    pub(crate) by_end: Index,
    /// Jobs before this index are purged.
    pub(crate) first_kept: usize,
    pub(crate) skews: Vec<(i64, i64)>,
    /// World time that has been reached.
    pub(crate) now: i64,
    tick: i64,
    pub(crate) retention: i64,
    settling: BinaryHeap<Reverse<(i64, u32)>>,
    arrivals: Arrivals,
    /// Deviations from the API, by index of the job.
    oddities: HashMap<u32, Arc<Oddity>>,
}

impl World {
    /// The world at the clock's time: its history, what runs, and the generator of what comes.
    pub(crate) fn new(settings: &Settings, clock: &Clock, names: Names, lists: Lists) -> Self {
        let now = clock.world_ms();
        let mut arrivals = Arrivals::new(settings, now);
        let (jobs, steps) = arrivals.history(settings, &names, now);
        let mut world = Self {
            tape: Tape::new(settings, &names, now),
            slp: SlpWorld::new(settings, &names, now),
            origins: Vec::new(),
            lists,
            names,
            jobs,
            steps,
            live: BTreeSet::new(),
            by_update: Index::new(),
            by_end: Index::new(),
            first_kept: 0,
            skews: clock.skew_history(),
            now,
            tick: millis(settings.progress_updates),
            retention: millis(settings.retention),
            settling: BinaryHeap::new(),
            arrivals,
            oddities: HashMap::new(),
        };
        world.index_history();
        world
    }

    /// Returns the rows of a resource whose list does not change.
    pub(crate) fn list<T: 'static>(&self) -> &[T] {
        self.lists.get()
    }

    /// True when [`World::advance`] would change anything: the time at which it has to be called next has
    /// passed, or the skew was changed.
    pub(crate) fn is_behind(&self, clock: &Clock) -> bool {
        clock.world_ms() > self.now || clock.skew_count() != self.skews.len()
    }

    /// Brings the world to the clock's time. A clock that stepped back leaves it where it is.
    pub(crate) fn advance(&mut self, clock: &Clock) {
        if clock.skew_count() != self.skews.len() {
            self.skews = clock.skew_history();
        }
        let now = clock.world_ms();
        if now <= self.now {
            return;
        }
        while let Some(arrival) = self.arrivals.next(now, &self.names, &mut self.steps) {
            let index = u32::try_from(self.jobs.len()).unwrap_or(u32::MAX);
            let job = self.arrivals.admit(&arrival, index);
            self.add(index, job);
        }
        self.now = now;
        while let Some(&Reverse((at, index))) = self.settling.peek() {
            if at > now {
                break;
            }
            self.settling.pop();
            self.settle(index);
        }
        while self.first_kept < self.jobs.len() && self.is_purged(self.first_kept) {
            self.first_kept += 1;
        }
    }

    /// Starts the jobs of a batch now, each parent before its children; returns the index of the first.
    pub(crate) fn submit(&mut self, batch: &Batch) -> u32 {
        let first = u32::try_from(self.jobs.len()).unwrap_or(u32::MAX);
        let prepared = batch.prepare(&self.names, self.now, &mut self.steps);
        self.start(&prepared, job::ROOT);
        first
    }

    fn start(&mut self, prepared: &Prepared, parent: u32) {
        for _ in 0..prepared.count {
            let index = u32::try_from(self.jobs.len()).unwrap_or(u32::MAX);
            if let Some(oddity) = &prepared.oddity {
                self.oddities.insert(index, Arc::clone(oddity));
            }
            self.add(index, Job { parent, ..prepared.job });
            for child in &prepared.children {
                self.start(child, index);
            }
        }
    }

    fn add(&mut self, index: u32, job: Job) {
        self.live.insert(index);
        self.settling.push(Reverse((job.settled_at(&self.steps), index)));
        self.jobs.push(job);
    }

    fn settle(&mut self, index: u32) {
        self.live.remove(&index);
        let Some((update, end)) = self.final_keys(index) else { return };
        insert(&mut self.by_update, (update, index));
        insert(&mut self.by_end, (end, index));
    }

    fn index_history(&mut self) {
        let (jobs, steps) = (&self.jobs, &self.steps);
        for (index, job) in (0_u32..).zip(jobs) {
            let at = job.settled_at(steps);
            if at > self.now {
                self.live.insert(index);
                self.settling.push(Reverse((at, index)));
            } else if let Some((update, end)) = self.final_keys(index) {
                self.by_update.push((update, index));
                self.by_end.push((end, index));
            }
        }
        self.by_update.sort_unstable();
        self.by_end.sort_unstable();
    }

    /// (lastUpdateTime, endTime) of a settled job, as stamped.
    fn final_keys(&self, index: u32) -> Option<(i64, i64)> {
        let look = self.look(index as usize, i64::MAX / 2)?;
        Some((self.stamp(look.updated), self.end_stamp(index as usize, &look)))
    }

    /// Server time of a world instant.
    pub(crate) fn stamp(&self, at: i64) -> i64 {
        match self.skews.as_slice() {
            [(_, skew)] => at + skew,
            skews => stamp(skews, at),
        }
    }

    /// startTime as stamped: whole seconds (docs/netbackup-api.md#times).
    pub(crate) fn start_stamp(&self, job: &Job) -> i64 {
        whole_seconds(self.stamp(job.created))
    }

    /// endTime as stamped, in whole seconds; 0 while the job is not DONE (docs/netbackup-api.md#times).
    pub(crate) fn end_stamp(&self, index: usize, look: &Look) -> i64 {
        let ahead = self.oddity(index).map_or(0, |oddity| oddity.end_ahead_ms);
        look.ended.map_or(0, |at| whole_seconds(self.stamp(at) + ahead))
    }

    fn oddity(&self, index: usize) -> Option<&Oddity> {
        // Most worlds have none, and some have a million jobs.
        if self.oddities.is_empty() {
            return None;
        }
        self.oddities.get(&u32::try_from(index).ok()?).map(Arc::as_ref)
    }

    /// True while startTime grows with jobId: no skew was changed under way.
    pub(crate) fn start_is_sorted(&self) -> bool {
        self.skews.len() == 1
    }

    /// The job as it truly is at world time `at`.
    pub(crate) fn look(&self, index: usize, at: i64) -> Option<Look> {
        let mut look = self.jobs.get(index)?.look(&self.steps, at, self.tick)?;
        if let Some(files) = self.oddity(index).and_then(|oddity| oddity.files) {
            look.files = files;
        }
        Some(look)
    }

    /// The job as lists show it now: late by its delay; `None` when it is not visible yet, or purged.
    pub(crate) fn visible(&self, index: usize) -> Option<Look> {
        let job = self.jobs.get(index)?;
        let look = self.look(index, self.now - i64::from(job.delay))?;
        let purged = look.ended.is_some_and(|end| end + self.retention <= self.now);
        (!purged).then_some(look)
    }

    /// True when the job was purged by now.
    pub(crate) fn is_purged(&self, index: usize) -> bool {
        self.look(index, self.now)
            .is_some_and(|look| look.ended.is_some_and(|end| end + self.retention <= self.now))
    }

    /// endTime of the oldest finished jobs that are kept, less a second for the rounding.
    pub(crate) fn purge_horizon(&self) -> i64 {
        if self.start_is_sorted() { self.stamp(self.now - self.retention) - 1000 } else { i64::MIN }
    }

    /// The jobId of an index.
    pub(crate) fn job_id(index: u32) -> i64 {
        FIRST_JOB_ID + i64::from(index)
    }

    /// parentJobId: 0 for a root (docs/netbackup-api.md#jobs-parents).
    pub(crate) fn parent_id(job: &Job) -> i64 {
        if job.parent == job::ROOT { 0 } else { Self::job_id(job.parent) }
    }

    /// jobPath: the ids from the root down, separated by dots.
    pub(crate) fn job_path(&self, index: u32) -> String {
        let mut path = Self::job_id(index).to_string();
        let mut parent = self.jobs[index as usize].parent;
        while parent != job::ROOT {
            path = format!("{}.{path}", Self::job_id(parent));
            parent = self.jobs[parent as usize].parent;
        }
        path
    }

    /// Every completion of a job up to world time `at`: the steps that made it DONE.
    pub(crate) fn completions_of(&self, job: &Job, at: i64) -> impl Iterator<Item = Step> {
        let script = job.script(&self.steps);
        (1..script.len()).filter_map(move |i| {
            let (before, step) = (script[i - 1], script[i]);
            let done = step.state == JobState::Done && before.state != JobState::Done;
            (done && job.at(step) <= at).then_some(step)
        })
    }

    /// World time at which a job that `completion` made DONE is resumed, if ever.
    pub(crate) fn resumed_after(&self, job: &Job, completion: Step) -> Option<i64> {
        let mut later = job.script(&self.steps).iter().filter(|step| step.delta > completion.delta);
        later.find(|step| step.state != JobState::Done).map(|step| job.at(*step))
    }
}

/// Inserts near the end, where new entries belong.
fn insert(index: &mut Index, entry: (i64, u32)) {
    let place = index.partition_point(|other| *other < entry);
    index.insert(place, entry);
}

fn whole_seconds(ms: i64) -> i64 {
    ms - ms.rem_euclid(1000)
}
