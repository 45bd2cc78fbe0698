//! A soak: an agent at 50 times its usual pace, servers that err, hang, restart and change their keys, a
//! Collector that comes and goes, a Prometheus, reloads and log rotation, for as long as `NBU_SOAK` says,
//! seconds. What the agent uses is recorded and may not grow; each completion is counted once.
//! `NBU_SOAK_REPORT` is the directory of the report. `.ci/soak` runs it.

mod gate;
mod quantities;
mod report;
mod sampler;
mod slope;
mod stage;
mod trouble;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sampler::{COMPLETED, Sample, Sampler, counted, listed};
use stage::{PACE, Stage};
use trouble::Until;

use crate::collector::Collector;
use crate::endpoint::Endpoint;
use crate::parts::repository;
use crate::process::{Process, Signal};
use crate::prometheus::{PULLED, Prometheus};
use crate::promise::{Promise, is_promised};
use crate::support::Page;

/// Shortest run whose slopes tell anything: what has a period of a minute needs several of them.
const SLOPES: Duration = Duration::from_secs(300);

/// Samples of a run, at least, and the longest time between two: no multiple of the interval of polls.
const SAMPLES: u32 = 60;
const PERIOD: Duration = Duration::from_secs(59);

/// Bound of the time until everything is read at the end; reached only where the test fails.
const SETTLING: Duration = Duration::from_secs(120);

/// Metrics that tell of a bug, or of a loss.
const BAD: [&str; 3] = [
    "nbu_agent_task_restarts_total",
    "nbu_agent_state_set_aside",
    "nbu_agent_log_lines_dropped_total",
];

fn lasts() -> Duration {
    let asked = std::env::var("NBU_SOAK").ok();
    Duration::from_secs(asked.map_or(60, |seconds| seconds.parse().expect("seconds")))
}

fn report_directory() -> PathBuf {
    let asked = std::env::var_os("NBU_SOAK_REPORT").map(PathBuf::from);
    asked.unwrap_or_else(|| repository("target/soak/last"))
}

/// Returns the polls of jobs that ended, and the runs of all collectors.
fn polls(page: &Page) -> (f64, f64) {
    let runs = |(name, labels): &(String, Vec<(String, String)>), wanted: Option<&str>| {
        let is = |value: &str| labels.iter().any(|(_, known)| known == value);
        name == "nbu_agent_collector_runs_total" && !is("skipped") && wanted.is_none_or(is)
    };
    let sum = |wanted| -> f64 {
        page.series()
            .iter()
            .filter(|(series, _)| runs(series, wanted))
            .map(|(_, count)| count)
            .sum()
    };
    (sum(Some("jobs")), sum(None))
}

/// Everything that takes part.
struct Play {
    collector: Collector,
    stage: Stage,
    prometheus: Prometheus,
    agent: Process,
    endpoint: Endpoint,
    /// Totals that the lasting sites owe.
    promises: Vec<Promise>,
    /// World time at which the agent had read everything, and no time had passed.
    since: i64,
}

impl Play {
    /// Starts everything, and waits until each site was polled.
    async fn begin() -> Self {
        let collector = Collector::start().await;
        let stage = Stage::set(&collector).await;
        let prometheus =
            Prometheus::scraping(&[stage.port], collector.prometheus_port(), "5s").await;
        stage.desk.write("config.yaml", &stage.configuration(0));
        let since = stage.clock.clock.world_ms();
        let mut promises: Vec<Promise> = stage.lasting().map(|_| Promise::default()).collect();
        let mut agent = stage.desk.start(&["--config", "config.yaml"]);
        let endpoint = Endpoint::on(stage.port);
        for (site, promise) in stage.lasting().zip(&mut promises) {
            endpoint.complete(&mut agent, &site.name).await;
            promise.settled(since);
        }
        Self { collector, stage, prometheus, agent, endpoint, promises, since }
    }

    /// Lets time pass among troubles. Returns the samples, and what happened.
    async fn run(&mut self, lasts: Duration, directory: &Path) -> (Vec<Sample>, Vec<String>) {
        let (stage, agent) = (&self.stage, &self.agent);
        let mut sampler = Sampler::new(stage, agent).await;
        stage.clock.set_passing(true);
        let until = Until(Instant::now() + lasts);
        let (samples, wrong, restarts, rotations, reloads, logs, outages) = tokio::join!(
            sampler.watch((lasts / SAMPLES).min(PERIOD), until, |so_far| report::keep(
                directory, so_far
            )),
            trouble::wrong_answers(stage, until),
            trouble::restarts(stage, until),
            trouble::rotations(stage, until),
            trouble::reloads(stage, until),
            trouble::rotated_logs(stage, agent, until),
            trouble::outages(&mut self.collector, until),
        );
        stage.clock.set_passing(false);
        let page = self.endpoint.scrape().await.expect("a page");
        let (jobs, runs) = polls(&page);
        let sites = stage.lasting().count();
        let requests: u64 = stage.lasting().map(|site| site.simulator.request_count()).sum();
        let lasted = lasts.as_secs();
        let notes = vec![
            format!("{lasted} s at {PACE} times the usual pace, {} samples", samples.len()),
            format!(
                "{jobs} polls of jobs of {sites} sites, {runs} runs of all collectors, {requests} requests"
            ),
            format!(
                "troubles: {wrong} faults of a site, {restarts} restarts of a server, {rotations} rotations of a key, {outages} outages of the Collector"
            ),
            format!("{reloads} reloads, {logs} rotations of the log"),
        ];
        (samples, notes)
    }

    /// Waits until each completion of the lasting sites is counted once: on the page, at Prometheus, and through the
    /// Collector. Returns how many there are.
    async fn settle(&mut self) -> f64 {
        let mut completions = 0.0;
        for (site, promise) in self.stage.lasting().zip(&self.promises) {
            let (bounds, _) = promise.bounds(&site.simulator, &site.name);
            let listed = listed(site, self.since);
            let started = Instant::now();
            loop {
                let page = self.endpoint.scrape().await.expect("every scrape is answered");
                let mut violations = bounds.violations(&page.of_site(&site.name, is_promised));
                if counted(site, &page) < listed {
                    violations.push(format!("{} of {listed} completions", counted(site, &page)));
                }
                if violations.is_empty() {
                    break;
                }
                let waits = self.agent.is_alive() && started.elapsed() < SETTLING;
                assert!(waits, "{}: {violations:#?}", site.name);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            completions += listed;
        }
        self.has_arrived("Prometheus", completions, async || {
            // A site that is gone is remembered for a while.
            let coming = &self.stage.coming.name;
            let total = format!("sum({COMPLETED}{{job=\"{PULLED}\",site!=\"{coming}\"}})");
            self.prometheus.number(&total).await.unwrap_or_default()
        })
        .await;
        self.has_arrived("the Collector", completions, async || {
            let page = self.collector.page().await;
            self.stage.lasting().map(|site| counted(site, &page)).sum()
        })
        .await;
        completions
    }

    /// Waits until another part shows all completions.
    async fn has_arrived(&self, part: &str, completions: f64, shown: impl AsyncFn() -> f64) {
        let started = Instant::now();
        loop {
            let shown = shown().await;
            if (shown - completions).abs() < 0.5 {
                return;
            }
            assert!(
                started.elapsed() < SETTLING,
                "{part} has {shown} completions, not {completions}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Ends the agent. Nothing went wrong that it or Prometheus tells of.
    async fn end(mut self) {
        let page = self.endpoint.scrape().await.expect("a page");
        for ((name, labels), count) in page.series() {
            assert!(!BAD.contains(&name.as_str()) || *count <= 0.0, "{name} {labels:?} is {count}");
        }
        let failed = "sum(sum_over_time((up{job=\"netbackup\"} == bool 0)[30d:1s]))";
        let failed = self.prometheus.number(failed).await;
        assert!(
            failed.is_some_and(|failed| failed <= 0.0),
            "{failed:?} scrapes of Prometheus failed"
        );
        trouble::assert_sound(&self.stage.desk.read("agent.log"));
        let ended = self.agent.end_by(Signal::TERM).await;
        trouble::assert_sound(&ended.all());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "lasts as long as one says: .ci/soak"]
async fn soak_leaks_nothing_and_counts_every_completion_once() {
    let (lasts, directory) = (lasts(), report_directory());
    let mut play = Play::begin().await;
    let (samples, notes) = play.run(lasts, &directory).await;
    // Written before anything may fail.
    let findings = report::findings(&samples, lasts >= SLOPES);
    report::write(&directory, &samples, &findings, &notes);
    println!("{}\n\n{}", notes.join("\n"), report::table(&findings));
    println!("report: {}/index.html", directory.display());

    let completions = play.settle().await;
    println!("{completions} completions, each counted once");
    play.end().await;
    let complaints: Vec<String> = findings.iter().filter_map(report::Finding::complaint).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
