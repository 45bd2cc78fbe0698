//! Draws families of jobs: a job alone, or a parent with children and sometimes grandchildren.
//! Parents sum up their children's kilobytes and files and end after them
//! (docs/netbackup-api.md#jobs-parents).

use fastrand::Rng;

use super::job::{FalseGreen, Job, ROOT, Step};
use super::names::Names;
use super::script::{self, Pace, Scene, Script};
use crate::model::{
    DRAWN_SCHEDULES, JobState, KINDS, LONG_LIVED, QUEUE_REASONS, SCHEDULES, Workload, kind_index,
};
use crate::settings::{Release, Settings};
use crate::status::{Cause, Ending};

/// Lowest share of jobs that show late, where late visibility is on: three in ten.
const LATE_IN_TEN: u32 = 3;

/// Jobs of a catalogue backup: the root and its children.
const CATALOG_JOBS: u16 = 3;

const HOUR_MS: u32 = 3_600_000;

/// Everything that drawing a job needs; the steps it appends to belong to the world.
pub(crate) struct Generator {
    pub(crate) rng: Rng,
    pub(crate) pace: Pace,
    kinds: SpecialKinds,
    /// Longest delay of visibility, in milliseconds.
    late_ms: u32,
    /// Queue reasons of the release.
    queue_reasons: usize,
    /// Share of the successful backups that are none.
    false_greens: f64,
    seed: u64,
    weights: u32,
    script: Script,
}

/// Indices of the job types that families are made of.
#[derive(Clone, Copy)]
struct SpecialKinds {
    backup: u8,
    snapshot: u8,
    snapshot_copy: u8,
    /// Stands for a catalogue backup.
    catalog: u8,
    /// Type of the root of a catalogue backup in this release.
    catalog_root: u8,
}

impl SpecialKinds {
    fn new(release: Release) -> Self {
        let index = |name| kind_index(name).unwrap_or(0);
        let (backup, catalog) = (index("BACKUP"), index("DBBACKUP"));
        Self {
            backup,
            snapshot: index("SNAPSHOT"),
            snapshot_copy: index("SNAPDUPE"),
            catalog,
            catalog_root: if release < Release::R11_0 { catalog } else { backup },
        }
    }
}

/// A job of a family that is placed in time later: `created` counts from the family's arrival, and `parent`
/// is an index within the family.
pub(crate) type Draft = Job;

/// Storage unit and job that children are made of.
#[derive(Clone, Copy)]
struct Mould {
    job: Job,
    unit: u16,
}

impl Generator {
    pub(crate) fn new(settings: &Settings, pace: Pace) -> Self {
        let newest_reasons = settings.release >= Release::R10_5;
        Self {
            rng: Rng::with_seed(settings.seed),
            pace,
            kinds: SpecialKinds::new(settings.release),
            late_ms: u32::try_from(settings.late_visibility.as_millis()).unwrap_or(u32::MAX),
            queue_reasons: QUEUE_REASONS.len() - usize::from(!newest_reasons),
            false_greens: settings.false_greens,
            seed: settings.seed,
            weights: KINDS.iter().map(|kind| kind.weight).sum(),
            script: Script::new(),
        }
    }

    /// Draws a family of at most `room` jobs into `family` (cleared first), its steps into `steps`.
    pub(crate) fn family(
        &mut self,
        names: &Names,
        room: usize,
        family: &mut Vec<Draft>,
        steps: &mut Vec<Step>,
    ) {
        family.clear();
        let kind = self.kind(names, room);
        let children = self.rng.u16(2..7);
        let mould = self.mould(names, kind);
        let has_room = room > usize::from(children) * 4;
        let policy = &names.policies[usize::from(mould.job.policy)];
        if kind == self.kinds.catalog {
            self.catalog_backup(names, mould, family, steps);
        } else if kind != self.kinds.backup || !has_room {
            self.leaf(names, mould, family, steps);
        } else if policy.workload.has_snapshots() && self.rng.u32(0..8) == 0 {
            self.machines(names, mould, children, family, steps);
        } else if !policy.workload.has_snapshots() && self.rng.u32(0..40) == 0 {
            self.streams(names, &mould, children, 0, family, steps);
        } else {
            self.leaf(names, mould, family, steps);
        }
    }

    /// Draws a job that is stalled at this age, in milliseconds: it has done nothing for most of it.
    pub(crate) fn stalled(
        &mut self,
        names: &Names,
        family: &mut Vec<Draft>,
        steps: &mut Vec<Step>,
    ) -> i64 {
        family.clear();
        let age = self.rng.u32(2 * HOUR_MS..6 * HOUR_MS);
        let more = self.rng.u32(12 * HOUR_MS..24 * HOUR_MS);
        let Mould { mut job, unit } = self.mould(names, self.kinds.backup);
        self.script.restart(unit);
        self.script.push(JobState::Queued, Ending::GOOD);
        self.script.wait(1_000.0 + self.rng.f64() * 60_000.0);
        self.script.push(JobState::Active, Ending::GOOD);
        self.script.wait(f64::from(age + more));
        self.script.push(JobState::Done, Ending::CANCELLED);
        job.stalls_after = self.rng.u16(60..1_800);
        (job.kilobytes, job.files) = (1 << 30, 1 << 20);
        keep(&mut job, &self.script.steps, steps);
        family.push(job);
        i64::from(age)
    }

    /// Draws a job that holds something open for days; returns its age in milliseconds.
    pub(crate) fn long_lived(
        &mut self,
        names: &Names,
        number: usize,
        family: &mut Vec<Draft>,
        steps: &mut Vec<Step>,
    ) -> i64 {
        family.clear();
        let age = self.rng.u32(2 * HOUR_MS..24 * HOUR_MS);
        let kind = kind_index(LONG_LIVED[number % LONG_LIVED.len()]).unwrap_or(0);
        let Mould { mut job, unit } = self.mould(names, kind);
        self.script.restart(unit);
        self.script.push(JobState::Queued, Ending::GOOD);
        self.script.wait(1_000.0);
        self.script.push(JobState::Active, Ending::GOOD);
        self.script.wait(f64::from(age + 10 * 24 * HOUR_MS));
        self.script.push(JobState::Done, Ending::GOOD);
        keep(&mut job, &self.script.steps, steps);
        family.push(job);
        i64::from(age)
    }

    /// Draws a type. What a world has no policy or no room for is an ordinary backup.
    fn kind(&mut self, names: &Names, room: usize) -> u8 {
        let mut draw = self.rng.u32(0..self.weights);
        let mut drawn = self.kinds.backup;
        for (index, kind) in (0..).zip(KINDS) {
            if draw < kind.weight {
                drawn = index;
                break;
            }
            draw -= kind.weight;
        }
        let no_catalog = names.catalog_policies.is_empty() || room < usize::from(CATALOG_JOBS);
        let missing = drawn == self.kinds.catalog && no_catalog
            || drawn == self.kinds.snapshot_copy && names.snapshot_policies.is_empty();
        if missing { self.kinds.backup } else { drawn }
    }

    /// Draws the policy of a job: catalogue backups have their own, and so have snapshots that stand alone.
    fn policy(&mut self, names: &Names, kind: u8) -> u16 {
        let of = |rng: &mut Rng, policies: &[u16]| policies[rng.usize(0..policies.len())];
        if kind == self.kinds.catalog && !names.catalog_policies.is_empty() {
            return of(&mut self.rng, &names.catalog_policies);
        }
        let snapshots = kind == self.kinds.snapshot_copy || kind == self.kinds.snapshot;
        if snapshots && !names.snapshot_policies.is_empty() {
            return of(&mut self.rng, &names.snapshot_policies);
        }
        let policy = self.rng.u16(0..names.policies());
        if names.policies[usize::from(policy)].workload == Workload::Catalog {
            // The first policy of every world is an ordinary one.
            return 0;
        }
        policy
    }

    /// Draws a job with everything but its script and its volume, and its storage unit.
    fn mould(&mut self, names: &Names, kind: u8) -> Mould {
        let policy = self.policy(names, kind);
        let workload = names.policies[usize::from(policy)].workload;
        let rng = &mut self.rng;
        let late = self.late_ms > 0 && rng.u32(0..10) < LATE_IN_TEN;
        let client = rng.u32(0..names.clients());
        let is_machine = workload == Workload::Machines;
        let job = Job {
            created: 0,
            kilobytes: 0,
            steps: 0,
            parent: ROOT,
            first_child: 0,
            files: 0,
            dedup: 0.0,
            client,
            workload: if is_machine { rng.u32(0..names.clients()) } else { client },
            delay: if late { rng.u32(1..=self.late_ms) } else { 0 },
            policy,
            stalls_after: 0,
            children: 0,
            step_count: 0,
            kind,
            schedule: if KINDS[usize::from(kind)].policy { rng.u8(1..=DRAWN_SCHEDULES) } else { 0 },
            queue_reason: QUEUE_REASONS[rng.usize(0..self.queue_reasons)],
            false_green: None,
        };
        Mould { job, unit: rng.u16(0..names.units()) }
    }

    /// Adds a leaf with its script and its volume to the family; returns its last end and how it ended.
    fn leaf(
        &mut self,
        names: &Names,
        mould: Mould,
        family: &mut Vec<Draft>,
        steps: &mut Vec<Step>,
    ) -> (i64, Ending) {
        let Mould { mut job, unit } = mould;
        let scene = Scene { kind: job.kind(), units: &names.units };
        let ending = scene.outcome(&mut self.rng, unit);
        self.script.restart(unit);
        script::leaf(&mut self.rng, &mut self.script, self.pace, &scene, ending);
        keep(&mut job, &self.script.steps, steps);
        // Nothing moved where the job was cancelled before it ran, and less where it failed.
        let ran = self.script.steps.iter().any(|step| step.state == JobState::Active);
        if job.kind().data && ran && ending.cause != Some(Cause::NothingToDo) {
            self.give_volume(&mut job, ending);
        }
        family.push(job);
        last(&job, steps)
    }

    /// Draws what a job that ran has moved.
    fn give_volume(&mut self, job: &mut Job, ending: Ending) {
        let share = if ending.is_complete() { 1.0 } else { self.rng.f64() * 0.8 };
        let whole = self.usual_kilobytes(job) * (0.9 + 0.2 * self.rng.f64());
        #[allow(clippy::cast_possible_truncation, reason = "less than 2^33")]
        let moved = (whole * share) as i64;
        // A job that is well moves something every second.
        let kilobytes = moved.max(i64::from(self.script.end()) / 1000 + 1);
        let files = (kilobytes / 64 + 1).min(20_000_000);
        let false_green = self.false_green(job, ending);
        let (kilobytes, files) = false_green
            .map_or((kilobytes, files), |false_green| false_green.distort(kilobytes, files));
        job.kilobytes = kilobytes;
        job.files = u32::try_from(files).unwrap_or(u32::MAX);
        job.dedup = if share < 1.0 { 0.0 } else { (self.rng.f32() * 1000.0).round() / 10.0 };
        job.false_green = false_green;
    }

    /// Returns the usual size of such a job: that of what it works for, log-uniform from 512 MB to 4 TB; some totals
    /// exceed 32 bits. Anything but a full backup is a tenth of it.
    fn usual_kilobytes(&self, job: &Job) -> f64 {
        let subject = u64::from(job.workload) << 16 | u64::from(job.policy);
        let mut size = Rng::with_seed(self.seed ^ subject.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let full = (9.0 + size.f64() * 13.0).exp2() * 1024.0;
        if is_full(job) { full } else { full / 10.0 }
    }

    fn false_green(&mut self, job: &Job, ending: Ending) -> Option<FalseGreen> {
        let backup = job.kind == self.kinds.backup && ending == Ending::GOOD;
        if !backup || self.false_greens <= 0.0 || self.rng.f64() >= self.false_greens {
            return None;
        }
        let drawn = FalseGreen::ALL[self.rng.usize(0..FalseGreen::ALL.len())];
        // An incremental backup may well find no file that changed.
        let harmless = drawn == FalseGreen::NoFiles && !is_full(job);
        Some(if harmless { FalseGreen::NoImage } else { drawn })
    }

    /// Adds a run of a policy of machines or shares: a parent, snapshots and backups, each of another machine.
    fn machines(
        &mut self,
        names: &Names,
        mould: Mould,
        children: u16,
        family: &mut Vec<Draft>,
        steps: &mut Vec<Step>,
    ) {
        let workload = names.policies[usize::from(mould.job.policy)].workload;
        let parent = self.open_parent(&mould.job, children, family);
        let mut ends = Ends::default();
        for child in 0..children {
            let mut mould = Mould { job: parent.child(&mould.job, child), ..mould };
            mould.job.workload = (mould.job.workload + u32::from(child) + 1) % names.clients();
            if workload == Workload::Shares {
                mould.job.client = mould.job.workload;
            }
            let is_backup = child > 0 && (child + 1 == children || self.rng.u32(0..3) > 0);
            if !is_backup {
                mould.job.kind = self.kinds.snapshot;
            }
            ends.add(self.leaf(names, mould, family, steps));
        }
        self.close_parent(&parent, mould.unit, &ends, family, steps);
    }

    /// Adds a catalogue backup, whose root ends last. It is worth nothing where a part of it failed.
    fn catalog_backup(
        &mut self,
        names: &Names,
        mould: Mould,
        family: &mut Vec<Draft>,
        steps: &mut Vec<Step>,
    ) {
        let root = Job { kind: self.kinds.catalog_root, ..mould.job };
        let parent = self.open_parent(&root, CATALOG_JOBS - 1, family);
        let mut ends = Ends { all_or_nothing: true, ..Ends::default() };
        for child in 0..CATALOG_JOBS - 1 {
            let mut job = parent.child(&root, child);
            job.kind = self.kinds.backup;
            ends.add(self.leaf(names, Mould { job, ..mould }, family, steps));
        }
        self.close_parent(&parent, mould.unit, &ends, family, steps);
    }

    /// Adds a backup of one client in several streams, one of which may have streams of its own.
    fn streams(
        &mut self,
        names: &Names,
        mould: &Mould,
        children: u16,
        depth: u32,
        family: &mut Vec<Draft>,
        steps: &mut Vec<Step>,
    ) -> (i64, Ending) {
        let parent = self.open_parent(&mould.job, children, family);
        let mut ends = Ends::default();
        for child in 0..children {
            let mould = Mould { job: parent.child(&mould.job, child), ..*mould };
            ends.add(if depth == 0 && child == 0 && self.rng.u32(0..4) == 0 {
                self.streams(names, &mould, 2, depth + 1, family, steps)
            } else {
                self.leaf(names, mould, family, steps)
            });
        }
        self.close_parent(&parent, mould.unit, &ends, family, steps)
    }

    /// Adds a parent without a script, which its children give it.
    fn open_parent(&mut self, like: &Job, children: u16, family: &mut Vec<Draft>) -> Parent {
        let queued = 1_000 * (1 + i64::from(self.rng.u32(0..20)));
        let parent = Parent { place: family.len(), queued, first_child: queued + 2_000 };
        let mut job = *like;
        job.children = children;
        job.schedule = 0;
        job.first_child = u32::try_from(parent.first_child).unwrap_or(0);
        family.push(job);
        parent
    }

    /// Gives the parent its script and its children's sums, once the children are known.
    fn close_parent(
        &mut self,
        parent: &Parent,
        unit: u16,
        ends: &Ends,
        family: &mut [Draft],
        steps: &mut Vec<Step>,
    ) -> (i64, Ending) {
        let (mut kilobytes, mut files) = (0, 0_u32);
        let index = parent.index();
        for child in family[parent.place + 1..].iter().filter(|job| job.parent == index) {
            kilobytes += child.kilobytes;
            files = files.saturating_add(child.files);
        }
        let job = &mut family[parent.place];
        (job.kilobytes, job.files) = (kilobytes, files);
        let ending = ends.of_parent();
        self.script.restart(unit);
        self.script.push(JobState::Queued, Ending::GOOD);
        self.script.wait(parent.queued as f64);
        self.script.push(JobState::Active, Ending::GOOD);
        let wait = 500 + i64::from(self.rng.u32(0..5_000));
        self.script.wait((ends.latest - job.created - parent.queued + wait) as f64);
        self.script.push(JobState::Done, ending);
        keep(job, &self.script.steps, steps);
        (job.created + i64::from(self.script.end()), ending)
    }
}

/// A parent whose children are being drawn.
struct Parent {
    /// Its place in the family.
    place: usize,
    /// Milliseconds that it waits.
    queued: i64,
    /// Milliseconds after its own arrival at which the first child arrives.
    first_child: i64,
}

impl Parent {
    fn index(&self) -> u32 {
        u32::try_from(self.place).unwrap_or(ROOT)
    }

    /// The nth child, like this job, which arrives with the parent.
    fn child(&self, like: &Job, number: u16) -> Job {
        let created = like.created + self.first_child + 1_000 * i64::from(number);
        Job { parent: self.index(), created, ..*like }
    }
}

/// Ends of the children of a parent.
#[derive(Default)]
struct Ends {
    latest: i64,
    children: u32,
    good: u32,
    /// The last end that was not good.
    bad: Option<Ending>,
    /// The parent fails with any of its children.
    all_or_nothing: bool,
}

impl Ends {
    fn add(&mut self, (end, ending): (i64, Ending)) {
        self.latest = self.latest.max(end);
        self.children += 1;
        self.good += u32::from(ending == Ending::GOOD);
        if ending != Ending::GOOD {
            self.bad = Some(ending);
        }
    }

    /// The end of the parent: partial success where some of its children were not good.
    fn of_parent(&self) -> Ending {
        match self.bad {
            None => Ending::GOOD,
            Some(bad) if self.all_or_nothing || self.good == 0 => bad,
            Some(_) => Ending::PARTIAL,
        }
    }
}

fn is_full(job: &Job) -> bool {
    SCHEDULES[usize::from(job.schedule)].1.contains("FULL_BACKUP")
}

/// Appends a script to the world's steps and points the job to it.
pub(crate) fn keep(job: &mut Job, script: &[Step], steps: &mut Vec<Step>) {
    job.steps = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    job.step_count = u8::try_from(script.len()).unwrap_or(u8::MAX);
    steps.extend_from_slice(script);
}

/// (last end, how it ended) of a job whose script is kept; a touch after the end does not count.
fn last(job: &Job, steps: &[Step]) -> (i64, Ending) {
    let script = job.script(steps);
    let ending = script.last().map_or(Ending::GOOD, |step| step.ending());
    let end = script
        .windows(2)
        .filter(|pair| pair[0].state != JobState::Done && pair[1].state == JobState::Done)
        .map(|pair| job.at(pair[1]))
        .max();
    (end.unwrap_or(job.created), ending)
}
