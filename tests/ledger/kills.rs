//! The process is killed at any moment and started again: totals go on where they were, to the truth in
//! the end. `NBU_KILLS` says how often; the long form is 1000.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use nbu_otel_agent::catalog::catalog;
use nbu_otel_agent::metric::Scope;
use nbu_sim::{Completion, Fault, Settings, Simulator};
use otlp_sink::{Options, Sink};

use crate::scene::{HOUR, MINUTE, SITE, config, is_whole};
use crate::support::endpoint::Endpoint;
use crate::support::expected::assert_same;
use crate::support::exposition::{Page, Series};
use crate::support::process::{self, Desk, Process, Signal};
use crate::support::totals::{Watched, is_known, is_total};
use crate::support::{Config, eventually, simulate, world};

/// Kills of a run that nobody asked to be longer, of each kind.
const KILLS: u32 = 12;

fn kills() -> u32 {
    let asked = std::env::var("NBU_KILLS").ok();
    asked.map_or(KILLS, |kills| kills.parse::<u32>().expect("a number of kills") / 2)
}

/// An agent with a state directory in a process of its own, and what it must show.
pub struct Mortal {
    pub simulator: Simulator,
    pub watched: Watched,
    pub desk: Desk,
    endpoint: Endpoint,
    port: u16,
    /// Variables of the process.
    pub environment: Vec<(String, String)>,
    process: Option<Process>,
    shown: BTreeMap<Series, f64>,
}

/// A configuration for a process of its own, which keeps its state in `kept`.
fn keeping(simulator: &Simulator, window: Duration) -> Config {
    let mut config = config(simulator, window).with("state: { directory: kept }");
    config.port = process::port();
    config
}

impl Mortal {
    pub async fn new(settings: Settings, window: Duration) -> Self {
        Self::with(settings, window, "").await
    }

    /// The same, with more in its configuration.
    pub async fn with(settings: Settings, window: Duration, more: &str) -> Self {
        let simulator = simulate(settings).await;
        let config = keeping(&simulator, window).with(more);
        Self {
            simulator,
            watched: Watched::new(SITE, window),
            desk: Desk::with(&config.yaml()),
            endpoint: Endpoint::on(config.port),
            port: config.port,
            environment: Vec::new(),
            process: None,
            shown: BTreeMap::new(),
        }
    }

    pub fn start(&mut self) {
        let environment: Vec<_> =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.process = Some(self.desk.start_in(&["--config", "config.yaml"], &environment));
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it was started")
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The port of its endpoint.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Holds it against the truth where its totals began again, and earlier ones are no measure.
    pub async fn check_from_zero(&mut self) {
        self.shown.clear();
        self.check().await;
    }

    /// Ends it without a word.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::KILL);
            process.end(process::PROMISED_END).await;
        }
    }

    /// Looks at the page, if there is one: totals never go down, whichever process shows them.
    async fn look(&mut self) -> Option<Page> {
        let page = self.endpoint.scrape().await?;
        let totals = page.of_site(SITE, is_total);
        if !totals.is_empty() {
            for (series, before) in &self.shown {
                let now = totals.get(series).copied().unwrap_or_default();
                assert!(now >= *before, "{series:?} went from {before} down to {now}");
            }
            self.shown = totals;
        }
        Some(page)
    }

    /// Waits until the server was asked so often again.
    async fn asked(&self, times: u64) {
        let before = self.simulator.request_count();
        let asked = || async { (self.simulator.request_count() >= before + times).then_some(()) };
        eventually("requests", asked).await;
    }

    /// Waits for a whole poll of the present instant.
    pub async fn whole(&mut self) -> Page {
        let now = self.simulator.truth().server_time();
        let started = std::time::Instant::now();
        loop {
            let alive = self.process().is_alive();
            if let Some(page) = self.look().await.filter(|page| is_whole(page.text(), now)) {
                self.watched.polled(&self.simulator);
                return page;
            }
            let said = || self.process.as_ref().map(Process::said).unwrap_or_default();
            assert!(alive && started.elapsed() < crate::support::PATIENCE, "{}", said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The same, held against the truth.
    pub async fn check(&mut self) {
        let page = self.whole().await;
        let expected = self.watched.expected(&self.simulator.truth());
        assert_same(&page.of_site(SITE, is_known), &expected);
    }

    /// Kills it at a random moment, and starts it again.
    async fn kill_at_random(&mut self, rng: &mut Rng) {
        if self.process.is_none() {
            self.start();
        }
        self.simulator.faults().clear();
        if rng.bool() {
            let slow = Fault::on("/admin/jobs").latency(Duration::from_millis(rng.u64(1..40)));
            self.simulator.faults().add(slow);
        }
        self.asked(rng.u64(1..25)).await;
        self.look().await;
        // Any moment will do: within a request, a save, between two polls.
        tokio::time::sleep(Duration::from_micros(rng.u64(0..40_000))).await;
        self.kill().await;
    }
}

/// The first window takes some fifteen pages.
fn busy(seed: u64) -> Settings {
    Settings {
        jobs_per_hour: 240.0,
        live_jobs: 60,
        jobs_in_history: 1500,
        policies: 3,
        updates_of_finished: true,
        ..world(seed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_in_any_poll_count_each_job_once() {
    let mut rng = Rng::with_seed(71);
    let settings = Settings { resumes_of_finished: true, ..busy(71) };
    let mut agent = Mortal::new(settings, 20 * HOUR).await;
    for kill in 0..kills() {
        agent.kill_at_random(&mut rng).await;
        // Resumes hide completions from a list: time passes only where it was read.
        if kill >= 5 && rng.u32(0..3) == 0 {
            agent.start();
            agent.simulator.faults().clear();
            agent.check().await;
            agent.simulator.clock().advance(Duration::from_millis(rng.u64(5_000..1_200_000)));
        }
    }
    agent.start();
    agent.simulator.faults().clear();
    agent.check().await;
    agent.simulator.clock().advance(20 * MINUTE);
    agent.check().await;
    assert!(agent.watched.counted(&agent.simulator.truth()) > 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_as_time_passes_count_each_job_once() {
    let mut rng = Rng::with_seed(72);
    let settings = Settings { late_visibility: 4 * MINUTE, ..busy(72) };
    let mut agent = Mortal::new(settings, 6 * HOUR).await;
    agent.start();
    agent.check().await;
    for _ in 0..kills() {
        agent.simulator.clock().advance(Duration::from_millis(rng.u64(5_000..600_000)));
        agent.kill_at_random(&mut rng).await;
    }
    agent.start();
    agent.simulator.faults().clear();
    for _ in 0..2 {
        // What shows late is found within five minutes.
        agent.simulator.clock().advance(6 * MINUTE);
        agent.whole().await;
    }
    agent.check().await;
    assert!(agent.watched.counted(&agent.simulator.truth()) > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_late_walk_is_repeated_by_next_process() {
    // Most jobs are shorter than the time by which some of them show late.
    let settings = Settings {
        late_visibility: 4 * MINUTE,
        jobs_per_hour: 1200.0,
        live_jobs: 20,
        policies: 3,
        ..world(74)
    };
    let mut agent = Mortal::new(settings, 2 * HOUR).await;
    agent.start();
    agent.check().await;
    agent.simulator.clock().advance(10 * MINUTE);
    agent.check().await;
    let read = (agent.simulator.clock().world_ms(), agent.simulator.truth().server_time());
    agent.simulator.faults().add(Fault::on("/admin/jobs").filter("lastUpdateTime lt").status(500));
    agent.simulator.clock().advance(20 * MINUTE);
    let now = agent.simulator.truth().server_time();
    // The look's failure is one of the collector; what else was asked is read.
    let read_all = || async {
        let page = agent.endpoint.scrape().await?;
        let watermark = page.value("nbu_jobs_watermark_timestamp_seconds", &[("site", SITE)]);
        (watermark == Some(now as f64 / 1000.0)).then_some(())
    };
    eventually("a poll without the look", read_all).await;
    agent.kill().await;
    let completions = agent.simulator.truth().completions();
    let is_late = |c: &Completion| c.listed_from > read.0 && c.updated_ms < read.1 - 30_000;
    assert!(completions.filter(is_late).count() > 3);
    agent.simulator.faults().clear();
    agent.start();
    for _ in 0..2 {
        agent.simulator.clock().advance(6 * MINUTE);
        agent.whole().await;
    }
    agent.check().await;
}

/// Returns the origin of the totals, by what the sink received last.
async fn beginnings(sink: &Sink) -> Vec<u64> {
    let counts: Vec<&str> = catalog()
        .into_iter()
        .filter(|definition| definition.scope == Scope::Site)
        .map(|definition| definition.name)
        .filter(|name| ["nbu.jobs.completed", "nbu.job.duration"].contains(name))
        .collect();
    assert_eq!(counts.len(), 2);
    eventually("totals", || async {
        let latest = sink.latest();
        let points = latest.iter().filter(|((name, _), _)| counts.contains(&name.as_str()));
        let mut starts: Vec<u64> = points.map(|(_, point)| point.start_time_unix_nano).collect();
        starts.dedup();
        (!starts.is_empty()).then_some(starts)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_totals_keep_their_origin() {
    let sink = Sink::start(Options { keep: 1, ..Options::default() }).expect("a sink");
    let simulator = simulate(busy(73)).await;
    let config = keeping(&simulator, HOUR).with(&format!(
        "opentelemetry: {{ enabled: true, endpoint: \"{}\", interval: 200ms }}",
        sink.grpc_endpoint()
    ));
    let desk = Desk::with(&config.yaml());
    let mut all = Vec::new();
    for _ in 0..3 {
        sink.clear();
        let mut agent = desk.start(&["--config", "config.yaml"]);
        all.push(beginnings(&sink).await);
        agent.signal(Signal::KILL);
        agent.end(process::PROMISED_END).await;
    }
    assert_eq!(all[0].len(), 1, "{all:?}");
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
}
