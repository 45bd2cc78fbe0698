//! Expected totals of a site, computed from the simulator's truth, from the times of the polls, and
//! from what docs/adr/0010-job-ledger.md promises: not from the agent's code.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use nbu_sim::{Completion, JobState, JobView, Simulator, Truth};

use super::expected::{self, Renames, action};
use super::exposition::{Series, key};
use super::work::work;

/// Names of the totals, without those of the histogram's series.
const TOTALS: [&str; 6] = [
    "nbu_jobs_completed_total",
    "nbu_jobs_outcomes_total",
    "nbu_jobs_transferred_bytes_total",
    "nbu_jobs_files_total",
    "nbu_jobs_retries_total",
    "nbu_jobs_gap_seconds_total",
];

const DURATION: &str = "nbu_job_duration_seconds";

/// Upper bounds of the histogram of durations, seconds.
const BOUNDS: [i64; 9] = [60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400];

const OUTCOMES: [&str; 6] =
    ["success", "partial", "cancelled", "failure", "missed", "nothing_to_do"];

const HOUR: i64 = 3_600_000;

/// A walk goes back so far before the last poll, ms; a look for late rows, so far.
const OVERLAP: i64 = 30_000;
const LATE: i64 = 600_000;

/// A look for late rows is due after this time, ms.
const LATE_EVERY: i64 = 300_000;

/// Returns whether a series is one of the totals.
pub fn is_total(name: &str) -> bool {
    TOTALS.contains(&name) || name.strip_prefix(DURATION).is_some_and(|rest| rest.starts_with('_'))
}

/// Returns whether this module covers a series completely.
pub fn is_known(name: &str) -> bool {
    is_total(name) || expected::WINDOWED.contains(&name) || super::work::WORK.contains(&name)
}

/// A poll that was whole: everything that lists showed at its instant was read.
#[derive(Debug, Clone, Copy)]
struct Poll {
    /// World time.
    world: i64,
    /// Changes since then were asked for, the server's time.
    since: i64,
    /// The time of the server.
    now: i64,
}

/// A span of endTime whose jobs were read for the window alone.
#[derive(Debug, Clone, Copy)]
struct Filled {
    world: i64,
    from: i64,
    to: i64,
}

/// A site as it was polled.
#[derive(Debug, Clone)]
pub struct Watched {
    site: String,
    /// The job window.
    pub window: Duration,
    /// `collectors.jobs.actionNames`.
    pub renames: Renames,
    /// `collectors.jobs.longRunningAfter`.
    pub long_running_after: Duration,
    /// Changes are found by endTime: the server does not take the filter on lastUpdateTime.
    pub by_end: bool,
    /// Time that must be said to be lost, seconds.
    pub gap: f64,
    polls: Vec<Poll>,
    filled: Vec<Filled>,
    looked: Option<i64>,
}

impl Watched {
    /// A site that was not polled yet.
    pub fn new(site: &str, window: Duration) -> Self {
        Self {
            site: site.to_owned(),
            window,
            renames: Renames::new(),
            long_running_after: Duration::from_secs(12 * 3600),
            by_end: false,
            gap: 0.0,
            polls: Vec::new(),
            filled: Vec::new(),
            looked: None,
        }
    }

    /// A poll of the present instant was whole.
    pub fn polled(&mut self, simulator: &Simulator) {
        let (world, now) = (simulator.clock().world_ms(), simulator.truth().server_time());
        if self.polls.last().is_some_and(|last| last.world == world && last.now == now) {
            return;
        }
        let last = self.polls.last().map_or(now, |last| last.now);
        let set_back = now < last;
        // A clock that was set back by so much may have been so at any time since the last poll.
        let watermark = if set_back { now - (last - now) } else { last };
        let looks = set_back || self.looked.is_none_or(|at| now < at || now - at >= LATE_EVERY);
        if looks {
            self.looked = Some(now);
        }
        let since = watermark - if looks { LATE } else { OVERLAP };
        self.polls.push(Poll { world, since, now });
        if self.polls.len() == 1 {
            self.filled_now(world, now);
        }
    }

    /// Another window is in force from the present poll on, and was read backwards where it is longer.
    pub fn window_is(&mut self, window: Duration, simulator: &Simulator) {
        self.window = window;
        self.filled_now(simulator.clock().world_ms(), simulator.truth().server_time());
    }

    fn filled_now(&mut self, world: i64, now: i64) {
        self.filled.push(Filled { world, from: self.from(now) - HOUR, to: now });
    }

    fn from(&self, now: i64) -> i64 {
        now - i64::try_from(self.window.as_millis()).expect("a window of some years at most")
    }

    /// Everything that [`is_known`] takes, at the instant of `truth`.
    pub fn expected(&self, truth: &Truth) -> BTreeMap<Series, f64> {
        let (ended, live) = self.listed(truth);
        let (now, site) = (truth.server_time(), self.site.as_str());
        let mut all = expected::jobs_of(&ended, &live, site, &self.renames);
        all.extend(work(&ended, &live, site, &self.renames, now, self.long_running_after));
        all.extend(self.totals_of(truth, &ended, &live));
        all
    }

    /// The totals alone.
    pub fn totals(&self, truth: &Truth) -> BTreeMap<Series, f64> {
        let (ended, live) = self.listed(truth);
        self.totals_of(truth, &ended, &live)
    }

    /// Returns the number of completions that must be counted.
    pub fn counted(&self, truth: &Truth) -> usize {
        self.count(truth).counted
    }

    /// The jobs of the window, and the live ones, as lists show them.
    fn listed(&self, truth: &Truth) -> (Vec<JobView>, Vec<JobView>) {
        let now = truth.server_time();
        let (done, live): (Vec<_>, Vec<_>) =
            truth.listed_jobs().partition(|job| job.state == JobState::Done);
        let read: HashSet<(i64, i64)> = truth
            .completions()
            .filter(|completion| self.was_filled(completion) || self.read(completion).is_some())
            .map(|completion| (completion.job_id, completion.attempt))
            .collect();
        let in_window = |job: &JobView| {
            job.end_ms.is_some_and(|end| self.from(now) < end && end <= now)
                && read.contains(&(job.job_id, job.attempt))
        };
        (done.into_iter().filter(in_window).collect(), live)
    }

    /// The first poll that read a completion.
    fn read(&self, completion: &Completion) -> Option<&Poll> {
        let changed = if self.by_end { completion.end_ms } else { completion.updated_ms };
        self.polls.iter().find(|poll| {
            completion.listed_from <= poll.world
                && completion.listed_until.is_none_or(|until| poll.world < until)
                && changed >= poll.since
        })
    }

    /// Returns whether a completion was read for the window alone.
    fn was_filled(&self, completion: &Completion) -> bool {
        self.filled.iter().any(|filled| {
            completion.listed_from <= filled.world
                && completion.listed_until.is_none_or(|until| filled.world < until)
                && filled.from < completion.end_ms
                && completion.end_ms <= filled.to
        })
    }

    /// Returns whether a walk read a completion that the window needs, or will need: after a clock that was set
    /// back, also those from before the totals began whose ends are in the future now.
    fn was_walked_for_window(&self, completion: &Completion) -> bool {
        self.read(completion).is_some_and(|poll| self.from(poll.now) - HOUR < completion.end_ms)
    }

    fn count(&self, truth: &Truth) -> Counts {
        let mut counts = Counts::default();
        let begun = self.polls.first().expect("it was polled").world;
        let mut completions: Vec<Completion> = truth.completions().collect();
        completions.sort_by_key(|completion| (completion.job_id, completion.listed_from));
        let mut before: Option<(i64, i64)> = None;
        for completion in &completions {
            let filled = self.was_filled(completion) || self.was_walked_for_window(completion);
            let counts_for_totals =
                completion.listed_from > begun && self.read(completion).is_some();
            if !filled && !counts_for_totals {
                continue;
            }
            let last = before.filter(|(job, _)| *job == completion.job_id);
            before = Some((completion.job_id, completion.attempt));
            let retries = completion.attempt - last.map_or(1, |(_, attempt)| attempt);
            let name = action(&self.renames, completion.job_type);
            counts.add(name, completion, counts_for_totals.then_some(retries));
        }
        counts
    }

    fn totals_of(
        &self,
        truth: &Truth,
        ended: &[JobView],
        live: &[JobView],
    ) -> BTreeMap<Series, f64> {
        let mut counts = self.count(truth);
        let shown = ended.iter().chain(live).map(|job| action(&self.renames, job.job_type));
        for name in shown.chain(["BACKUP"]) {
            counts.actions.insert(name.to_owned());
        }
        counts.series(&self.site, self.gap)
    }
}

/// A combination of labels: action, policy type, status, whether it is a leaf.
type Combination = (String, &'static str, i64, bool);

#[derive(Debug, Default)]
struct Counts {
    counted: usize,
    actions: BTreeSet<String>,
    completed: BTreeMap<Combination, u64>,
    /// Kilobytes, files and retries.
    volumes: BTreeMap<(String, &'static str), [i64; 3]>,
    /// Seconds that completions took.
    durations: BTreeMap<(String, &'static str), Vec<i64>>,
}

impl Counts {
    /// A completion with its retries where it counts; else a zero of its labels.
    fn add(&mut self, name: &str, completion: &Completion, retries: Option<i64>) {
        let pair = (name.to_owned(), completion.policy_type);
        let combination =
            (name.to_owned(), completion.policy_type, completion.status, completion.leaf);
        self.actions.insert(name.to_owned());
        let count = self.completed.entry(combination).or_default();
        let volume = self.volumes.entry(pair.clone()).or_default();
        let durations = self.durations.entry(pair).or_default();
        let Some(retries) = retries else { return };
        self.counted += 1;
        *count += 1;
        volume[2] += retries;
        if completion.leaf {
            volume[0] += completion.kilobytes;
            volume[1] += completion.files;
        }
        let took = completion.end_ms - completion.start_ms;
        if took >= 0 {
            durations.push(took / 1000);
        }
    }

    fn series(&self, site: &str, gap: f64) -> BTreeMap<Series, f64> {
        let mut all = BTreeMap::from([(key("nbu_jobs_gap_seconds_total", &[("site", site)]), gap)]);
        let mut add = |name: &str, labels: &[(&str, &str)], value: f64| {
            let labels = [&[("site", site)], labels].concat();
            *all.entry(key(name, &labels)).or_default() += value;
        };
        for name in &self.actions {
            for outcome in OUTCOMES {
                add("nbu_jobs_outcomes_total", &[("action", name), ("outcome", outcome)], 0.0);
            }
        }
        for ((name, policy_type, status, leaf), count) in &self.completed {
            let (status_text, outcome) = (status.to_string(), outcome(*status));
            let role = if *leaf { "leaf" } else { "parent" };
            let by_outcome = [("action", name.as_str()), ("outcome", outcome)];
            add("nbu_jobs_outcomes_total", &by_outcome, *count as f64);
            let more = [("policy_type", *policy_type), ("status", &status_text), ("role", role)];
            add("nbu_jobs_completed_total", &[&by_outcome[..], &more].concat(), *count as f64);
        }
        for ((name, policy_type), [kilobytes, files, retries]) in &self.volumes {
            let labels = [("action", name.as_str()), ("policy_type", *policy_type)];
            add("nbu_jobs_transferred_bytes_total", &labels, *kilobytes as f64 * 1024.0);
            add("nbu_jobs_files_total", &labels, *files as f64);
            add("nbu_jobs_retries_total", &labels, *retries as f64);
        }
        for ((name, policy_type), seconds) in &self.durations {
            let labels = [("action", name.as_str()), ("policy_type", *policy_type)];
            add(&format!("{DURATION}_count"), &labels, seconds.len() as f64);
            add(&format!("{DURATION}_sum"), &labels, seconds.iter().sum::<i64>() as f64);
            let ends = BOUNDS.map(|bound| (bound.to_string(), bound));
            for (end, bound) in ends.into_iter().chain([("+Inf".to_owned(), i64::MAX)]) {
                let below = seconds.iter().filter(|took| **took <= bound).count();
                let labels = [&labels[..], &[("le", end.as_str())]].concat();
                add(&format!("{DURATION}_bucket"), &labels, below as f64);
            }
        }
        all
    }
}

fn outcome(status: i64) -> &'static str {
    match status {
        0 => "success",
        1 => "partial",
        150 => "cancelled",
        196 => "missed",
        190 | 200 => "nothing_to_do",
        _ => "failure",
    }
}
