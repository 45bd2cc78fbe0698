//! Draws families of jobs: a job alone, or a parent with children and sometimes grandchildren.
//! Parents sum up their children's kilobytes and files and end after them
//! (docs/netbackup-api.md#jobs-parents).

use fastrand::Rng;

use super::job::{Job, ROOT, Step};
use super::names::Names;
use super::script::{self, Pace, Script};
use crate::model::{JobState, KINDS, QUEUE_REASONS};

/// Lowest share of jobs that show late, where late visibility is on: three in ten.
const LATE_IN_TEN: u32 = 3;

/// Everything that drawing a job needs; the steps it appends to belong to the world.
pub(crate) struct Generator {
    pub(crate) rng: Rng,
    pub(crate) pace: Pace,
    /// Longest delay of visibility, in milliseconds.
    pub(crate) late_ms: u32,
    /// Queue reasons of the release.
    pub(crate) queue_reasons: usize,
    weights: u32,
    script: Script,
}

/// A job of a family that is placed in time later: `created` counts from the family's arrival, and `parent`
/// is an index within the family.
pub(crate) type Draft = Job;

impl Generator {
    pub(crate) fn new(seed: u64, pace: Pace, late_ms: u32, newest_reasons: bool) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            pace,
            late_ms,
            queue_reasons: QUEUE_REASONS.len() - usize::from(!newest_reasons),
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
        let kind = self.kind();
        let children = self.rng.u16(2..7);
        if kind == 0 && room > usize::from(children) * 4 && self.rng.u32(0..25) == 0 {
            let like = self.base(names, kind);
            self.parent(&like, children, 0, family, steps);
        } else {
            let mut job = self.base(names, kind);
            self.run_leaf(&mut job, steps);
            family.push(job);
        }
    }

    fn kind(&mut self) -> u8 {
        let mut draw = self.rng.u32(0..self.weights);
        for (index, kind) in KINDS.iter().enumerate() {
            if draw < kind.weight {
                return u8::try_from(index).unwrap_or(0);
            }
            draw -= kind.weight;
        }
        0
    }

    /// A job with everything but its script and its volume.
    fn base(&mut self, names: &Names, kind: u8) -> Job {
        let rng = &mut self.rng;
        let late = self.late_ms > 0 && rng.u32(0..10) < LATE_IN_TEN;
        Job {
            created: 0,
            kilobytes: 0,
            steps: 0,
            parent: ROOT,
            first_child: 0,
            files: 0,
            dedup: 0.0,
            client: rng.u32(0..names.clients()),
            delay: if late { rng.u32(1..=self.late_ms) } else { 0 },
            policy: rng.u16(0..names.policies()),
            unit: rng.u16(0..names.units()),
            children: 0,
            step_count: 0,
            kind,
            schedule: if KINDS[usize::from(kind)].policy { rng.u8(1..6) } else { 0 },
            queue_reason: QUEUE_REASONS[rng.usize(0..self.queue_reasons)],
        }
    }

    fn run_leaf(&mut self, job: &mut Job, steps: &mut Vec<Step>) {
        let status = script::outcome(&mut self.rng);
        self.script.clear();
        script::leaf(&mut self.rng, &mut self.script, self.pace, status);
        keep(job, &self.script.steps, steps);
        let kind = job.kind();
        // Nothing moved where the job was cancelled before it ran, and less where it failed.
        let ran = self.script.steps.iter().any(|step| step.state == JobState::Active);
        if !kind.data || !ran {
            return;
        }
        let share = if matches!(status, 0 | 1) { 1.0 } else { self.rng.f64() * 0.8 };
        // Log-uniform from 1 MB to 4 TB: some totals exceed 32 bits.
        let kilobytes = (self.rng.f64() * 22.0).exp2() * 1024.0 * share;
        #[allow(clippy::cast_possible_truncation, reason = "at most 2^32")]
        let kilobytes = kilobytes as i64;
        job.kilobytes = kilobytes;
        job.files = u32::try_from(kilobytes / 64 + 1).unwrap_or(u32::MAX).min(20_000_000);
        job.dedup = if share < 1.0 { 0.0 } else { (self.rng.f32() * 1000.0).round() / 10.0 };
    }

    /// A parent at `at` (milliseconds after the family's arrival), its children, and their children.
    fn parent(
        &mut self,
        like: &Job,
        children: u16,
        depth: u32,
        family: &mut Vec<Draft>,
        steps: &mut Vec<Step>,
    ) -> (i64, u16) {
        let me = family.len();
        let parent_index = u32::try_from(me).unwrap_or(ROOT);
        let queued = 1_000 * (1 + i64::from(self.rng.u32(0..20)));
        let first_child = queued + 2_000;
        let mut parent = *like;
        parent.children = children;
        parent.schedule = 0;
        parent.first_child = u32::try_from(first_child).unwrap_or(0);
        family.push(parent);
        let (mut latest, mut worst) = (0, 0);
        for child in 0..children {
            let mut job = *like;
            job.parent = parent_index;
            job.created = like.created + first_child + 1_000 * i64::from(child);
            job.client = like.client;
            let (end, status) = if depth == 0 && child == 0 && self.rng.u32(0..4) == 0 {
                self.parent(&job, 2, depth + 1, family, steps)
            } else {
                self.run_leaf(&mut job, steps);
                family.push(job);
                last(&job, steps)
            };
            latest = latest.max(end);
            worst = worst.max(status);
        }
        self.close_parent(me, queued, latest, worst, family, steps)
    }

    /// Gives the parent its script and its children's sums, once the children are known.
    fn close_parent(
        &mut self,
        me: usize,
        queued: i64,
        latest: i64,
        worst: u16,
        family: &mut [Draft],
        steps: &mut Vec<Step>,
    ) -> (i64, u16) {
        let parent_index = u32::try_from(me).unwrap_or(ROOT);
        let (mut kilobytes, mut files) = (0, 0_u32);
        for child in family[me + 1..].iter().filter(|job| job.parent == parent_index) {
            kilobytes += child.kilobytes;
            files = files.saturating_add(child.files);
        }
        let parent = &mut family[me];
        (parent.kilobytes, parent.files) = (kilobytes, files);
        // A parent some of whose children failed is partially successful.
        let status = u16::from(worst != 0);
        self.script.clear();
        self.script.push(JobState::Queued, 0);
        self.script.wait(queued as f64);
        self.script.push(JobState::Active, 0);
        let rest = latest - parent.created - queued + 500 + i64::from(self.rng.u32(0..5_000));
        self.script.wait(rest as f64);
        self.script.push(JobState::Done, status);
        keep(parent, &self.script.steps, steps);
        (parent.created + i64::from(self.script.end()), status)
    }
}

/// Appends a script to the world's steps and points the job to it.
fn keep(job: &mut Job, script: &[Step], steps: &mut Vec<Step>) {
    job.steps = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    job.step_count = u8::try_from(script.len()).unwrap_or(u8::MAX);
    steps.extend_from_slice(script);
}

/// (last end, status) of a job whose script is kept; a touch after the end does not count.
fn last(job: &Job, steps: &[Step]) -> (i64, u16) {
    let script = job.script(steps);
    let status = script.last().map_or(0, |step| step.status);
    let end = script
        .windows(2)
        .filter(|pair| pair[0].state != JobState::Done && pair[1].state == JobState::Done)
        .map(|pair| job.at(pair[1]))
        .max();
    (end.unwrap_or(job.created), status)
}
