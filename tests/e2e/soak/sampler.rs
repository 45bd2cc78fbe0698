//! Samples of a soak: the process, its page, and the servers' truth, one row at a time.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use procfs::Current as _;

use super::quantities::QUANTITIES;
use super::stage::{INTERVAL, Site, Stage};
use super::trouble::Until;
use crate::endpoint::Endpoint;
use crate::process::Process;
use crate::support::Page;
use crate::usage::Cpu;

/// A completed job counts here, whatever its labels are.
pub const COMPLETED: &str = "nbu_jobs_completed_total";

/// Finished jobs that the agent keeps, so that it counts each one once.
const REMEMBERED: &str = "nbu_jobs_remembered";

/// Sizes of what the agent keeps, as docs/operations.md gives them.
const BYTES_A_SERIES: f64 = 500.0;
const BYTES_A_JOB: f64 = 100.0;

/// Values of [`QUANTITIES`], in their order, so long after the start.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub after: Duration,
    pub values: [f64; QUANTITIES.len()],
}

/// The view on an agent at work.
pub struct Sampler<'s> {
    stage: &'s Stage,
    agent: &'s Process,
    endpoint: Endpoint,
    started: Instant,
    /// World time of the start, ms.
    began_at: i64,
    /// Runs of the steady sites before the start.
    runs: f64,
    last: Option<Last>,
}

/// Numbers of the sample before.
struct Last {
    at: Instant,
    cpu: f64,
    requests: u64,
    /// Place of a poll within its interval, and the sum of its moves, s.
    phase: f64,
    drift: f64,
}

impl<'s> Sampler<'s> {
    /// Begins to watch an agent that has polled each site once, while the servers' time stands still.
    pub async fn new(stage: &'s Stage, agent: &'s Process) -> Self {
        let endpoint = Endpoint::on(stage.port);
        let page = endpoint.scrape().await.expect("a page");
        Self {
            stage,
            agent,
            endpoint,
            started: Instant::now(),
            began_at: stage.clock.clock.world_ms(),
            runs: steady_runs(stage, &page),
            last: None,
        }
    }

    /// Takes a sample each `period` until the end, and hands all so far to `keep`.
    pub async fn watch(
        &mut self,
        period: Duration,
        until: Until,
        keep: impl Fn(&[Sample]),
    ) -> Vec<Sample> {
        let mut ticks = tokio::time::interval(period);
        let mut samples = Vec::new();
        ticks.tick().await;
        while Instant::now() < until.0 {
            samples.push(self.sample().await);
            keep(&samples);
            ticks.tick().await;
        }
        samples
    }

    async fn sample(&mut self) -> Sample {
        let page = self.endpoint.scrape().await.expect("every scrape is answered");
        let now = Instant::now();
        let of_process = |name: &str| page.value(name, &[]).expect("of the process");
        let requests = self.stage.lasting().map(|site| site.simulator.request_count()).sum();
        let cpu = Cpu::of(self.agent.id()).total();
        let phase = phase(self.stage, &page);
        let interval = INTERVAL.as_secs_f64();
        let (drift, cpu_share, asked) = self.last.as_ref().map_or((0.0, 0.0, 0.0), |last| {
            let elapsed = (now - last.at).as_secs_f64();
            let moved = (phase - last.phase + interval * 1.5).rem_euclid(interval) - interval / 2.0;
            let asked = (requests - last.requests) as f64;
            (last.drift + moved, (cpu - last.cpu) / elapsed, asked / elapsed)
        });
        self.last = Some(Last { at: now, cpu, requests, phase, drift });
        let after = now - self.started;
        let due = after.as_secs_f64() / interval;
        let resident = of_process("process_resident_memory_bytes");
        let remembered = page.series().iter().filter(|((name, _), _)| name == REMEMBERED);
        let remembered: f64 = remembered.map(|(_, jobs)| jobs).sum();
        let content = BYTES_A_SERIES * of_process("nbu_agent_series") + BYTES_A_JOB * remembered;
        let values = [
            resident / 1e6,
            (resident - content) / 1e6,
            of_process("process_open_fds"),
            of_process("process_threads"),
            of_process("nbu_agent_tasks"),
            size_of(&self.stage.desk.path("state")) as f64 / 1e3,
            of_process("nbu_agent_series"),
            drift * 1e3,
            due - (steady_runs(self.stage, &page) - self.runs),
            age(self.stage, &page),
            self.behind(&page),
            cpu_share * 1e3,
            asked,
            procfs::LoadAverage::current().expect("the load").one.into(),
            of_process("nbu_agent_render_duration_seconds") * 1e3,
        ];
        Sample { after, values }
    }

    /// Returns the number of completions that the servers list and the page does not count yet. None is counted
    /// that is not listed.
    fn behind(&self, page: &Page) -> f64 {
        let of_site = |site: &Site| {
            let (listed, counted) = (listed(site, self.began_at), counted(site, page));
            assert!(counted <= listed, "{}: {counted} completions of {listed}", site.name);
            listed - counted
        };
        self.stage.lasting().map(of_site).sum()
    }
}

/// Returns the number of completions that lists have shown since this world time.
pub fn listed(site: &Site, since: i64) -> f64 {
    let now = site.simulator.clock().world_ms();
    let truth = site.simulator.truth();
    let is_listed = |from: i64| since < from && from <= now;
    truth.completions().filter(|completion| is_listed(completion.listed_from)).count() as f64
}

/// Returns the number of completions that a page counts.
pub fn counted(site: &Site, page: &Page) -> f64 {
    page.of_site(&site.name, |name| name == COMPLETED).values().sum()
}

/// Returns a number of the steady sites' collectors of jobs, in the middle of all.
fn steady(stage: &Stage, of: impl Fn(&str) -> f64) -> f64 {
    stage.steady.iter().map(|site| of(&site.name)).sum::<f64>() / stage.steady.len() as f64
}

fn of_jobs(page: &Page, name: &str, site: &str) -> f64 {
    page.value(name, &[("site", site), ("collector", "jobs")]).expect("a number of the collector")
}

fn steady_runs(stage: &Stage, page: &Page) -> f64 {
    steady(stage, |site| {
        let run = [("site", site), ("collector", "jobs"), ("result", "success")];
        page.value("nbu_agent_collector_runs_total", &run).expect("its runs")
    })
}

/// Returns the place within its interval at which the first steady site is polled, by the agent's clock.
fn phase(stage: &Stage, page: &Page) -> f64 {
    let site = &stage.steady[0].name;
    let ended = of_jobs(page, "nbu_agent_collector_last_success_timestamp_seconds", site);
    let lasted = of_jobs(page, "nbu_agent_collector_duration_seconds", site);
    (ended - lasted).rem_euclid(INTERVAL.as_secs_f64())
}

/// Returns the time since the last success of the steady sites, from the agent's timestamp to the harness's clock.
fn age(stage: &Stage, page: &Page) -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let name = "nbu_agent_collector_last_success_timestamp_seconds";
    steady(stage, |site| now.as_secs_f64() - of_jobs(page, name, site))
}

/// Returns the size of all files below a directory.
fn size_of(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
        Ok(metadata) => metadata.len(),
        // Renamed or removed meanwhile.
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
