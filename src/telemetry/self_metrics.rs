//! The metrics of the process itself: made afresh for each scrape and each export, since there are
//! few of them and the state of a reload, for one, must show at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::drop_rules::DropFilter;
use super::otlp::stats::{Items, OtlpStats, SignalStats};
use super::view::Dropped;
use crate::election::{Numbers, Stats};
use crate::metric::{Definition, Metric, Samples, flag, unix_seconds};
use crate::reload::{Trigger, Verdict};
use crate::snapshot::{Part, Place};
use crate::tenure::Tenure;

static BUILD_INFO: Metric<3> = Metric::agent_gauge(
    "nbu.agent.build_info",
    "",
    &["version", "rustc", "target"],
    "Version and build of the agent; always 1.",
);
static EXPORTER_BUILD_INFO: Metric<2> = Metric::agent_gauge(
    "nbu.exporter.build_info",
    "",
    &["version", "goversion"],
    "Version of the agent under nbu_exporter's name, for its dashboards; always 1. goversion is the Rust compiler.",
);
static SITES: Metric<0> =
    Metric::agent_gauge("nbu.agent.sites", "{site}", &[], "Number of polled sites.");
static SCRAPES: Metric<1> = Metric::agent_counter(
    "nbu.agent.scrapes",
    "{scrape}",
    &["encoding"],
    "Scrapes of the Prometheus endpoint, by content encoding (identity, gzip).",
);
static RENDERS: Metric<0> = Metric::agent_counter(
    "nbu.agent.renders",
    "{render}",
    &[],
    "Number of times the metrics page was rendered; scrapes get the last rendered page.",
);
static RENDER_DURATION: Metric<0> = Metric::agent_gauge(
    "nbu.agent.render.duration",
    "s",
    &[],
    "Duration of the last rendering of the metrics page, including compression.",
);
static SERIES: Metric<0> = Metric::agent_gauge(
    "nbu.agent.series",
    "{series}",
    &[],
    "Series of all sites in the last rendered metrics page.",
);
static DROPPED_SERIES: Metric<1> = Metric::agent_gauge(
    "nbu.agent.cardinality.dropped_series",
    "{series}",
    &["metric"],
    "Series dropped because of metrics.cardinalityLimit, by metric; absent for metrics that lost none.",
);
static DROPPED_BY_RULES: Metric<1> = Metric::agent_gauge(
    "nbu.agent.dropped_series",
    "{series}",
    &["metric"],
    "Series that are not exported because of metrics.drop, by metric; absent for metrics that lose none.",
);
static CARDINALITY_LIMIT: Metric<0> = Metric::agent_gauge(
    "nbu.agent.cardinality.limit",
    "{series}",
    &[],
    "Maximum number of series of a metric over all sites (metrics.cardinalityLimit).",
);
static CONFIG_INFO: Metric<1> = Metric::agent_gauge(
    "nbu.agent.config.info",
    "",
    &["sha256"],
    "SHA-256 of the current configuration file; always 1.",
);
static CONFIG_LAST_OK: Metric<0> = Metric::agent_gauge(
    "nbu.agent.config.last_reload_successful",
    "",
    &[],
    "1 if the last attempt to load the configuration succeeded (including the start), else 0.",
);
static CONFIG_LAST_OK_TIME: Metric<0> = Metric::agent_gauge(
    "nbu.agent.config.last_reload_success.timestamp",
    "s",
    &[],
    "Time when a configuration was last loaded successfully, Unix seconds.",
);
static CONFIG_RELOADS: Metric<2> = Metric::agent_counter(
    "nbu.agent.config.reloads",
    "{reload}",
    &["trigger", "result"],
    "Attempts to load the configuration, by trigger and result (applied, unchanged, rejected).",
);
static CONFIG_PENDING: Metric<0> = Metric::agent_gauge(
    "nbu.agent.config.reload_pending",
    "",
    &[],
    "1 while the agent retries a valid configuration that cannot be applied yet (a port is in use, a file is missing), else 0.",
);
static SHARD: Metric<0> = Metric::agent_gauge(
    "nbu.agent.shard",
    "",
    &[],
    "Number of this agent among those that share the sites, from 0 (sharding). Absent where they are not shared out.",
);
static SHARDS: Metric<0> = Metric::agent_gauge(
    "nbu.agent.shards",
    "{shard}",
    &[],
    "Number of agents that share the sites (sharding.shards). Absent where they are not shared out.",
);
static LEADER: Metric<0> = Metric::agent_gauge(
    "nbu.agent.leader",
    "",
    &[],
    "1 if this agent polls and exports, 0 if it is a standby of the agent that does (election). Absent without an election.",
);
static LEASE_TRANSITIONS: Metric<0> = Metric::agent_gauge(
    "nbu.agent.lease.transitions",
    "{transition}",
    &[],
    "Number of changes of the leader, as the Lease had it last (leaseTransitions). Absent without an election.",
);
static LEASE_REQUESTS: Metric<1> = Metric::agent_counter(
    "nbu.agent.lease.requests",
    "{request}",
    &["result"],
    "Requests to read or renew the Lease, by result (success, failure). Absent without an election.",
);
static ENDPOINT_EXPOSED: Metric<0> = Metric::agent_gauge(
    "nbu.agent.endpoint.exposed",
    "",
    &[],
    "1 if the endpoint is in plain text, asks for no password or token, and listens beyond this machine, else 0 (server.web).",
);
static ENDPOINT_REFUSED: Metric<1> = Metric::agent_counter(
    "nbu.agent.endpoint.refused_requests",
    "{request}",
    &["reason"],
    "Requests that the endpoint refused, by reason: credentials (none, or wrong ones), busy (too many passwords wait for their check), rate (rate_limit), plain_text (TLS is required), handshake (no TLS session came about), certificate (that of the client is no longer accepted).",
);
static LOG_DROPPED: Metric<0> = Metric::agent_counter(
    "nbu.agent.log.lines_dropped",
    "{line}",
    &[],
    "Log lines that were lost because they could not be written, or not fast enough.",
);
static TASK_RESTARTS: Metric<1> = Metric::agent_counter(
    "nbu.agent.task.restarts",
    "{restart}",
    &["task"],
    "Restarts of background tasks that died, by task; each one is a bug in the agent.",
);
static TASKS: Metric<0> = Metric::agent_gauge(
    "nbu.agent.tasks",
    "{task}",
    &[],
    "Asynchronous tasks of the agent that have not ended. It varies with requests and connections; a number that only grows is a bug in the agent.",
);
static OTLP_EXPORTS: Metric<2> = Metric::agent_counter(
    "nbu.agent.otlp.exports",
    "{export}",
    &["signal", "result"],
    "OTLP exports by signal and result: success, partial, unsupported (the receiver does not accept the signal), or the kind of failure.",
);
static OTLP_SUPPORTED: Metric<1> = Metric::agent_gauge(
    "nbu.agent.otlp.signal_supported",
    "",
    &["signal"],
    "1 once the receiver has accepted the signal; 0 if it does not support it (UNIMPLEMENTED, 404, 405, 415, 501), and the agent retries once an hour.",
);
static OTLP_SAVED: Metric<0> = Metric::agent_gauge(
    "nbu.agent.otlp.state_saved",
    "",
    &[],
    "1 if increments are saved to disk before they are pushed; 0 if saving fails and a restart may count them twice. Only with a state directory and temporality delta or lowmemory.",
);
static OTLP_POINTS: Metric<2> = Metric::agent_counter(
    "nbu.agent.otlp.points",
    "{point}",
    &["signal", "result"],
    "Data points or spans by result: accepted, rejected by the receiver, or dropped because an export failed.",
);
static OTLP_REQUESTS: Metric<1> = Metric::agent_counter(
    "nbu.agent.otlp.requests",
    "{request}",
    &["signal"],
    "OTLP requests sent, including failed attempts.",
);
static OTLP_BYTES: Metric<1> = Metric::agent_counter(
    "nbu.agent.otlp.sent",
    "By",
    &["signal"],
    "Size of the OTLP requests sent, before compression.",
);
static OTLP_LAST_SUCCESS: Metric<1> = Metric::agent_gauge(
    "nbu.agent.otlp.last_success.timestamp",
    "s",
    &["signal"],
    "Time of the last complete successful export of this signal, Unix seconds.",
);
static OTLP_DURATION: Metric<1> = Metric::agent_gauge(
    "nbu.agent.otlp.export.duration",
    "s",
    &["signal"],
    "Duration of the last export of this signal, including collection.",
);

/// Returns the metrics that the process declares about itself, `process_*` included.
pub fn definitions() -> Vec<&'static Definition> {
    let mut all = vec![
        BUILD_INFO.definition(),
        EXPORTER_BUILD_INFO.definition(),
        SITES.definition(),
        SCRAPES.definition(),
        RENDERS.definition(),
        RENDER_DURATION.definition(),
        SERIES.definition(),
        DROPPED_SERIES.definition(),
        DROPPED_BY_RULES.definition(),
        CARDINALITY_LIMIT.definition(),
        CONFIG_INFO.definition(),
        CONFIG_LAST_OK.definition(),
        CONFIG_LAST_OK_TIME.definition(),
        CONFIG_RELOADS.definition(),
        CONFIG_PENDING.definition(),
        SHARD.definition(),
        SHARDS.definition(),
        LEADER.definition(),
        LEASE_TRANSITIONS.definition(),
        LEASE_REQUESTS.definition(),
        ENDPOINT_EXPOSED.definition(),
        ENDPOINT_REFUSED.definition(),
        LOG_DROPPED.definition(),
        TASK_RESTARTS.definition(),
        TASKS.definition(),
        OTLP_EXPORTS.definition(),
        OTLP_SUPPORTED.definition(),
        OTLP_SAVED.definition(),
        OTLP_POINTS.definition(),
        OTLP_REQUESTS.definition(),
        OTLP_BYTES.definition(),
        OTLP_LAST_SUCCESS.definition(),
        OTLP_DURATION.definition(),
    ];
    all.extend(super::process::definitions());
    all
}

#[derive(Debug, Clone, Default)]
pub struct ConfigState {
    /// Hash of the configuration in force, hex; empty before the first success.
    pub sha256: String,
    pub last_ok: bool,
    pub last_success: Option<SystemTime>,
    /// Error of the last attempt, if it failed.
    pub last_error: Option<String>,
    /// The last attempt is retried: its configuration is valid.
    pub pending: bool,
    /// Error of the last attempt to restart tasks that died, if it failed.
    pub recovery_error: Option<String>,
    pub reloads: BTreeMap<(Trigger, Verdict), u64>,
}

/// The process's own numbers. Writers are many and brief; nothing here waits.
#[derive(Debug)]
pub struct SelfMetrics {
    /// The origin of the totals.
    started: SystemTime,
    otlp: Arc<OtlpStats>,
    drop_filter: DropFilter,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    config: ConfigState,
    /// Scrapes of plain text, and of gzip.
    scrapes: [u64; 2],
    sites: usize,
    cardinality_limit: Option<usize>,
    restarts: BTreeMap<&'static str, u64>,
    /// Counts the lines that the log lost.
    dropped_lines: Option<fn() -> u64>,
    renders: u64,
    render_duration: Duration,
    series: usize,
    /// Beyond the cardinality limit.
    dropped: Dropped,
    by_rules: Dropped,
    exposed: Option<bool>,
    /// Shard and shards.
    sharding: Option<[u32; 2]>,
    election: Option<(Arc<Tenure>, Arc<Stats>)>,
    refused: BTreeMap<&'static str, u64>,
}

impl SelfMetrics {
    pub fn new(otlp: Arc<OtlpStats>) -> Arc<Self> {
        Arc::new(Self {
            started: SystemTime::now(),
            otlp,
            drop_filter: DropFilter::default(),
            state: Mutex::default(),
        })
    }

    pub fn otlp(&self) -> &Arc<OtlpStats> {
        &self.otlp
    }

    /// Returns the rules for series that are not exported.
    pub fn drop_filter(&self) -> &DropFilter {
        &self.drop_filter
    }

    pub fn config(&self) -> ConfigState {
        self.state().config.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the configuration with this hash is in force.
    pub fn note_reload(&self, trigger: Trigger, verdict: Verdict, sha256: String) {
        let config = &mut self.state().config;
        *config.reloads.entry((trigger, verdict)).or_default() += 1;
        config.recovery_error = None;
        // A recovery says nothing about the files.
        if trigger != Trigger::Recovery {
            config.sha256 = sha256;
            config.last_ok = true;
            config.last_error = None;
            config.pending = false;
            config.last_success = Some(SystemTime::now());
        }
    }

    /// Notes that a configuration could not be put in force; `pending` if it is retried.
    pub fn note_rejection(&self, trigger: Trigger, error: String, pending: bool) {
        let config = &mut self.state().config;
        *config.reloads.entry((trigger, Verdict::Rejected)).or_default() += 1;
        if trigger == Trigger::Recovery {
            config.recovery_error = Some(error);
        } else {
            config.last_ok = false;
            config.pending = pending;
            config.last_error = Some(error);
        }
    }

    /// Names the tasks whose restarts are counted, and who counts the lines that the log lost.
    pub fn supervise(
        &self,
        tasks: impl IntoIterator<Item = &'static str>,
        dropped_lines: fn() -> u64,
    ) {
        let mut state = self.state();
        // Complete from the start, so that the first of its kind shows in a rate.
        state.restarts.extend(tasks.into_iter().map(|task| (task, 0)));
        for trigger in Trigger::ALL {
            state.config.reloads.extend(Verdict::ALL.map(|verdict| ((trigger, verdict), 0)));
        }
        state.dropped_lines = Some(dropped_lines);
    }

    pub fn count_restart(&self, task: &'static str) {
        *self.state().restarts.entry(task).or_default() += 1;
    }

    /// Notes how many sites are polled and how many series a metric can have.
    pub fn set_extent(&self, sites: usize, cardinality_limit: usize) {
        let mut state = self.state();
        (state.sites, state.cardinality_limit) = (sites, Some(cardinality_limit));
    }

    /// Notes whether everybody who reaches the endpoint can read it.
    pub fn set_exposed(&self, exposed: bool) {
        self.state().exposed = Some(exposed);
    }

    /// Notes the shard of this agent and their number, where sites are shared out.
    pub fn set_sharding(&self, sharding: Option<[u32; 2]>) {
        self.state().sharding = sharding;
    }

    /// Takes the numbers of the election, where there is one.
    pub(crate) fn set_election(&self, election: Option<(Arc<Tenure>, Arc<Stats>)>) {
        self.state().election = election;
    }

    /// Returns whether this agent leads, and the numbers of the election, where there is one.
    pub(crate) fn election(&self) -> Option<(bool, Numbers)> {
        self.state().election()
    }

    /// Names the reasons for which the endpoint refuses requests.
    pub(crate) fn expect_refusals(&self, reasons: impl IntoIterator<Item = &'static str>) {
        self.state().refused.extend(reasons.into_iter().map(|reason| (reason, 0)));
    }

    pub(crate) fn count_refusal(&self, reason: &'static str) {
        *self.state().refused.entry(reason).or_default() += 1;
    }

    pub(super) fn cardinality_limit(&self) -> usize {
        self.state().cardinality_limit.unwrap_or(usize::MAX)
    }

    pub fn count_scrape(&self, gzip: bool) {
        self.state().scrapes[usize::from(gzip)] += 1;
    }

    /// Notes a rendering. Returns whether any series are dropped because of the limit now, if that changed.
    pub(super) fn set_rendered(
        &self,
        duration: Duration,
        series: usize,
        dropped: Dropped,
        by_rules: Dropped,
    ) -> Option<bool> {
        let mut state = self.state();
        state.renders += 1;
        (state.render_duration, state.series) = (duration, series);
        state.by_rules = by_rules;
        let drops = !dropped.is_empty();
        let before = std::mem::replace(&mut state.dropped, dropped);
        (before.is_empty() == drops).then_some(drops)
    }

    pub fn part(&self) -> Part {
        let mut samples = Samples::new();
        let rustc = env!("NBU_AGENT_RUSTC");
        let version = env!("CARGO_PKG_VERSION");
        samples.record(&BUILD_INFO, [version, rustc, env!("NBU_AGENT_TARGET")], 1.0);
        samples.record(&EXPORTER_BUILD_INFO, [version, &format!("rust {rustc}")], 1.0);
        self.state().record(&mut samples);
        for (signal, stats) in self.otlp.snapshot() {
            record_push(signal.as_str(), &stats, &mut samples);
        }
        super::process::record(&mut samples);
        let families = Arc::new(samples.finish().0);
        let place = Place { collector: 1, ..Place::default() };
        Part { collector: "agent", place, families, origin: self.started }
    }
}

impl State {
    fn election(&self) -> Option<(bool, Numbers)> {
        let (tenure, stats) = self.election.as_ref()?;
        Some((!tenure.is_over(), stats.numbers()))
    }

    fn record(&self, samples: &mut Samples) {
        let config = &self.config;
        let is_ok = config.last_ok && config.recovery_error.is_none();
        samples.record(&CONFIG_LAST_OK, [], flag(is_ok));
        samples.record(&CONFIG_PENDING, [], flag(config.pending));
        if let Some(exposed) = self.exposed {
            samples.record(&ENDPOINT_EXPOSED, [], flag(exposed));
        }
        if let Some([shard, shards]) = self.sharding {
            samples.record(&SHARD, [], f64::from(shard));
            samples.record(&SHARDS, [], f64::from(shards));
        }
        if let Some((leads, numbers)) = self.election() {
            samples.record(&LEADER, [], flag(leads));
            let transitions = numbers.transitions.map(|number| number as f64);
            samples.record(&LEASE_TRANSITIONS, [], transitions);
            samples.record(&LEASE_REQUESTS, ["success"], numbers.succeeded as f64);
            samples.record(&LEASE_REQUESTS, ["failure"], numbers.failed as f64);
        }
        for (reason, count) in &self.refused {
            samples.record(&ENDPOINT_REFUSED, [reason], *count as f64);
        }
        if let Some(time) = config.last_success {
            samples.record(&CONFIG_LAST_OK_TIME, [], unix_seconds(time));
            samples.record(&CONFIG_INFO, [&config.sha256], 1.0);
        }
        for ((trigger, result), count) in &config.reloads {
            samples.record(&CONFIG_RELOADS, [trigger.as_str(), result.as_str()], *count as f64);
        }
        let lines = self.dropped_lines.map_or(0, |dropped| dropped());
        samples.record(&LOG_DROPPED, [], lines as f64);
        for (task, count) in &self.restarts {
            samples.record(&TASK_RESTARTS, [task], *count as f64);
        }
        // Threads that render and collect belong to the runtime.
        let runtime = tokio::runtime::Handle::try_current().ok();
        let tasks = runtime.map(|runtime| runtime.metrics().num_alive_tasks() as f64);
        samples.record(&TASKS, [], tasks);
        samples.record(&SITES, [], self.sites as f64);
        let limit = self.cardinality_limit.unwrap_or_default();
        samples.record(&CARDINALITY_LIMIT, [], limit as f64);
        for (encoding, count) in ["identity", "gzip"].iter().zip(self.scrapes) {
            samples.record(&SCRAPES, [encoding], count as f64);
        }
        samples.record(&RENDERS, [], self.renders as f64);
        samples.record(&RENDER_DURATION, [], self.render_duration.as_secs_f64());
        samples.record(&SERIES, [], self.series as f64);
        for (definition, count) in &self.dropped {
            samples.record(&DROPPED_SERIES, [&definition.prometheus_name()], *count as f64);
        }
        for (definition, count) in &self.by_rules {
            samples.record(&DROPPED_BY_RULES, [&definition.prometheus_name()], *count as f64);
        }
    }
}

fn record_push(signal: &'static str, stats: &SignalStats, samples: &mut Samples) {
    for (result, count) in &stats.exports {
        samples.record(&OTLP_EXPORTS, [signal, result], *count as f64);
    }
    let Items { accepted, rejected, dropped } = stats.items;
    for (result, count) in [("accepted", accepted), ("rejected", rejected), ("dropped", dropped)] {
        samples.record(&OTLP_POINTS, [signal, result], count as f64);
    }
    samples.record(&OTLP_REQUESTS, [signal], stats.requests as f64);
    samples.record(&OTLP_BYTES, [signal], stats.bytes as f64);
    samples.record(&OTLP_SUPPORTED, [signal], stats.supported.map(flag));
    samples.record(&OTLP_SAVED, [], stats.saved.map(flag));
    samples.record(&OTLP_LAST_SUCCESS, [signal], stats.last_success.map(unix_seconds));
    samples.record(&OTLP_DURATION, [signal], stats.last_duration.map(|took| took.as_secs_f64()));
}
