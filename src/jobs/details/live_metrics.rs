//! Metrics of the live jobs beside their number: who writes where, who does not get on, and how long each state has
//! lasted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::counters::{Counter, Counters};
use super::stalls::{Stalls, is_watched};
use crate::jobs::interner::Interner;
use crate::jobs::live::{ACTIVE, Live, QUEUED};
use crate::jobs::row::Actions;
use crate::metric::{Definition, Metric, Samples};

static UNIT_JOBS: Metric<1> = Metric::gauge(
    "nbu.storage_unit.active_jobs",
    "{job}",
    &["name"],
    "ACTIVE jobs without children that write to the storage unit. Divide by nbu_storage_max_concurrent_jobs. At most 500 units by name, further ones together as other.",
);
static SERVER_JOBS: Metric<1> = Metric::gauge(
    "nbu.media_server.active_jobs",
    "{job}",
    &["media_server"],
    "ACTIVE jobs without children that write through the media server. At most 500 servers by name, further ones together as other.",
);
static STALLED: Metric<1> = Metric::gauge(
    "nbu.jobs.stalled",
    "{job}",
    &["action"],
    "ACTIVE jobs without children that should move data and of which bytes, files, operation and try did not change for collectors.jobs.stalledAfter, as seen by the agent; one series for each action. Instant recovery, instant access and the like are not among them.",
);
static OLDEST: Metric<2> = Metric::gauge(
    "nbu.jobs.oldest.age",
    "s",
    &["action", "state"],
    "Age of the oldest job without children in the state, by the server's clock: of ACTIVE ones that should move data since their try began, of others since startTime. Absent if there is none; at most 5 for each action.",
);

pub(super) fn definitions() -> [&'static Definition; 4] {
    [UNIT_JOBS.definition(), SERVER_JOBS.definition(), STALLED.definition(), OLDEST.definition()]
}

/// The states that last.
const STATES: [&str; 5] = [QUEUED, ACTIVE, "REQUEUED", "INCOMPLETE", "SUSPENDED"];

/// The names of the ledger, those of its actions, and the actions that have explicit zeros.
pub(super) type LiveLabels<'l> = (&'l Interner, &'l Actions, &'l BTreeSet<String>);

/// Adds the samples of the live jobs at `now`, with explicit zeros for the `known` actions.
pub(super) fn record(
    live: &Live,
    (counters, stalls): (&Counters, &Stalls),
    (names, actions, known): LiveLabels<'_>,
    (now, stalled_after): (i64, Duration),
    samples: &mut Samples,
) {
    for (counter, metric) in
        [(Counter::UnitBytes, &UNIT_JOBS), (Counter::ServerBytes, &SERVER_JOBS)]
    {
        let mut shown = BTreeSet::new();
        let places = counters.places(names, counter);
        let mut jobs: BTreeMap<&str, u64> = places.map(|place| (place, 0)).collect();
        let active = live.jobs.values().filter(|job| job.leaf && &*job.state == ACTIVE);
        for job in active {
            let place = match counter {
                Counter::UnitBytes => &*job.storage_unit,
                _ => &*job.media_server,
            };
            if !place.is_empty() {
                let label = counters.label(names, counter, place, &mut shown);
                *jobs.entry(label).or_default() += 1;
            }
        }
        for (place, jobs) in jobs {
            samples.record(metric, [place], jobs as f64);
        }
    }
    let mut stalled: BTreeMap<&str, u64> =
        known.iter().map(|action| (action.as_str(), 0)).collect();
    let mut oldest: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for (id, job) in live.jobs.iter().filter(|(_, job)| job.leaf) {
        let action = actions.of(&job.job_type);
        let is_stalled = stalls.is_stalled(*id, now, stalled_after);
        *stalled.entry(action).or_default() += u64::from(is_stalled);
        let Some(state) = STATES.into_iter().find(|state| *state == &*job.state) else {
            continue;
        };
        let since = if state != ACTIVE {
            job.start
        } else if is_watched(job) {
            job.active_start.or(job.start)
        } else {
            None
        };
        if let Some(since) = since {
            let age = oldest.entry((action, state)).or_default();
            *age = (*age).max(now - since);
        }
    }
    for (action, jobs) in stalled {
        samples.record(&STALLED, [action], jobs as f64);
    }
    for ((action, state), age) in oldest {
        samples.record(&OLDEST, [action, state], age as f64 / 1000.0);
    }
}
