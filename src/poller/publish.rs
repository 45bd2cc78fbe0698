//! The metrics of a site and of the agent's work there, and the snapshot that holds them. They persist
//! through failures of the site, and vanish with it.

use std::sync::Arc;
use std::time::SystemTime;

use super::slot::CollectorSlot;
use crate::metric::{Definition, Distribution, Metric, Samples, unix_seconds};
use crate::netbackup::Client;
use crate::netbackup::stats::DURATION_BOUNDS;
use crate::snapshot::{Part, Snapshot};

static UP: Metric<0> = Metric::gauge(
    "nbu.up",
    "",
    &[],
    "1 if the last cycle read the storage units or the jobs of the site, 0 if both failed.",
);
static API_VERSION: Metric<1> = Metric::gauge(
    "nbu.api_version",
    "",
    &["version"],
    "API version negotiated with the server; always 1.",
);
static LAST_SCRAPE: Metric<1> = Metric::gauge(
    "nbu.last_scrape.timestamp",
    "s",
    &["source"],
    "Time of the last successful read of the storage units or the jobs, Unix seconds by the agent's clock.",
);
static RESPONSE_TIME: Metric<0> = Metric::gauge(
    "nbu.response_time_ms",
    "",
    &[],
    "Duration of the last API response, in milliseconds.",
);
static COLLECTOR_UP: Metric<1> = Metric::gauge(
    "nbu.agent.collector.up",
    "",
    &["collector"],
    "1 if the last run of the collector succeeded completely, else 0.",
);
static COLLECTOR_DURATION: Metric<1> = Metric::gauge(
    "nbu.agent.collector.duration",
    "s",
    &["collector"],
    "Duration of the last run of the collector.",
);
static COLLECTOR_RUNS: Metric<2> = Metric::counter(
    "nbu.agent.collector.runs",
    "{run}",
    &["collector", "result"],
    "Runs of the collector by result: success, failure, skipped (the previous run was still in progress).",
);
static COLLECTOR_ERRORS: Metric<2> = Metric::counter(
    "nbu.agent.collector.errors",
    "{error}",
    &["collector", "kind"],
    "Errors of the collector by kind. A kind appears with its first error, so use nbu_agent_collector_runs_total for rates. Kinds: docs/troubleshooting.md.",
);
static COLLECTOR_LAST_SUCCESS: Metric<1> = Metric::gauge(
    "nbu.agent.collector.last_success.timestamp",
    "s",
    &["collector"],
    "Time of the collector's last success, Unix seconds; absent if it never succeeded.",
);
static COLLECTOR_SAMPLES: Metric<1> = Metric::gauge(
    "nbu.agent.collector.samples",
    "{series}",
    &["collector"],
    "Series that the collector exports; 0 once they are stale.",
);
static COLLECTOR_UNREADABLE: Metric<1> = Metric::counter(
    "nbu.agent.collector.unreadable_records",
    "{record}",
    &["collector"],
    "Records from the server that could not be decoded and were skipped, each counted once. The log shows the first one.",
);
static COLLECTOR_DUPLICATES: Metric<1> = Metric::gauge(
    "nbu.agent.collector.duplicate_series",
    "{series}",
    &["collector"],
    "Duplicate series of the last run; one of each is exported.",
);
static COLLECTOR_PERMITTED: Metric<1> = Metric::gauge(
    "nbu.agent.collector.permitted",
    "",
    &["collector"],
    "1 if the API key's role may read the collector's resource, 0 if not; absent while unknown. Distinguishes an empty job list from a missing permission.",
);
static COLLECTOR_SUPPORTED: Metric<1> = Metric::gauge(
    "nbu.agent.collector.supported",
    "",
    &["collector"],
    "1 if the NetBackup release has the collector's resource, 0 if not; absent while unknown. At 0 the collector exports nothing else until the version or the configuration changes.",
);
static API_REQUESTS: Metric<2> = Metric::counter(
    "nbu.agent.api.requests",
    "{request}",
    &["resource", "status"],
    "Requests to the NetBackup API by resource and HTTP status, or by kind of failure if there was no response.",
);
static API_DURATION: Metric<1> = Metric::histogram(
    "nbu.agent.api.request.duration",
    "s",
    &DURATION_BOUNDS,
    &["resource"],
    "Duration of requests to the NetBackup API; each retry is a request.",
);
static API_RETRIES: Metric<0> = Metric::counter(
    "nbu.agent.api.retries",
    "{request}",
    &[],
    "Retries of requests to the NetBackup API.",
);
static KEY_REFUSED: Metric<0> = Metric::gauge(
    "nbu.agent.api.key_refused",
    "",
    &[],
    "1 if the server rejected the API key for every resource and the agent waits before it sends the key again, else 0.",
);

/// Returns the metrics that are declared here.
pub fn definitions() -> Vec<&'static Definition> {
    vec![
        UP.definition(),
        API_VERSION.definition(),
        LAST_SCRAPE.definition(),
        RESPONSE_TIME.definition(),
        COLLECTOR_UP.definition(),
        COLLECTOR_DURATION.definition(),
        COLLECTOR_RUNS.definition(),
        COLLECTOR_ERRORS.definition(),
        COLLECTOR_LAST_SUCCESS.definition(),
        COLLECTOR_SAMPLES.definition(),
        COLLECTOR_UNREADABLE.definition(),
        COLLECTOR_DUPLICATES.definition(),
        COLLECTOR_PERMITTED.definition(),
        COLLECTOR_SUPPORTED.definition(),
        API_REQUESTS.definition(),
        API_DURATION.definition(),
        API_RETRIES.definition(),
        KEY_REFUSED.definition(),
    ]
}

/// State of a site at the moment of a publication.
pub(super) struct SiteView<'s> {
    pub(super) site: &'s Arc<str>,
    pub(super) server: &'s Arc<str>,
    pub(super) client: &'s Client,
    pub(super) slots: &'s [CollectorSlot],
    pub(super) up: Option<bool>,
    /// The version and the response time of the server are too old to be exported.
    pub(super) stale: bool,
    /// Start of the totals of the site.
    pub(super) origin: SystemTime,
}

pub(super) fn snapshot(view: &SiteView<'_>) -> Snapshot {
    let mut samples = Samples::new();
    record_site(view, &mut samples);
    let mut parts = vec![Part {
        collector: "site",
        families: Arc::new(samples.finish().0),
        origin: view.origin,
    }];
    for slot in view.slots {
        parts.extend(slot.exported.parts().map(|part| Part {
            collector: slot.row.name,
            families: Arc::clone(&part.families),
            origin: part.origin.unwrap_or(view.origin),
        }));
    }
    Snapshot {
        site: Arc::clone(view.site),
        server: Arc::clone(view.server),
        parts,
        up: view.up,
        api_version: view.client.version().map(|version| version.to_string()),
        collectors: view.slots.iter().map(CollectorSlot::status).collect(),
    }
}

fn record_site(view: &SiteView<'_>, samples: &mut Samples) {
    if let Some(up) = view.up {
        samples.record(&UP, [], flag(up));
    }
    if let Some(version) = view.client.version().filter(|_| !view.stale) {
        samples.record(&API_VERSION, [&version.to_string()], 1.0);
    }
    for slot in view.slots {
        if let Some(supported) = slot.supported() {
            samples.record(&COLLECTOR_SUPPORTED, [slot.row.name], flag(supported));
        }
        if !slot.is_unsupported() {
            record_collector(slot, view.client, samples);
        }
    }
    record_requests(view, samples);
}

fn record_collector(slot: &CollectorSlot, client: &Client, samples: &mut Samples) {
    let name = [slot.row.name];
    let tally = &slot.health.tally;
    if let Some(up) = slot.health.up() {
        samples.record(&COLLECTOR_UP, name, flag(up));
    }
    if let Some(time) = slot.health.last_success {
        samples.record(&COLLECTOR_LAST_SUCCESS, name, unix_seconds(time));
        if slot.row.core {
            samples.record(&LAST_SCRAPE, name, unix_seconds(time));
        }
    }
    if let Some(duration) = tally.duration {
        samples.record(&COLLECTOR_DURATION, name, duration.as_secs_f64());
    }
    // Complete from the start: a counter that is born at 1 hides its first failure.
    let runs =
        [("success", tally.succeeded), ("failure", tally.failed), ("skipped", tally.skipped)];
    for (result, count) in runs {
        samples.record(&COLLECTOR_RUNS, [slot.row.name, result], count as f64);
    }
    for (kind, count) in &tally.errors {
        samples.record(&COLLECTOR_ERRORS, [slot.row.name, kind], *count as f64);
    }
    samples.record(&COLLECTOR_SAMPLES, name, slot.exported.series() as f64);
    let unreadable = client.unreadable(slot.row.resource);
    samples.record(&COLLECTOR_UNREADABLE, name, unreadable as f64);
    samples.record(&COLLECTOR_DUPLICATES, name, tally.duplicates as f64);
    if let Some(permitted) = tally.permitted {
        samples.record(&COLLECTOR_PERMITTED, name, flag(permitted));
    }
}

fn record_requests(view: &SiteView<'_>, samples: &mut Samples) {
    let stats = view.client.stats();
    if let Some(ms) = stats.last_response_ms.filter(|_| !view.stale) {
        samples.record(&RESPONSE_TIME, [], ms);
    }
    for ((resource, outcome), count) in &stats.requests {
        samples.record(&API_REQUESTS, [resource, &outcome.label()], *count as f64);
    }
    for (resource, durations) in &stats.durations {
        let value = Distribution { counts: durations.counts.to_vec(), sum: durations.sum };
        samples.distribution(&API_DURATION, [resource], value);
    }
    samples.record(&API_RETRIES, [], stats.retries as f64);
    samples.record(&KEY_REFUSED, [], flag(view.client.key_refused_until().is_some()));
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}
