//! The metrics of the process itself: made afresh for each scrape and each export, since there are
//! few of them and the state of a reload, for one, must show at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use super::otlp::stats::OtlpStats;
use super::view::Dropped;
use crate::metric::{Definition, Metric, Samples, unix_seconds};
use crate::reload::{Trigger, Verdict};
use crate::snapshot::Part;

static BUILD_INFO: Metric<3> = Metric::gauge(
    "nbu.agent.build_info",
    "",
    &["version", "rustc", "target"],
    "Version and build of the agent; always 1.",
)
.of_agent();
static EXPORTER_BUILD_INFO: Metric<2> = Metric::gauge(
    "nbu.exporter.build_info",
    "",
    &["version", "goversion"],
    "Version of the agent under nbu_exporter's name, for its dashboards; always 1. goversion is the Rust compiler.",
)
.of_agent();
static SITES: Metric<0> =
    Metric::gauge("nbu.agent.sites", "{site}", &[], "Number of polled sites.").of_agent();
static SCRAPES: Metric<1> = Metric::counter(
    "nbu.agent.scrapes",
    "{scrape}",
    &["encoding"],
    "Scrapes of the Prometheus endpoint, by content encoding (identity, gzip).",
)
.of_agent();
static RENDERS: Metric<0> = Metric::counter(
    "nbu.agent.renders",
    "{render}",
    &[],
    "Number of times the metrics page was rendered; scrapes get the last rendered page.",
)
.of_agent();
static RENDER_DURATION: Metric<0> = Metric::gauge(
    "nbu.agent.render.duration",
    "s",
    &[],
    "Duration of the last rendering of the metrics page, including compression.",
)
.of_agent();
static SERIES: Metric<0> = Metric::gauge(
    "nbu.agent.series",
    "{series}",
    &[],
    "Series of all sites in the last rendered metrics page.",
)
.of_agent();
static DROPPED_SERIES: Metric<1> = Metric::gauge(
    "nbu.agent.cardinality.dropped_series",
    "{series}",
    &["metric"],
    "Series dropped because of metrics.cardinalityLimit, by metric; absent for metrics that lost none.",
)
.of_agent();
static CARDINALITY_LIMIT: Metric<0> = Metric::gauge(
    "nbu.agent.cardinality.limit",
    "{series}",
    &[],
    "Maximum number of series of a metric over all sites (metrics.cardinalityLimit).",
)
.of_agent();
static CONFIG_INFO: Metric<1> = Metric::gauge(
    "nbu.agent.config.info",
    "",
    &["sha256"],
    "SHA-256 of the current configuration file; always 1.",
)
.of_agent();
static CONFIG_LAST_OK: Metric<0> = Metric::gauge(
    "nbu.agent.config.last_reload_successful",
    "",
    &[],
    "1 if the last attempt to load the configuration succeeded (including the start), else 0.",
)
.of_agent();
static CONFIG_LAST_OK_TIME: Metric<0> = Metric::gauge(
    "nbu.agent.config.last_reload_success.timestamp",
    "s",
    &[],
    "Time when a configuration was last loaded successfully, Unix seconds.",
)
.of_agent();
static CONFIG_RELOADS: Metric<2> = Metric::counter(
    "nbu.agent.config.reloads",
    "{reload}",
    &["trigger", "result"],
    "Attempts to load the configuration, by trigger and result (applied, unchanged, rejected).",
)
.of_agent();
static CONFIG_PENDING: Metric<0> = Metric::gauge(
    "nbu.agent.config.reload_pending",
    "",
    &[],
    "1 while the agent retries a valid configuration that cannot be applied yet (a port is in use, a file is missing), else 0.",
)
.of_agent();
static LOG_DROPPED: Metric<0> = Metric::counter(
    "nbu.agent.log.lines_dropped",
    "{line}",
    &[],
    "Log lines that were lost because they could not be written, or not fast enough.",
)
.of_agent();
static TASK_RESTARTS: Metric<1> = Metric::counter(
    "nbu.agent.task.restarts",
    "{restart}",
    &["task"],
    "Restarts of background tasks that died, by task; each one is a bug in the agent.",
)
.of_agent();
static OTLP_EXPORTS: Metric<2> = Metric::counter(
    "nbu.agent.otlp.exports",
    "{export}",
    &["signal", "result"],
    "OTLP exports by signal and result: success, partial, unsupported (the receiver does not accept the signal), or the kind of failure.",
)
.of_agent();
static OTLP_SUPPORTED: Metric<1> = Metric::gauge(
    "nbu.agent.otlp.signal_supported",
    "",
    &["signal"],
    "1 once the receiver has accepted the signal; 0 if it does not support it (UNIMPLEMENTED, 404, 405, 415, 501), and the agent retries once an hour.",
)
.of_agent();
static OTLP_SAVED: Metric<0> = Metric::gauge(
    "nbu.agent.otlp.state_saved",
    "",
    &[],
    "1 if increments are saved to disk before they are pushed; 0 if saving fails and a restart may count them twice. Only with a state directory and temporality delta or lowmemory.",
)
.of_agent();
static OTLP_POINTS: Metric<2> = Metric::counter(
    "nbu.agent.otlp.points",
    "{point}",
    &["signal", "result"],
    "Data points or spans by result: accepted, rejected by the receiver, or dropped because an export failed.",
)
.of_agent();
static OTLP_REQUESTS: Metric<1> = Metric::counter(
    "nbu.agent.otlp.requests",
    "{request}",
    &["signal"],
    "OTLP requests sent, including failed attempts.",
)
.of_agent();
static OTLP_BYTES: Metric<1> = Metric::counter(
    "nbu.agent.otlp.sent",
    "By",
    &["signal"],
    "Size of the OTLP requests sent, before compression.",
)
.of_agent();
static OTLP_LAST_SUCCESS: Metric<1> = Metric::gauge(
    "nbu.agent.otlp.last_success.timestamp",
    "s",
    &["signal"],
    "Time of the last complete successful export of this signal, Unix seconds.",
)
.of_agent();
static OTLP_DURATION: Metric<1> = Metric::gauge(
    "nbu.agent.otlp.export.duration",
    "s",
    &["signal"],
    "Duration of the last export of this signal, including collection.",
)
.of_agent();

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
        CARDINALITY_LIMIT.definition(),
        CONFIG_INFO.definition(),
        CONFIG_LAST_OK.definition(),
        CONFIG_LAST_OK_TIME.definition(),
        CONFIG_RELOADS.definition(),
        CONFIG_PENDING.definition(),
        LOG_DROPPED.definition(),
        TASK_RESTARTS.definition(),
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

/// State of the configuration.
#[derive(Debug, Clone, Default)]
pub struct ConfigState {
    /// Hash of the configuration in force, hex; empty before the first success.
    pub sha256: String,
    /// The last attempt succeeded.
    pub last_ok: bool,
    /// Time of the last success.
    pub last_success: Option<SystemTime>,
    /// Error of the last attempt, if it failed.
    pub last_error: Option<String>,
    /// The last attempt is retried: its configuration is valid.
    pub pending: bool,
    /// Error of the last attempt to restart tasks that died, if it failed.
    pub recovery_error: Option<String>,
    /// Attempts by trigger and verdict.
    pub reloads: BTreeMap<(Trigger, Verdict), u64>,
}

/// The process's own numbers. Writers are many and brief; nothing here waits.
#[derive(Debug)]
pub struct SelfMetrics {
    started: SystemTime,
    config: Mutex<ConfigState>,
    rendered: Mutex<Rendered>,
    scrapes: [AtomicU64; 2],
    sites: AtomicU64,
    limit: AtomicU64,
    restarts: Mutex<BTreeMap<&'static str, u64>>,
    dropped_lines: OnceLock<fn() -> u64>,
    otlp: Arc<OtlpStats>,
}

#[derive(Debug, Default)]
struct Rendered {
    count: u64,
    duration: Duration,
    series: usize,
    dropped: Dropped,
}

impl SelfMetrics {
    /// State of a process that starts now.
    pub fn new(otlp: Arc<OtlpStats>) -> Arc<Self> {
        Arc::new(Self {
            started: SystemTime::now(),
            config: Mutex::default(),
            rendered: Mutex::default(),
            scrapes: Default::default(),
            sites: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            restarts: Mutex::default(),
            dropped_lines: OnceLock::new(),
            otlp,
        })
    }

    /// Returns the time at which the process started: the origin of its totals.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// The statistics of the OTLP push.
    pub fn otlp(&self) -> &Arc<OtlpStats> {
        &self.otlp
    }

    /// A copy of the configuration's state.
    pub fn config(&self) -> ConfigState {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn update_config(&self, change: impl FnOnce(&mut ConfigState)) {
        change(&mut self.config.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes that the configuration with this hash is in force.
    pub fn note_reload(&self, trigger: Trigger, verdict: Verdict, sha256: String) {
        self.update_config(|state| {
            *state.reloads.entry((trigger, verdict)).or_default() += 1;
            state.recovery_error = None;
            // A recovery says nothing about the files.
            if trigger != Trigger::Recovery {
                state.sha256 = sha256;
                state.last_ok = true;
                state.last_error = None;
                state.pending = false;
                state.last_success = Some(SystemTime::now());
            }
        });
    }

    /// Notes that a configuration could not be put in force; `pending` if it is retried.
    pub fn note_rejection(&self, trigger: Trigger, error: String, pending: bool) {
        self.update_config(|state| {
            *state.reloads.entry((trigger, Verdict::Rejected)).or_default() += 1;
            if trigger == Trigger::Recovery {
                state.recovery_error = Some(error);
            } else {
                state.last_ok = false;
                state.pending = pending;
                state.last_error = Some(error);
            }
        });
    }

    /// Names the tasks whose restarts are counted, and who counts the lines that the log lost.
    pub fn supervise(
        &self,
        tasks: impl IntoIterator<Item = &'static str>,
        dropped_lines: fn() -> u64,
    ) {
        let mut restarts = self.restarts.lock().unwrap_or_else(PoisonError::into_inner);
        restarts.extend(tasks.into_iter().map(|task| (task, 0)));
        // Complete from the start, so that the first of its kind shows in a rate.
        self.update_config(|state| {
            for trigger in Trigger::ALL {
                state.reloads.extend(Verdict::ALL.map(|verdict| ((trigger, verdict), 0)));
            }
        });
        let _ = self.dropped_lines.set(dropped_lines);
    }

    /// Counts a restart.
    pub fn count_restart(&self, task: &'static str) {
        let mut restarts = self.restarts.lock().unwrap_or_else(PoisonError::into_inner);
        *restarts.entry(task).or_default() += 1;
    }

    /// Notes how many sites are polled and how many series a metric can have.
    pub fn set_extent(&self, sites: usize, cardinality_limit: usize) {
        self.sites.store(sites as u64, Relaxed);
        self.limit.store(cardinality_limit as u64, Relaxed);
    }

    /// Counts a scrape.
    pub fn count_scrape(&self, gzip: bool) {
        self.scrapes[usize::from(gzip)].fetch_add(1, Relaxed);
    }

    /// Notes a rendering. Returns whether any series are dropped now, where that changed.
    pub(super) fn set_rendered(
        &self,
        duration: Duration,
        series: usize,
        dropped: Dropped,
    ) -> Option<bool> {
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = rendered.dropped.is_empty() != dropped.is_empty();
        let drops = !dropped.is_empty();
        let count = rendered.count + 1;
        *rendered = Rendered { count, duration, series, dropped };
        changed.then_some(drops)
    }

    /// The samples of this moment.
    pub fn part(&self) -> Part {
        let mut samples = Samples::new();
        record_build(&mut samples);
        self.record_config(&mut samples);
        self.record_tasks(&mut samples);
        self.record_exposition(&mut samples);
        self.record_otlp(&mut samples);
        super::process::record(&mut samples);
        Part { collector: "agent", families: Arc::new(samples.finish().0), origin: self.started }
    }

    fn record_config(&self, samples: &mut Samples) {
        let config = self.config();
        let is_ok = config.last_ok && config.recovery_error.is_none();
        samples.record(&CONFIG_LAST_OK, [], f64::from(u8::from(is_ok)));
        samples.record(&CONFIG_PENDING, [], f64::from(u8::from(config.pending)));
        if let Some(time) = config.last_success {
            samples.record(&CONFIG_LAST_OK_TIME, [], unix_seconds(time));
            samples.record(&CONFIG_INFO, [&config.sha256], 1.0);
        }
        for ((trigger, result), count) in &config.reloads {
            samples.record(&CONFIG_RELOADS, [trigger.as_str(), result.as_str()], *count as f64);
        }
    }

    fn record_tasks(&self, samples: &mut Samples) {
        let lines = self.dropped_lines.get().map_or(0, |dropped| dropped());
        samples.record(&LOG_DROPPED, [], lines as f64);
        for (task, count) in self.restarts.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            samples.record(&TASK_RESTARTS, [task], *count as f64);
        }
    }

    fn record_exposition(&self, samples: &mut Samples) {
        samples.record(&SITES, [], self.sites.load(Relaxed) as f64);
        samples.record(&CARDINALITY_LIMIT, [], self.limit.load(Relaxed) as f64);
        for (encoding, count) in ["identity", "gzip"].iter().zip(&self.scrapes) {
            samples.record(&SCRAPES, [encoding], count.load(Relaxed) as f64);
        }
        let rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        samples.record(&RENDERS, [], rendered.count as f64);
        samples.record(&RENDER_DURATION, [], rendered.duration.as_secs_f64());
        samples.record(&SERIES, [], rendered.series as f64);
        for (definition, count) in &rendered.dropped {
            let name = definition.prometheus_name();
            samples.record(&DROPPED_SERIES, [&name], *count as f64);
        }
    }

    fn record_otlp(&self, samples: &mut Samples) {
        if let Some(saved) = self.otlp.saved() {
            samples.record(&OTLP_SAVED, [], f64::from(u8::from(saved)));
        }
        for signal in self.otlp.snapshot() {
            let name = signal.signal.as_str();
            for (result, count) in &signal.exports {
                samples.record(&OTLP_EXPORTS, [name, result], *count as f64);
            }
            let items = [
                ("accepted", signal.items.accepted),
                ("rejected", signal.items.rejected),
                ("dropped", signal.items.dropped),
            ];
            for (result, count) in items {
                samples.record(&OTLP_POINTS, [name, result], count as f64);
            }
            samples.record(&OTLP_REQUESTS, [name], signal.requests as f64);
            samples.record(&OTLP_BYTES, [name], signal.bytes as f64);
            if let Some(supported) = signal.supported {
                samples.record(&OTLP_SUPPORTED, [name], f64::from(u8::from(supported)));
            }
            if let Some(seconds) = signal.last_success {
                samples.record(&OTLP_LAST_SUCCESS, [name], seconds);
            }
            if let Some(duration) = signal.last_duration {
                samples.record(&OTLP_DURATION, [name], duration.as_secs_f64());
            }
        }
    }
}

fn record_build(samples: &mut Samples) {
    let rustc = env!("NBU_AGENT_RUSTC");
    let version = env!("CARGO_PKG_VERSION");
    samples.record(&BUILD_INFO, [version, rustc, env!("NBU_AGENT_TARGET")], 1.0);
    samples.record(&EXPORTER_BUILD_INFO, [version, &format!("rust {rustc}")], 1.0);
}
