//! Arrivals of jobs: the history before the start, the jobs that run at the start, and those that come later.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

use super::generate::{Draft, Generator};
use super::job::{Job, ROOT, Step};
use super::names::Names;
use super::script::{Pace, span};
use crate::clock::millis;
use crate::model::JobState;
use crate::settings::Settings;

/// A job that is about to arrive, with its family's provisional numbers.
pub(crate) struct Arrival {
    job: Job,
    number: u64,
    parent: Option<u64>,
}

/// The generator and what it drew ahead.
pub(crate) struct Arrivals {
    generator: Generator,
    /// Time at which the next family arrives; `None` if none do.
    next_family: Option<i64>,
    /// Mean milliseconds between two jobs.
    between_ms: f64,
    /// Drawn and not arrived: (time, number), and the job by number.
    queue: BinaryHeap<Reverse<(i64, u64)>>,
    drawn: BTreeMap<u64, Arrival>,
    /// Index of the parents that arrived whose children may still be to come.
    parents: HashMap<u64, u32>,
    numbers: u64,
    family: Vec<Draft>,
}

impl Arrivals {
    pub(crate) fn new(settings: &Settings, now: i64) -> Self {
        let between_ms = 3_600_000.0 / settings.jobs_per_hour.max(1e-9);
        let mean = if settings.jobs_per_hour > 0.0 {
            settings.live_jobs as f64 * between_ms
        } else {
            20.0 * 60_000.0
        };
        let pace = Pace {
            mean_ms: mean.clamp(30_000.0, 12.0 * 3_600_000.0),
            updates: settings.updates_of_finished,
            resumes: settings.resumes_of_finished,
        };
        Self {
            generator: Generator::new(settings, pace),
            next_family: (settings.jobs_per_hour > 0.0).then_some(now),
            between_ms,
            queue: BinaryHeap::new(),
            drawn: BTreeMap::new(),
            parents: HashMap::new(),
            numbers: 0,
            family: Vec::new(),
        }
    }

    /// The jobs that arrived up to `now`, in the order of arrival: those that ended within the history, exactly as
    /// many as asked for, and about as many live ones as asked for.
    pub(crate) fn history(
        &mut self,
        settings: &Settings,
        names: &Names,
        now: i64,
    ) -> (Vec<Job>, Vec<Step>) {
        let mut drafts = Vec::with_capacity(settings.jobs_in_history + settings.live_jobs + 64);
        let mut steps = Vec::with_capacity(settings.jobs_in_history * 7 / 2);
        let history = millis(settings.history).max(1000);
        while drafts.len() < settings.jobs_in_history {
            let room = settings.jobs_in_history - drafts.len();
            self.generator.family(names, room, &mut self.family, &mut steps);
            let (_, first, last) = ends(&self.family, &steps);
            let latest = now - self.generator.rng.i64(0..history);
            // The family's ends lie in the history, the first as the last.
            let shift = (latest - last).max(now - history + 2000 - first);
            self.place(shift - (shift + last - now).max(0), &mut drafts);
        }
        let wanted = drafts.len() + settings.live_jobs;
        while drafts.len() < wanted {
            self.generator.family(names, wanted - drafts.len(), &mut self.family, &mut steps);
            let (earliest, _, last) = ends(&self.family, &steps);
            // Longer jobs are more likely to be seen running: draw again with the odds of the span.
            let mean = self.generator.pace.mean_ms * 2.0;
            if last as f64 > self.generator.rng.f64() * mean {
                // None of the family has ended yet, though the arrival is put back to a whole second: the
                // history stays as large as was asked for.
                let age = self.generator.rng.i64(0..(earliest - 1000).max(1));
                self.place(now - age, &mut drafts);
            }
        }
        self.standing(settings, names, now, &mut drafts, &mut steps);
        if self.next_family.is_some() {
            self.schedule(now, 1);
        }
        (self.order(&drafts, now), steps)
    }

    /// Adds the jobs that stand still at `now`. Their own generator: the other jobs stay as they are.
    fn standing(
        &mut self,
        settings: &Settings,
        names: &Names,
        now: i64,
        drafts: &mut Vec<Draft>,
        steps: &mut Vec<Step>,
    ) {
        let seed = settings.seed ^ 0x57a1_1ed0;
        let own = Settings { seed, late_visibility: Duration::ZERO, ..settings.clone() };
        let mut generator = Generator::new(&own, self.generator.pace);
        for _ in 0..settings.stalled_jobs {
            let age = generator.stalled(names, &mut self.family, steps);
            self.place(now - age, drafts);
        }
        for number in 0..settings.long_lived_jobs {
            let age = generator.long_lived(names, number, &mut self.family, steps);
            self.place(now - age, drafts);
        }
    }

    /// Adds the drawn family, which arrives at `at`, to the drafts; parents become indices of the drafts.
    fn place(&mut self, at: i64, drafts: &mut Vec<Draft>) {
        let at = at - at.rem_euclid(1000);
        let base = u32::try_from(drafts.len()).unwrap_or(ROOT);
        for mut job in self.family.drain(..) {
            job.created += at;
            if job.parent != ROOT {
                job.parent += base;
            }
            drafts.push(job);
        }
    }

    /// Sorts the drafts by arrival and mends the parents; what arrives after `now` waits for its time.
    fn order(&mut self, drafts: &[Draft], now: i64) -> Vec<Job> {
        let mut order: Vec<(i64, u32)> =
            drafts.iter().zip(0_u32..).map(|(job, index)| (job.created, index)).collect();
        order.sort_unstable();
        let mut place = vec![ROOT; drafts.len()];
        for (&(_, draft), index) in order.iter().zip(0_u32..) {
            place[draft as usize] = index;
        }
        let mut jobs = Vec::with_capacity(drafts.len() + drafts.len() / 8);
        for (created, draft) in order {
            let mut job = drafts[draft as usize];
            if created <= now {
                if job.parent != ROOT {
                    job.parent = place[job.parent as usize];
                }
                jobs.push(job);
                continue;
            }
            let parent = u64::from(job.parent);
            if created > now && job.parent != ROOT && drafts[job.parent as usize].created <= now {
                self.parents.insert(parent, place[job.parent as usize]);
            }
            let arrival = Arrival {
                job,
                number: u64::from(draft),
                parent: (job.parent != ROOT).then_some(parent),
            };
            self.wait(arrival);
        }
        self.numbers = drafts.len() as u64;
        jobs
    }

    fn wait(&mut self, arrival: Arrival) {
        self.queue.push(Reverse((arrival.job.created, arrival.number)));
        self.drawn.insert(arrival.number, arrival);
    }

    /// The next job that arrives by `now`.
    pub(crate) fn next(
        &mut self,
        now: i64,
        names: &Names,
        steps: &mut Vec<Step>,
    ) -> Option<Arrival> {
        loop {
            let first = self.queue.peek().map(|Reverse((at, _))| *at);
            match self.next_family {
                // All families up to the first waiting arrival are drawn before it, so that arrivals
                // come in order whatever the steps in which time goes on.
                Some(at) if at <= now && first.is_none_or(|first| at <= first) => {
                    self.arrive(at, names, steps);
                }
                _ => break,
            }
        }
        let &Reverse((at, number)) = self.queue.peek()?;
        if at > now {
            return None;
        }
        self.queue.pop();
        self.drawn.remove(&number)
    }

    fn arrive(&mut self, at: i64, names: &Names, steps: &mut Vec<Step>) {
        let mut family = std::mem::take(&mut self.family);
        self.generator.family(names, usize::MAX, &mut family, steps);
        let base = self.numbers;
        let count = family.len();
        let arrival = at - at.rem_euclid(1000);
        for (mut job, number) in family.drain(..).zip(base..) {
            job.created += arrival;
            let parent = (job.parent != ROOT).then(|| base + u64::from(job.parent));
            self.wait(Arrival { job, number, parent });
        }
        self.numbers += count as u64;
        self.family = family;
        self.schedule(at, count);
    }

    /// Draws when the next family comes, after one of `count` jobs.
    fn schedule(&mut self, at: i64, count: usize) {
        let wait = span(&mut self.generator.rng, self.between_ms * count as f64);
        #[allow(clippy::cast_possible_truncation, reason = "at most eight times the mean")]
        let wait = wait as i64;
        self.next_family = Some(at.saturating_add(wait.max(1)));
    }

    /// The job of a arrival, once it has its index.
    pub(crate) fn admit(&mut self, arrival: &Arrival, index: u32) -> Job {
        let mut job = arrival.job;
        if let Some(parent) = arrival.parent {
            job.parent = self.parents.get(&parent).copied().unwrap_or(ROOT);
        }
        if job.children > 0 {
            self.parents.insert(arrival.number, index);
        }
        job
    }
}

/// Milliseconds from the family's arrival to the first time that a job of it is DONE, to the first final end,
/// and to the last final end. A touch after the end does not count.
fn ends(family: &[Draft], steps: &[Step]) -> (i64, i64, i64) {
    let (mut earliest, mut first, mut last) = (i64::MAX, i64::MAX, 0);
    for job in family {
        let script = job.script(steps);
        let became_done = |i: usize| {
            script[i].state == JobState::Done && (i == 0 || script[i - 1].state != JobState::Done)
        };
        let mut dones = (0..script.len()).filter(|i| became_done(*i)).map(|i| job.at(script[i]));
        let once = dones.next().unwrap_or(job.created);
        let finally = dones.next_back().unwrap_or(once);
        earliest = earliest.min(once);
        first = first.min(finally);
        last = last.max(finally);
    }
    (earliest, first, last)
}
