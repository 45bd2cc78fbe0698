//! The samples of a ledger, and its summary.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Ledger;
use crate::jobs::completion::Outcome;
use crate::jobs::last_results::Subject;
use crate::jobs::row::{Actions, BACKUP};
use crate::metric::{Definition, Metric, Samples, SeriesGroups};

static GAP: Metric<0> = Metric::counter(
    "nbu.jobs.gap",
    "s",
    &[],
    "Time span in which jobs may have ended uncounted, because the server purged them while the agent was down.",
);
static FILL: Metric<0> = Metric::gauge(
    "nbu.jobs.fill.ratio",
    "",
    &[],
    "Progress of the backfill of the configured window, 0 to 1. At 1 its numbers are exported; until then those of the previous window, if any.",
);
static WINDOW: Metric<0> = Metric::gauge(
    "nbu.jobs.window",
    "s",
    &[],
    "Length of the configured window of finished jobs: the larger of server.scrapingInterval and server.collectionInterval.",
);
static WINDOW_INCOMPLETE: Metric<0> = Metric::gauge(
    "nbu.jobs.window.incomplete",
    "s",
    &[],
    "Time for which the configured window has been incomplete; 0 if it is complete.",
);
static WATERMARK: Metric<0> = Metric::gauge(
    "nbu.jobs.watermark.timestamp",
    "s",
    &[],
    "All job changes before this time have been read, Unix seconds by the server's clock.",
);
static REMEMBERED: Metric<0> = Metric::gauge(
    "nbu.jobs.remembered",
    "{job}",
    &[],
    "Finished jobs that the agent remembers so that it counts each one once.",
);

pub(in crate::jobs) fn definitions() -> [&'static Definition; 6] {
    [&GAP, &FILL, &WINDOW, &WINDOW_INCOMPLETE, &WATERMARK, &REMEMBERED].map(Metric::definition)
}

/// A ledger in a few numbers, for a person who looks at its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The beginning of the totals.
    pub(crate) origin: SystemTime,
    pub(crate) saved_at: Option<SystemTime>,
    /// Every change before it was read; the server's time, Unix ms.
    pub(crate) watermark: i64,
    /// Every completion after it is known; the server's time, Unix ms.
    pub(crate) horizon: i64,
    pub(crate) finished_jobs: usize,
    pub(crate) unfinished_jobs: usize,
    /// Completions that were counted, in the order of [`Outcome::ALL`].
    pub(crate) outcomes: [u64; Outcome::ALL.len()],
}

impl Ledger {
    /// Returns the samples of the live jobs; `None` before they were listed. Of the times, the first is that after
    /// which a job is long-running, the second that after which one that does not get on is stalled.
    pub fn live_samples(
        &mut self,
        actions: &Actions,
        (long_running_after, stalled_after): (Duration, Duration),
    ) -> Option<Samples> {
        let (known, now) = (self.known_actions(actions), self.progress.now);
        let live = self.live.as_ref()?;
        let mut samples = live.samples(actions, &known, now, long_running_after);
        let names = (&self.dictionary.names, actions, &known);
        self.details.record_live(live, names, (now, stalled_after), &mut samples);
        Some(samples)
    }

    /// Returns the failures of the last hour; `None` while the window is not whole.
    pub(crate) fn failure_samples(&self) -> Option<Samples> {
        let mut samples = Samples::new();
        self.details.record_failures(self.progress.now, &self.last_results, &mut samples);
        self.is_whole().then_some(samples)
    }

    /// Returns the counters of ended leaves in groups, those in which nothing changed as they were, and their
    /// origin; `None` as for the totals.
    pub fn counter_samples(&mut self, actions: &Actions) -> Option<(SeriesGroups, SystemTime)> {
        self.window.in_force?;
        let groups = self.details.counter_samples(self.dictionary.resolver(actions));
        Some((groups, self.details.origin))
    }

    /// Returns the samples of the window in groups, those in which nothing changed as they were; `None` while it
    /// is not whole.
    pub fn window_samples(&mut self, actions: &Actions) -> Option<SeriesGroups> {
        if !self.is_whole() {
            return None;
        }
        let known = self.known_actions(actions);
        let resolver = self.dictionary.resolver(actions);
        let mut groups = self.window.sums.samples(resolver, &known);
        let clients = self.last_results.of(Subject::Client);
        if let (Some(clients), Some(sums)) = (clients, &mut self.window.sums.clients) {
            groups.extend(sums.refresh(resolver, clients));
        }
        Some(groups)
    }

    /// Returns the totals in groups, those in which nothing changed as they were, and their origin; `None` before
    /// the first window is whole.
    pub fn total_samples(&mut self, actions: &Actions) -> Option<(SeriesGroups, SystemTime)> {
        self.window.in_force?;
        let known = self.known_actions(actions);
        let mut gap = Samples::new();
        gap.record(&GAP, [], self.progress.gap.total as f64 / 1000.0);
        let mut groups = vec![Arc::new(gap.finish().0)];
        groups.extend(self.totals.samples(self.dictionary.resolver(actions), &known));
        Some((groups, self.totals.origin))
    }

    /// Returns the last results in groups, those in which nothing changed as they were, and the origin of the
    /// counters among them; `None` as for the totals.
    pub(crate) fn last_samples(&mut self, actions: &Actions) -> Option<(SeriesGroups, SystemTime)> {
        self.window.in_force?;
        (!self.last_results.0.is_empty())
            .then(|| (self.last_results.samples(actions), self.totals.origin))
    }

    /// Returns the samples about the ledger itself; `ahead` ms were read beyond the horizon.
    pub(crate) fn own_samples(&self, ahead: i64) -> Samples {
        let (window, progress) = (&self.window, &self.progress);
        let mut samples = Samples::new();
        samples.record(&FILL, [], window.fill_ratio(progress, ahead));
        samples.record(&WINDOW, [], window.configured.as_secs_f64());
        samples.record(&WINDOW_INCOMPLETE, [], window.incomplete_for(progress).as_secs_f64());
        samples.record(&WATERMARK, [], progress.watermark as f64 / 1000.0);
        samples.record(&REMEMBERED, [], self.finished.len() as f64);
        let statuses = &self.dictionary.label_sets.statuses;
        self.details.record_kept(statuses, progress.now, &mut samples);
        samples
    }

    /// Returns the actions that have explicit zeros: those of the window and of the live jobs, and the one
    /// that every site has before the first job.
    fn known_actions(&mut self, actions: &Actions) -> BTreeSet<String> {
        self.window.sums.count_types(&self.dictionary.label_sets);
        let mut all = self.window.sums.actions(self.dictionary.resolver(actions));
        let live = self.live.iter().flat_map(|live| live.jobs.values());
        all.extend(live.map(|job| actions.of(&job.job_type)));
        all.insert(BACKUP);
        all.into_iter().map(str::to_owned).collect()
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut outcomes = [0; Outcome::ALL.len()];
        for (id, total) in &self.totals.by_label_set {
            let Some(labels) = self.dictionary.label_sets.get(*id) else { continue };
            for (outcome, jobs) in total.by_outcome(labels.status) {
                let place = Outcome::ALL.iter().position(|one| *one == outcome);
                if let Some(count) = place.and_then(|place| outcomes.get_mut(place)) {
                    *count += jobs.all();
                }
            }
        }
        Summary {
            origin: self.totals.origin,
            saved_at: self.saved_at,
            watermark: self.progress.watermark,
            horizon: self.progress.horizon,
            finished_jobs: self.finished.len(),
            unfinished_jobs: self.unfinished.by_id.len(),
            outcomes,
        }
    }
}
