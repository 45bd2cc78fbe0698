//! A poller that is updated: collectors come, go and change, and the others do not notice. Collectors
//! of the test's own, since what counts here is when they run and what they remember.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nbu_otel_agent::collectors::{self, Cadence, Collected, Collector, Row, Settings};
use nbu_otel_agent::metric::{Definition, Metric, Point, Samples, Value};
use nbu_otel_agent::netbackup::{self, Client, Error, Resource, Session};
use nbu_otel_agent::poller::{Config, Poller, Rules, Setup, Update};
use nbu_otel_agent::slp::Exchange;
use nbu_otel_agent::snapshot::{Snapshot, Store};
use nbu_otel_agent::telemetry::traces::Tracer;
use support::eventually;
use tokio::sync::watch;

static NOTHING: Resource =
    Resource { name: "nothing", path: "/nothing", permission: None, max_limit: 0 };

/// Numbers of runs and of reconfigurations of this collector.
static RUNS: Metric<0> = Metric::gauge("test.runs", "", &[], "Runs.");
static NEWS: Metric<0> = Metric::gauge("test.news", "", &[], "Reconfigurations.");
static WINDOW: Metric<0> = Metric::gauge("test.window", "s", &[], "The window.");

fn metrics() -> Vec<&'static Definition> {
    vec![RUNS.definition(), NEWS.definition(), WINDOW.definition()]
}

/// Remembers its runs. With a window of [`ENDLESS`], a run does not end.
#[derive(Default)]
struct Counting {
    runs: u32,
    news: u32,
    window: Duration,
}

const ENDLESS: Duration = Duration::from_secs(666);

#[async_trait]
impl Collector for Counting {
    async fn collect(&mut self, _: &Session) -> Result<Collected, Error> {
        if self.window == ENDLESS {
            std::future::pending::<()>().await;
        }
        self.runs += 1;
        let mut samples = Samples::new();
        samples.record(&RUNS, [], f64::from(self.runs));
        samples.record(&NEWS, [], f64::from(self.news));
        samples.record(&WINDOW, [], self.window.as_secs_f64());
        Ok(Collected::whole(samples))
    }

    fn reconfigure(&mut self, settings: &Settings<'_>) {
        self.news += 1;
        self.window = settings.window;
    }
}

fn build(settings: &Settings<'_>) -> Box<dyn Collector> {
    Box::new(Counting { window: settings.window, ..Counting::default() })
}

const STEADY: Row = Row {
    name: "steady",
    resource: &NOTHING,
    also: &[],
    cadence: Cadence::Slow,
    requests: "",
    core: true,
    metrics,
    switch: None,
    build: |_| Box::new(Counting::default()),
    same: |_, _| true,
};

static TABLE: [Row; 3] = [
    Row {
        name: "optional",
        core: false,
        cadence: Cadence::EveryPoll,
        requests: "",
        switch: Some("tape"),
        build,
        ..STEADY
    },
    STEADY,
    Row { name: "windowed", build, same: |one, other| one.window == other.window, ..STEADY },
];

fn rules(window: Duration, tape: bool) -> Rules {
    let polling = Config {
        interval: Duration::from_secs(3600),
        cache_ttl: Duration::from_secs(3600),
        window,
        stale_after: Duration::from_secs(24 * 3600),
    };
    let switched_on = tape.then(|| "tape".to_owned()).into_iter().collect();
    let collectors = collectors::Config { switched_on, ..collectors::Config::default() };
    Rules { polling, collectors: Arc::new(collectors), state: None }
}

struct Site {
    poller: Poller,
    latest: watch::Receiver<Arc<Snapshot>>,
}

impl Site {
    fn start(rules: Rules) -> Self {
        let client = Client::builder(netbackup::Config {
            site: "paris".to_owned(),
            base_url: "http://127.0.0.1:9/".parse().unwrap(),
            api_key: "k".into(),
            api_version: None,
            allow_plain_text: false,
            insecure_skip_verify: false,
            fingerprints: Vec::new(),
            ca: None,
            roots: None,
            identity: None,
            proxy: None,
            timeout: Duration::from_secs(5),
            max_concurrent_requests: 1,
        });
        let (publisher, latest) = Store::new().publisher(Snapshot::unpolled("paris", "nowhere"));
        let setup = Setup {
            client: client.build().unwrap(),
            rules,
            table: &TABLE,
            tracer: Tracer::default(),
            exchange: Exchange::default(),
            tenure: Arc::default(),
            first_delay: Duration::ZERO,
        };
        Self { poller: Poller::spawn(setup, publisher), latest }
    }

    async fn update(&self, rules: Rules) {
        self.poller.update(Update { connection: None, rules, delay: Duration::ZERO }).await;
    }

    /// Returns the value that a collector exports under the metric's name.
    fn shown(&self, collector: &str) -> BTreeMap<&'static str, f64> {
        let snapshot = Arc::clone(&self.latest.borrow());
        let parts = snapshot.parts.iter().filter(|part| part.collector == collector);
        let families = parts.flat_map(|part| part.families.iter());
        families.map(|family| (family.definition.name, number(&family.points[0]))).collect()
    }

    /// Waits until the collector shows this.
    async fn shows(&self, collector: &str, name: &str, number: f64) {
        let shown = || async { (self.shown(collector).get(name) == Some(&number)).then_some(()) };
        eventually(&format!("{name} of {collector} is {number}"), shown).await;
    }

    /// Runs of a collector by result, as the site tells them.
    fn runs(&self, collector: &str) -> BTreeMap<String, f64> {
        let snapshot = Arc::clone(&self.latest.borrow());
        let site = snapshot.parts.iter().find(|part| part.collector == "site").unwrap();
        let family = site.families.iter().find(|f| f.definition.name == "nbu.agent.collector.runs");
        let points = family.map(|family| family.points.as_slice()).unwrap_or_default();
        let of_it = points.iter().filter(|point| *point.attributes[0] == *collector);
        of_it.map(|point| (point.attributes[1].to_string(), number(point))).collect()
    }
}

fn number(point: &Point) -> f64 {
    match point.value {
        Value::Number(number) => number,
        Value::Distribution(_) => panic!("a distribution"),
    }
}

/// Result of [`Site::runs`] for a collector that only ever succeeded.
fn succeeded(times: f64) -> BTreeMap<String, f64> {
    let all = [("success", times), ("failure", 0.0), ("skipped", 0.0)];
    all.into_iter().map(|(result, count)| (result.to_owned(), count)).collect()
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn enabled_collector_runs_at_once_and_others_do_not() {
    let site = Site::start(rules(HOUR, false));
    site.shows("steady", "test.runs", 1.0).await;
    site.shows("windowed", "test.runs", 1.0).await;
    assert!(site.runs("optional").is_empty());
    site.update(rules(HOUR, true)).await;
    site.shows("optional", "test.runs", 1.0).await;
    assert_eq!(site.runs("optional"), succeeded(1.0));
    let order: Vec<_> = site.latest.borrow().collectors.iter().map(|c| c.collector).collect();
    assert_eq!(order, ["optional", "steady", "windowed"], "that of the table");
    for other in ["steady", "windowed"] {
        assert_eq!(site.runs(other), succeeded(1.0), "{other} is cached");
        assert_eq!(site.shown(other).get("test.runs"), Some(&1.0));
    }
    site.poller.ended().await;
}

#[tokio::test]
async fn disabled_collector_is_gone_once_update_is_in_force() {
    let site = Site::start(rules(HOUR, true));
    site.shows("optional", "test.runs", 1.0).await;
    site.update(rules(HOUR, false)).await;
    assert!(site.shown("optional").is_empty());
    assert!(site.runs("optional").is_empty(), "its numbers too");
    assert_eq!(site.latest.borrow().collectors.len(), 2);
    // Another one of the name remembers nothing, whatever the first one still brings.
    site.update(rules(HOUR, true)).await;
    site.shows("optional", "test.runs", 1.0).await;
    assert_eq!(site.runs("optional"), succeeded(1.0));
    site.poller.ended().await;
}

#[tokio::test]
async fn reconfigured_collector_keeps_its_memory() {
    let site = Site::start(rules(HOUR, false));
    site.shows("windowed", "test.window", 3600.0).await;
    site.shows("steady", "test.runs", 1.0).await;
    site.update(rules(2 * HOUR, false)).await;
    assert!(!site.shown("windowed").is_empty(), "what it showed stays until the new run ended");
    site.shows("windowed", "test.window", 7200.0).await;
    let shown = site.shown("windowed");
    assert_eq!((shown["test.runs"], shown["test.news"]), (2.0, 1.0));
    assert_eq!(site.runs("windowed"), succeeded(2.0));
    let steady = site.shown("steady").get("test.runs").copied();
    assert_eq!(steady, Some(1.0), "it has nothing to do with the window");
    site.poller.ended().await;
}

#[tokio::test]
async fn run_with_changed_settings_is_cancelled_and_repeated_uncounted() {
    let site = Site::start(rules(HOUR, false));
    site.shows("windowed", "test.window", 3600.0).await;
    site.update(rules(ENDLESS, false)).await;
    site.update(rules(2 * HOUR, false)).await;
    site.shows("windowed", "test.window", 7200.0).await;
    assert_eq!(site.runs("windowed"), succeeded(2.0));
    site.poller.ended().await;
}

#[tokio::test]
async fn endless_run_is_dropped_when_collector_is_disabled() {
    let site = Site::start(rules(ENDLESS, true));
    site.shows("steady", "test.runs", 1.0).await;
    site.update(rules(ENDLESS, false)).await;
    assert!(site.runs("optional").is_empty());
    site.update(rules(HOUR, true)).await;
    site.shows("optional", "test.window", 3600.0).await;
    site.poller.ended().await;
}

#[tokio::test]
async fn update_of_ended_poller_is_no_error() {
    let site = Site::start(rules(HOUR, false));
    site.poller.cancel();
    eventually("it ended", || async { site.poller.is_dead().then_some(()) }).await;
    site.update(rules(HOUR, true)).await;
    assert!(site.shown("optional").is_empty());
}

#[tokio::test(start_paused = true)]
async fn run_deadline_follows_settings_and_changed_run_repeats() {
    let long = rules(ENDLESS, false);
    let site = Site::start(long.clone());
    site.shows("steady", "test.runs", 1.0).await;
    // Of the old deadline, an hour, little has passed.
    let polling = Config { interval: Duration::from_secs(60), ..long.polling.clone() };
    site.update(Rules { polling, ..long }).await;
    let started = tokio::time::Instant::now();
    while site.runs("windowed").get("failure") != Some(&1.0) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(started.elapsed() < Duration::from_secs(300), "{:?}", site.runs("windowed"));
    }
    assert!(started.elapsed() > Duration::from_secs(60), "the run that was met was not counted");
    site.poller.ended().await;
}
