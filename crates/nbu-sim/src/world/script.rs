//! Draws the script of one job: how long it waits and runs, whether it fails, is retried, suspended, held
//! as INCOMPLETE, resumed, and touched after its end.

use fastrand::Rng;

use super::job::Step;
use crate::model::{FAILURES, JobState};

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

/// Steps being collected, with the instant they have reached.
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
    now: u32,
    attempt: u8,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self { steps: Vec::with_capacity(12), now: 0, attempt: 1 }
    }

    /// Starts over, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.steps.clear();
        (self.now, self.attempt) = (0, 1);
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

    pub(crate) fn push(&mut self, state: JobState, status: u16) {
        self.steps.push(Step { delta: self.now, status, state, attempt: self.attempt });
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

/// The status with which a job ends: mostly 0, some 1, some 150, the rest real failures.
pub(crate) fn outcome(rng: &mut Rng) -> u16 {
    match rng.u32(0..100) {
        0..=83 => 0,
        84..=88 => 1,
        89..=90 => 150,
        _ => failure(rng),
    }
}

fn failure(rng: &mut Rng) -> u16 {
    FAILURES[rng.usize(0..FAILURES.len())]
}

/// Writes the script of a leaf job that ends with `status`.
pub(crate) fn leaf(rng: &mut Rng, script: &mut Script, pace: Pace, status: u16) {
    script.push(JobState::Queued, 0);
    script.wait(1_000.0 + span(rng, pace.mean_ms * 0.15));
    if status == 150 && rng.u32(0..4) == 0 {
        script.push(JobState::Done, status);
        return;
    }
    script.push(JobState::Active, 0);
    detours(rng, script, pace);
    script.wait(1_000.0 + span(rng, pace.mean_ms * 0.7));
    finish(rng, script, pace, status);
    after(rng, script, pace, status);
}

/// Adds the events that may happen to a running job before its last attempt.
fn detours(rng: &mut Rng, script: &mut Script, pace: Pace) {
    match rng.u32(0..1000) {
        0..50 => {
            for _ in 0..=rng.u32(0..2) {
                script.wait(1_000.0 + span(rng, pace.mean_ms * 0.4));
                script.push(JobState::Requeued, failure(rng));
                script.wait(1_000.0 + span(rng, pace.mean_ms * 0.3));
                script.next_try();
                script.push(JobState::Active, 0);
            }
        }
        50..65 => {
            script.wait(1_000.0 + span(rng, pace.mean_ms * 0.4));
            script.push(JobState::Suspended, 0);
            script.wait(2_000.0 + span(rng, pace.mean_ms * 2.0));
            script.next_try();
            script.push(JobState::Queued, 0);
            script.wait(1_000.0 + span(rng, pace.mean_ms * 0.1));
            script.push(JobState::Active, 0);
        }
        65..80 => {
            script.wait(1_000.0 + span(rng, pace.mean_ms * 0.4));
            script.push(JobState::Incomplete, failure(rng));
            script.wait(2_000.0 + span(rng, pace.mean_ms * 2.0));
            script.next_try();
            script.push(JobState::Queued, 0);
            script.wait(1_000.0 + span(rng, pace.mean_ms * 0.1));
            script.push(JobState::Active, 0);
        }
        _ => {}
    }
}

/// The end of the last attempt. A failure may sit in INCOMPLETE first and end with the same code
/// when the hold is over (docs/netbackup-api.md#jobs-states).
fn finish(rng: &mut Rng, script: &mut Script, pace: Pace, status: u16) {
    if !matches!(status, 0 | 1 | 150) && rng.u32(0..5) == 0 {
        script.push(JobState::Incomplete, status);
        script.wait(2_000.0 + span(rng, pace.mean_ms * 2.0));
    }
    script.push(JobState::Done, status);
}

/// Adds the events that may happen after the end, where the settings ask for them.
fn after(rng: &mut Rng, script: &mut Script, pace: Pace, status: u16) {
    if pace.resumes && !matches!(status, 0 | 1 | 150) && rng.u32(0..4) == 0 {
        script.wait(60_000.0 + span(rng, pace.mean_ms));
        script.next_try();
        script.push(JobState::Queued, 0);
        script.wait(1_000.0 + span(rng, pace.mean_ms * 0.1));
        script.push(JobState::Active, 0);
        script.wait(1_000.0 + span(rng, pace.mean_ms * 0.5));
        script.push(JobState::Done, 0);
    }
    if pace.updates && rng.u32(0..10) == 0 {
        let last = script.steps.last().map_or(0, |step| step.status);
        script.wait(60_000.0 + span(rng, 2.0 * 3_600_000.0));
        script.push(JobState::Done, last);
    }
}
