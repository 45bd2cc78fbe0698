//! Draws the script of one job: how long it waits and runs, whether it fails, is retried, suspended, held
//! as INCOMPLETE, resumed, and touched after its end.

use fastrand::Rng;

use super::job::Step;
use super::storage::StorageUnit;
use crate::model::{JobKind, JobState};
use crate::status::{Cause, Ending, Medium};

/// Longest script, in milliseconds: what a step can hold, with room for the parents' share.
const LONGEST: u32 = 30 * 24 * 3_600_000;

/// Settings that decide how scripts are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Mean time from arrival to end, in milliseconds.
    pub(crate) mean_ms: f64,
    /// Some finished jobs are touched hours later.
    pub(crate) updates: bool,
    /// Some failed jobs are resumed after they were DONE.
    pub(crate) resumes: bool,
}

/// Surroundings of a job: what can happen to it, and where.
pub(crate) struct Scene<'a> {
    pub(crate) kind: &'static JobKind,
    pub(crate) units: &'a [StorageUnit],
}

impl Scene<'_> {
    fn medium(&self, unit: u16) -> Option<Medium> {
        self.units.get(usize::from(unit)).map(StorageUnit::medium)
    }

    /// Draws the end of the job, which writes to this unit.
    pub(crate) fn outcome(&self, rng: &mut Rng, unit: u16) -> Ending {
        Ending::draw(rng, self.kind, self.medium(unit))
    }

    /// Draws a failure on this unit after which the job is tried again.
    fn passing_failure(&self, rng: &mut Rng, unit: u16) -> Ending {
        Ending::draw_retried(rng, self.kind, self.medium(unit))
    }
}

/// Steps being collected, with the instant they have reached.
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
    now: u32,
    attempt: u8,
    /// Storage unit of the attempt.
    unit: u16,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self { steps: Vec::with_capacity(12), now: 0, attempt: 1, unit: 0 }
    }

    /// Starts over on a storage unit, keeping the memory.
    pub(crate) fn restart(&mut self, unit: u16) {
        self.steps.clear();
        (self.now, self.attempt, self.unit) = (0, 1, unit);
    }

    /// Milliseconds from arrival to the last step.
    pub(crate) fn end(&self) -> u32 {
        self.now
    }

    pub(crate) fn wait(&mut self, ms: f64) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let ms = ms.clamp(1.0, f64::from(LONGEST)) as u32;
        self.now = self.now.saturating_add(ms).min(LONGEST);
    }

    pub(crate) fn push(&mut self, state: JobState, ending: Ending) {
        self.steps.push(Step {
            delta: self.now,
            status: ending.status,
            unit: self.unit,
            state,
            attempt: self.attempt,
            cause: ending.cause,
        });
    }

    fn next_try(&mut self) {
        self.attempt = self.attempt.saturating_add(1);
    }
}

/// An exponentially distributed span with the given mean, cut at eight times the mean.
pub(crate) fn span(rng: &mut Rng, mean: f64) -> f64 {
    let u = rng.f64().max(1e-9);
    (-u.ln()).min(8.0) * mean
}

/// Longest time that a job takes to find that there is nothing to do, in milliseconds.
const IDLE: f64 = 30_000.0;

/// Writes the script of a leaf job that ends so. The storage unit is that of its first attempt.
pub(crate) fn leaf(
    rng: &mut Rng,
    script: &mut Script,
    pace: Pace,
    scene: &Scene<'_>,
    ending: Ending,
) {
    script.push(JobState::Queued, Ending::GOOD);
    script.wait(1_000.0 + span(rng, pace.mean_ms * 0.15));
    let unwanted = ending == Ending::CANCELLED && rng.u32(0..4) == 0;
    if unwanted || ending.cause == Some(Cause::WindowClosed) {
        script.push(JobState::Done, ending);
        return;
    }
    script.push(JobState::Active, Ending::GOOD);
    if ending.cause == Some(Cause::NothingToDo) {
        script.wait(1_000.0 + rng.f64() * IDLE);
        script.push(JobState::Done, ending);
        return;
    }
    detours(rng, script, pace, scene);
    script.wait(1_000.0 + span(rng, pace.mean_ms * 0.7));
    finish(rng, script, pace, ending);
    after(rng, script, pace, ending);
}

/// Adds the events that may happen to a running job before its last attempt.
fn detours(rng: &mut Rng, script: &mut Script, pace: Pace, scene: &Scene<'_>) {
    match rng.u32(0..1000) {
        0..50 => {
            for _ in 0..=rng.u32(0..2) {
                script.wait(1_000.0 + span(rng, pace.mean_ms * 0.4));
                script.push(JobState::Requeued, scene.passing_failure(rng, script.unit));
                script.wait(1_000.0 + span(rng, pace.mean_ms * 0.3));
                script.next_try();
                if rng.u32(0..3) == 0 && !scene.units.is_empty() {
                    script.unit = u16::try_from(rng.usize(0..scene.units.len())).unwrap_or(0);
                }
                script.push(JobState::Active, Ending::GOOD);
            }
        }
        50..65 => {
            script.wait(1_000.0 + span(rng, pace.mean_ms * 0.4));
            script.push(JobState::Suspended, Ending::GOOD);
            script.wait(2_000.0 + span(rng, pace.mean_ms * 2.0));
            script.next_try();
            script.push(JobState::Queued, Ending::GOOD);
            script.wait(1_000.0 + span(rng, pace.mean_ms * 0.1));
            script.push(JobState::Active, Ending::GOOD);
        }
        65..80 => {
            script.wait(1_000.0 + span(rng, pace.mean_ms * 0.4));
            script.push(JobState::Incomplete, scene.passing_failure(rng, script.unit));
            script.wait(2_000.0 + span(rng, pace.mean_ms * 2.0));
            script.next_try();
            script.push(JobState::Queued, Ending::GOOD);
            script.wait(1_000.0 + span(rng, pace.mean_ms * 0.1));
            script.push(JobState::Active, Ending::GOOD);
        }
        _ => {}
    }
}

/// The end of the last attempt. A failure may sit in INCOMPLETE first and end with the same code
/// when the hold is over (docs/netbackup-api.md#jobs-states).
fn finish(rng: &mut Rng, script: &mut Script, pace: Pace, ending: Ending) {
    if ending.failed() && rng.u32(0..5) == 0 {
        script.push(JobState::Incomplete, ending);
        script.wait(2_000.0 + span(rng, pace.mean_ms * 2.0));
    }
    script.push(JobState::Done, ending);
}

/// Adds the events that may happen after the end, where the settings ask for them.
fn after(rng: &mut Rng, script: &mut Script, pace: Pace, ending: Ending) {
    if pace.resumes && ending.failed() && rng.u32(0..4) == 0 {
        script.wait(60_000.0 + span(rng, pace.mean_ms));
        script.next_try();
        script.push(JobState::Queued, Ending::GOOD);
        script.wait(1_000.0 + span(rng, pace.mean_ms * 0.1));
        script.push(JobState::Active, Ending::GOOD);
        script.wait(1_000.0 + span(rng, pace.mean_ms * 0.5));
        script.push(JobState::Done, Ending::GOOD);
    }
    if pace.updates && rng.u32(0..10) == 0 {
        let last = script.steps.last().map_or(Ending::GOOD, |step| step.ending());
        script.wait(60_000.0 + span(rng, 2.0 * 3_600_000.0));
        script.push(JobState::Done, last);
    }
}
