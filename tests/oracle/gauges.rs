//! Expected gauges of the window and of the live jobs: the content of the list now.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use nbu_sim::{JobState, JobView, Simulator};

use crate::promise::Promise;
use crate::support::expected::{Renames, WINDOWED, jobs_of};
use crate::support::exposition::Series;
use crate::support::work::{WORK, work};

/// A row may be listed for so long before it must be shown, ms.
const LISTED: i64 = 600_000;

/// `collectors.jobs.longRunningAfter` where nothing else is configured.
const LONG_RUNNING_AFTER: Duration = Duration::from_secs(12 * 3600);

/// Returns true for the gauges of jobs.
pub fn is_gauge(name: &str) -> bool {
    WINDOWED.contains(&name) || WORK.contains(&name)
}

/// The gauges of a site at a moment, as the list has them.
#[derive(Debug)]
pub struct Expected {
    /// Without the rows that became visible only just now.
    low: BTreeMap<Series, f64>,
    /// With them.
    high: BTreeMap<Series, f64>,
}

impl Expected {
    /// Reads the list at the present moment.
    pub fn now(simulator: &Simulator, promise: &Promise, site: &str, window: Duration) -> Self {
        let Listed { now, live, certain, fresh } = Listed::now(simulator, promise, window);
        let gauges = |ended: &[JobView]| {
            let renames = Renames::new();
            let mut all = jobs_of(ended, &live, site, &renames);
            all.extend(work(ended, &live, site, &renames, now, LONG_RUNNING_AFTER));
            all
        };
        Self { low: gauges(&certain), high: gauges(&[certain.clone(), fresh].concat()) }
    }

    /// Says in words which of the gauges shown differ from the list.
    pub fn violations(&self, shown: &BTreeMap<Series, f64>) -> Vec<String> {
        let mut violations = Vec::new();
        for (series, value) in shown {
            let Some(most) = self.high.get(series).copied() else {
                violations.push(format!("{series:?} is {value}, the list has none"));
                continue;
            };
            let least = self.low.get(series).copied().unwrap_or_default();
            // A mean may move either way with each row.
            let is_open = series.0 == "nbu_jobs_dedup_ratio" && (most - least).abs() > 0.0;
            let (least, most) = if is_open { (0.0, 100.0) } else { (least, most) };
            let slack = most.abs() * 1e-9;
            if *value < least - slack || *value > most + slack {
                violations.push(format!("{series:?} is {value}, the list has {least} to {most}"));
            }
        }
        let missing = self.low.iter().filter(|(series, _)| !shown.contains_key(*series));
        violations.extend(missing.map(|(series, value)| format!("{series:?} {value} is missing")));
        violations
    }
}

/// The list at the present moment.
struct Listed {
    now: i64,
    live: Vec<JobView>,
    /// Ended in the window.
    certain: Vec<JobView>,
    /// The same, but they became visible late and only just now, or after the clock was changed.
    fresh: Vec<JobView>,
}

impl Listed {
    fn now(simulator: &Simulator, promise: &Promise, window: Duration) -> Self {
        let truth = simulator.truth();
        let (now, world) = (truth.server_time(), simulator.clock().world_ms());
        let fresh: HashSet<(i64, i64)> = truth
            .completions()
            .filter(|done| {
                promise.shows_after_a_step(done)
                    || done.listed_from > done.done_at && done.listed_from + LISTED > world
            })
            .map(|done| (done.job_id, done.attempt))
            .collect();
        let from = now - i64::try_from(window.as_millis()).expect("a window of some years");
        let (ended, live): (Vec<_>, Vec<_>) =
            truth.listed_jobs().partition(|job| job.state == JobState::Done);
        let ended =
            ended.into_iter().filter(|job| job.end_ms.is_some_and(|end| from < end && end <= now));
        let ended = ended.map(|job| JobView {
            kilobytes: job.kilobytes.max(0),
            files: job.files.max(0),
            ..job
        });
        let (fresh, certain) = ended.partition(|job| fresh.contains(&(job.job_id, job.attempt)));
        Self { now, live, certain, fresh }
    }
}
