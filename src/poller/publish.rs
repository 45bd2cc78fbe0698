//! The metrics of a site and of the agent's work there, and the snapshot that holds them. They persist
//! through failures of the site, and vanish with it.

use std::sync::Arc;
use std::time::SystemTime;

use super::slot::CollectorSlot;
use crate::metric::{Definition, Distribution, Metric, Samples, flag, unix_seconds};
use crate::netbackup::Client;
use crate::netbackup::stats::DURATION_BOUNDS;
use crate::snapshot::{Part, Place, Snapshot};

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
    "1 if the last run of the collector succeeded completely, else 0. Absent before the first run ended, and for a collector that is only tried and was never permitted.",
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

static PLAIN_TEXT: Metric<0> = Metric::gauge(
    "nbu.agent.api.plain_text",
    "",
    &[],
    "1 if the API key goes to the server in clear text, over http to a host that is not loopback, and allowPlainText does not permit that; else 0.",
);

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
        PLAIN_TEXT.definition(),
    ]
}

/// Returns the snapshot of a site. The totals that do not remember their start began at `origin`; the
/// version and the response time of a server that is `stale` are too old to be exported.
pub(super) fn snapshot(
    client: &Client,
    slots: &[CollectorSlot],
    up: Option<bool>,
    stale: bool,
    origin: SystemTime,
) -> Snapshot {
    let mut samples = Samples::new();
    samples.record(&UP, [], up.map(flag));
    for slot in slots {
        samples.record(&COLLECTOR_SUPPORTED, [slot.row.name], slot.supported().map(flag));
        if !slot.is_unsupported() {
            record_collector(slot, client, &mut samples);
        }
    }
    record_server(client, stale, &mut samples);
    let families = Arc::new(samples.finish().0);
    let mut parts = vec![Part { collector: "site", place: Place::default(), families, origin }];
    for slot in slots {
        parts.extend(slot.exported.parts().map(|((name, group), part)| Part {
            collector: slot.row.name,
            place: Place { collector: 1 + slot.place, name, group },
            families: Arc::clone(&part.families),
            origin: part.origin.unwrap_or(origin),
        }));
    }
    Snapshot {
        site: Arc::from(client.site()),
        server: Arc::from(client.base()),
        parts,
        up,
        api_version: client.version().map(|version| version.to_string()),
        collectors: slots.iter().map(CollectorSlot::status).collect(),
    }
}

fn record_collector(slot: &CollectorSlot, client: &Client, samples: &mut Samples) {
    let (name, health) = ([slot.row.name], &slot.health);
    samples.record(&COLLECTOR_UP, name, health.up().map(flag));
    let last_success = health.last_success.map(unix_seconds);
    samples.record(&COLLECTOR_LAST_SUCCESS, name, last_success);
    samples.record(&LAST_SCRAPE, name, last_success.filter(|_| slot.row.core));
    samples.record(&COLLECTOR_DURATION, name, health.duration.map(|took| took.as_secs_f64()));
    // Complete from the start: a counter that is born at 1 hides its first failure.
    let runs =
        [("success", health.succeeded), ("failure", health.failed), ("skipped", health.skipped)];
    for (result, count) in runs {
        samples.record(&COLLECTOR_RUNS, [slot.row.name, result], count as f64);
    }
    for (kind, count) in &health.errors {
        samples.record(&COLLECTOR_ERRORS, [slot.row.name, kind], *count as f64);
    }
    samples.record(&COLLECTOR_SAMPLES, name, slot.exported.series() as f64);
    let unreadable = client.unreadable(slot.row.resource);
    samples.record(&COLLECTOR_UNREADABLE, name, unreadable as f64);
    samples.record(&COLLECTOR_DUPLICATES, name, health.duplicates as f64);
    samples.record(&COLLECTOR_PERMITTED, name, health.permitted.map(flag));
}

fn record_server(client: &Client, stale: bool, samples: &mut Samples) {
    if let Some(version) = client.version().filter(|_| !stale) {
        samples.record(&API_VERSION, [&version.to_string()], 1.0);
    }
    let stats = client.stats();
    samples.record(&RESPONSE_TIME, [], stats.last_response_ms.filter(|_| !stale));
    for ((resource, outcome), count) in &stats.requests {
        samples.record(&API_REQUESTS, [resource, &outcome.label()], *count as f64);
    }
    for (resource, durations) in &stats.durations {
        let value = Distribution { counts: durations.counts.to_vec(), sum: durations.sum };
        samples.distribution(&API_DURATION, [resource], value);
    }
    samples.record(&API_RETRIES, [], stats.retries as f64);
    samples.record(&KEY_REFUSED, [], flag(client.key_refused_until().is_some()));
    samples.record(&PLAIN_TEXT, [], flag(client.sends_key_in_clear_text()));
}
