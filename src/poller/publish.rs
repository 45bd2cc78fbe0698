//! What the agent knows about a site and about its own work there. These persist through failures
//! of the site, and vanish with it.

use super::site::SitePoller;
use crate::metric::{Definition, Distribution, Metric, Samples};
use crate::netbackup::stats::DURATION_BOUNDS;
use crate::telemetry::agent::unix_seconds;

static UP: Metric<0> = Metric::gauge(
    "nbu.up",
    "",
    &[],
    "1 where the storage or the jobs of the site were read in the last cycle, 0 where both failed.",
);
static API_VERSION: Metric<1> = Metric::gauge(
    "nbu.api_version",
    "",
    &["version"],
    "1; the API version that was negotiated with the server.",
);
static LAST_SCRAPE: Metric<1> = Metric::gauge(
    "nbu.last_scrape.timestamp",
    "s",
    &["source"],
    "When the storage or the jobs were last read with success, Unix time of the agent.",
);
static RESPONSE_TIME: Metric<0> = Metric::gauge(
    "nbu.response_time_ms",
    "",
    &[],
    "Time that the last answer of the API took, in milliseconds.",
);
static COLLECTOR_UP: Metric<1> = Metric::gauge(
    "nbu.agent.collector.up",
    "",
    &["collector"],
    "Whether the last run of the collector succeeded whole.",
);
static COLLECTOR_DURATION: Metric<1> = Metric::gauge(
    "nbu.agent.collector.duration",
    "s",
    &["collector"],
    "How long the last run of the collector took.",
);
static COLLECTOR_RUNS: Metric<2> = Metric::counter(
    "nbu.agent.collector.runs",
    "{run}",
    &["collector", "result"],
    "Runs of the collector by result: success, failure, skipped (the one before was still running).",
);
static COLLECTOR_ERRORS: Metric<2> = Metric::counter(
    "nbu.agent.collector.errors",
    "{error}",
    &["collector", "kind"],
    "Errors of the collector by kind, each from its first on (use the runs for rates); docs/operations.md says what each asks for.",
);
static COLLECTOR_LAST_SUCCESS: Metric<1> = Metric::gauge(
    "nbu.agent.collector.last_success.timestamp",
    "s",
    &["collector"],
    "When the collector last succeeded, Unix time; absent where it never did.",
);
static COLLECTOR_SAMPLES: Metric<1> = Metric::gauge(
    "nbu.agent.collector.samples",
    "{series}",
    &["collector"],
    "Series that the collector has on show; 0 once they are stale.",
);
static COLLECTOR_UNREADABLE: Metric<1> = Metric::counter(
    "nbu.agent.collector.unreadable_records",
    "{record}",
    &["collector"],
    "Records of the server that could not be read and were skipped, each counted once. The log has the first of them.",
);
static COLLECTOR_DUPLICATES: Metric<1> = Metric::gauge(
    "nbu.agent.collector.duplicate_series",
    "{series}",
    &["collector"],
    "Series that the last run produced more than once; one of each is exported.",
);
static COLLECTOR_PERMITTED: Metric<1> = Metric::gauge(
    "nbu.agent.collector.permitted",
    "",
    &["collector"],
    "Whether the role of the API key may see what the collector reads; absent while unknown. An empty list of jobs is told from a forbidden one by it.",
);
static COLLECTOR_SUPPORTED: Metric<1> = Metric::gauge(
    "nbu.agent.collector.supported",
    "",
    &["collector"],
    "Whether the server's release has what the collector reads; absent while unknown. At 0 the collector has no other series, and is asked again when the version or the configuration changes.",
);
static API_REQUESTS: Metric<2> = Metric::counter(
    "nbu.agent.api.requests",
    "{request}",
    &["resource", "status"],
    "Requests to the NetBackup API by resource and HTTP status, or kind of failure where there was no answer.",
);
static API_DURATION: Metric<1> = Metric::histogram(
    "nbu.agent.api.request.duration",
    "s",
    &DURATION_BOUNDS,
    &["resource"],
    "How long requests to the NetBackup API took, retries counted singly.",
);
static API_RETRIES: Metric<0> = Metric::counter(
    "nbu.agent.api.retries",
    "{request}",
    &[],
    "Requests to the NetBackup API that were sent again.",
);
static KEY_REFUSED: Metric<0> = Metric::gauge(
    "nbu.agent.api.key_refused",
    "",
    &[],
    "Whether the server refused the API key for everything, so that it is not presented for a while.",
);

/// Everything that is declared here.
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

pub(super) fn record(poller: &SitePoller, samples: &mut Samples) {
    if let Some(up) = poller.up.value() {
        samples.record(&UP, [], flag(up));
    }
    if let Some(version) = poller.client.version().filter(|_| !poller.is_stale()) {
        samples.record(&API_VERSION, [&version.to_string()], 1.0);
    }
    record_slots(poller, samples);
    record_requests(poller, samples);
}

fn record_slots(poller: &SitePoller, samples: &mut Samples) {
    for slot in &poller.slots {
        let name = [slot.row.name];
        let tally = &slot.tally;
        if let Some(supported) = slot.status.supported {
            samples.record(&COLLECTOR_SUPPORTED, name, flag(supported));
        }
        if slot.is_unsupported() {
            continue;
        }
        if let Some(ok) = slot.status.ok {
            samples.record(&COLLECTOR_UP, name, flag(ok));
        }
        if let Some(time) = slot.status.last_success {
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
        samples.record(&COLLECTOR_SAMPLES, name, slot.samples() as f64);
        let unreadable = poller.client.unreadable(slot.row.resource);
        samples.record(&COLLECTOR_UNREADABLE, name, unreadable as f64);
        samples.record(&COLLECTOR_DUPLICATES, name, tally.duplicates as f64);
        if let Some(permitted) = tally.permitted {
            samples.record(&COLLECTOR_PERMITTED, name, flag(permitted));
        }
    }
}

fn record_requests(poller: &SitePoller, samples: &mut Samples) {
    let stats = poller.client.stats();
    if let Some(ms) = stats.last_response_ms.filter(|_| !poller.is_stale()) {
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
    samples.record(&KEY_REFUSED, [], flag(poller.client.key_refused_until().is_some()));
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}
