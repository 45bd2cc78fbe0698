//! The ledger's numbers as samples.

use std::time::{Duration, SystemTime};

use super::ledger::Ledger;
use super::{Actions, Subject, gauges, last_results, live, totals};
use crate::metric::{Definition, Metric, Samples};

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

pub(super) fn definitions() -> Vec<&'static Definition> {
    let own = [&GAP, &FILL, &WINDOW, &WINDOW_INCOMPLETE, &WATERMARK, &REMEMBERED];
    let mut all: Vec<_> = own.into_iter().map(Metric::definition).collect();
    all.extend(gauges::definitions());
    all.extend(live::definitions());
    all.extend(totals::definitions());
    all.extend(last_results::definitions());
    all
}

impl Ledger {
    /// The live jobs of the last sweep; none before the first.
    pub fn live_samples(&self, actions: &Actions, long_running_after: Duration) -> Option<Samples> {
        let known = self.actions(actions);
        let live = self.live.as_ref()?;
        Some(live.samples(actions, &known, self.position.now, long_running_after))
    }

    /// The window's numbers; none while it is not whole.
    pub fn window_samples(&self, actions: &Actions) -> Option<Samples> {
        let known = self.actions(actions);
        if !self.is_whole() {
            return None;
        }
        let resolver = self.resolver(actions);
        let mut samples = self.gauges.samples(resolver, &known);
        if let Some(clients) = self.last_results_of(Subject::Client) {
            self.gauges.client_samples(resolver, clients, &mut samples);
        }
        Some(samples)
    }

    /// The totals, and since when they count; none before the first window is whole.
    pub fn total_samples(&self, actions: &Actions) -> Option<(Samples, SystemTime)> {
        self.position.in_force?;
        let known = self.actions(actions);
        let mut samples = self.totals.samples(self.resolver(actions), &known);
        samples.record(&GAP, [], self.position.gap as f64 / 1000.0);
        Some((samples, self.totals.origin))
    }

    /// What is known of the last jobs of clients and policies, and since when the counts among it
    /// count; none before the first window is whole.
    pub fn last_samples(&self, actions: &Actions) -> Option<(Samples, SystemTime)> {
        let mut samples = Samples::new();
        for table in self.last_results.iter().filter(|_| self.position.in_force.is_some()) {
            table.samples(|job_type| actions.of(job_type), &mut samples);
        }
        (!samples.is_empty()).then_some((samples, self.totals.origin))
    }

    /// Returns how the ledger itself stands; `ahead` ms of the window were read beyond what its keys
    /// cover.
    pub fn own_samples(&self, ahead: i64) -> Samples {
        let mut samples = Samples::new();
        samples.record(&FILL, [], self.fill_ratio(ahead));
        samples.record(&WINDOW, [], self.wanted.as_secs_f64());
        samples.record(&WINDOW_INCOMPLETE, [], self.incomplete_for().as_secs_f64());
        samples.record(&WATERMARK, [], self.position.watermark as f64 / 1000.0);
        samples.record(&REMEMBERED, [], self.remembered() as f64);
        samples
    }
}
