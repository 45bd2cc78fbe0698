//! A site whose agent runs in a process of its own: what happens to it, and what its page must show.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nbu_sim::{Fault, Settings, Simulator};

use crate::gauges::{self, Expected};
use crate::increase::Increase;
use crate::promise::{Promise, is_promised};
use crate::support::disk::Disk;
use crate::support::endpoint::Endpoint;
use crate::support::exposition::Series;
use crate::support::process::{self, Desk, Process, Signal};
use crate::support::{Config, NOON, Page, simulate};

pub const SITE: &str = "paris";

pub const MINUTE: Duration = Duration::from_secs(60);

pub const HOUR: Duration = Duration::from_secs(3600);

/// Kills of a run that nobody asked to be longer.
const KILLS: u32 = 16;

/// Returns how often a process is killed in this run.
pub fn kills() -> u32 {
    let asked = std::env::var("NBU_KILLS").ok();
    asked.map_or(KILLS, |kills| kills.parse().expect("a number of kills"))
}

/// Bound of everything that is waited for; reached only where a test fails.
const PATIENCE: Duration = Duration::from_secs(90);

/// Number of violations of a metric that a failure prints.
const REPORTED: usize = 3;

/// Until then no server with the simulator's own retention purges anything.
const NOTHING_PURGED: i64 = NOON + (168 - 24) * 3_600_000;

/// A server and what it owes.
pub struct Server {
    pub simulator: Simulator,
    pub promise: Promise,
    increase: Increase,
}

/// The site, the servers that it may be at, and its agent.
pub struct Site {
    /// The history that runs, and the way to run it again.
    name: String,
    servers: Vec<Server>,
    at: usize,
    window: Duration,
    refusals: Vec<Fault>,
    /// Further sections of the configuration.
    rest: String,
    port: u16,
    pub desk: Desk,
    endpoint: Endpoint,
    process: Option<Process>,
    /// Directory of the state.
    pub disk: Disk,
}

impl Site {
    /// Makes a server and a configuration that keeps state; the agent is not started.
    pub async fn new(name: &str, settings: Settings, window: Duration) -> Self {
        let (port, desk) = (process::port(), Desk::new());
        let disk = Disk::new(&desk, "kept");
        let mut site = Self {
            name: name.to_owned(),
            servers: Vec::new(),
            at: 0,
            window,
            refusals: Vec::new(),
            rest: String::new(),
            port,
            desk,
            endpoint: Endpoint::on(port),
            process: None,
            disk,
        };
        site.add_server(settings).await;
        site
    }

    /// Adds sections to the configuration.
    pub fn with(mut self, yaml: &str) -> Self {
        self.rest = format!("{}{yaml}\n", self.rest);
        self
    }

    /// Makes another server, to which the site may move.
    pub async fn add_server(&mut self, settings: Settings) {
        let simulator = simulate(settings).await;
        let (promise, increase) = (Promise::default(), Increase::default());
        self.servers.push(Server { simulator, promise, increase });
    }

    /// Lets the present server refuse something for good.
    pub fn refuse(&mut self, fault: Fault) {
        self.simulator().faults().add(fault.clone());
        self.refusals.push(fault);
    }

    /// Ends all faults of the present server but what it refuses for good.
    pub fn mend(&self) {
        self.simulator().faults().clear();
        self.refusals.iter().for_each(|fault| self.simulator().faults().add(fault.clone()));
    }

    /// The window that is configured.
    pub fn window(&self) -> Duration {
        self.window
    }

    pub fn server(&self) -> &Server {
        &self.servers[self.at]
    }

    pub fn simulator(&self) -> &Simulator {
        &self.server().simulator
    }

    fn config(&self) -> String {
        let key = &self.simulator().settings().api_key;
        let mut config = Config::new()
            .server(&format!(
                "scrapingInterval: {}s, collectionInterval: 200ms",
                self.window.as_secs()
            ))
            .site_at(SITE, self.simulator().addr(), &format!("apiKey: {key}, timeout: 3s"))
            .with("state: { directory: kept }")
            .with(&self.rest);
        config.port = self.port;
        config.yaml()
    }

    /// Starts the agent at another of the servers.
    pub fn start_at(&mut self, at: usize) {
        self.at = at;
        self.servers[at].increase.begins_anew();
        self.start();
    }

    /// Starts the agent with the configuration of now.
    pub fn start(&mut self) {
        self.desk.write("config.yaml", &self.config());
        let variables = self.disk.environment();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.process = Some(self.desk.start_in(&["--config", "config.yaml"], &variables));
        let server = &mut self.servers[self.at];
        server.promise.reached(server.simulator.clock().world_ms());
    }

    /// Ends the agent as a service manager does.
    pub async fn stop(&mut self) {
        self.look().await;
        if let Some(mut process) = self.process.take() {
            process.end_by(Signal::TERM).await;
        }
    }

    /// Ends the agent without a word. Where the state was not `saved`, totals may go back.
    pub async fn kill(&mut self, saved: bool) {
        self.look().await;
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::KILL);
            process.end(process::PROMISED_END).await;
        }
        let server = &mut self.servers[self.at];
        server.increase.may_go_back(!saved);
        server.promise.killed();
    }

    /// Sets the window for the next start.
    pub fn set_window(&mut self, window: Duration) {
        self.window = window;
    }

    /// Puts another window in force.
    pub async fn reload_window(&mut self, window: Duration) {
        self.window = window;
        self.reload().await;
    }

    /// Moves the site to another of its servers.
    pub async fn move_to(&mut self, at: usize) {
        self.look().await;
        self.at = at;
        self.reload().await;
        let server = &mut self.servers[at];
        server.increase.begins_anew();
        server.promise.reached(server.simulator.clock().world_ms());
    }

    async fn reload(&mut self) {
        self.desk.write("config.yaml", &self.config());
        // The watch of the file may come before the request.
        let count = |page: &Page| -> f64 {
            let all = page.series().iter();
            let reloads = all.filter(|((name, _), _)| name == "nbu_agent_config_reloads_total");
            reloads.map(|(_, count)| count).sum()
        };
        let process = self.process.as_mut().expect("it runs");
        let before = count(&self.endpoint.until(process, "a page", |_| true).await);
        let (status, answer) = self.endpoint.post_reload().await;
        assert_eq!(status, 200, "{}: {answer}", self.name);
        // Pages are rendered once a second: this one is of the new configuration.
        self.endpoint.until(process, "the reload", |page| count(page) > before).await;
    }

    /// Lets time pass for all servers.
    pub async fn pass(&mut self, time: Duration) {
        self.look().await;
        for server in &mut self.servers {
            server.promise.heard(&server.simulator);
            server.simulator.clock().advance(time);
        }
    }

    /// Changes the clock of the server.
    pub fn set_skew(&mut self, skew_ms: i64) {
        let server = &mut self.servers[self.at];
        server.promise.clock_changes(&server.simulator, skew_ms);
        server.simulator.clock().set_skew_ms(skew_ms);
    }

    /// Scrapes the page, if there is one.
    pub async fn look(&mut self) -> Option<Page> {
        self.process.as_ref()?;
        let page = self.endpoint.scrape().await?;
        self.servers[self.at].increase.scraped(&page.of_site(SITE, is_promised));
        Some(page)
    }

    /// Waits until the page says that its totals are on disk.
    pub async fn is_saved(&mut self) {
        let process = self.process.as_mut().expect("it runs");
        let saved = |page: &Page| page.value("nbu_agent_state_saved", &[("site", SITE)]);
        self.endpoint.until(process, "saved", |page| saved(page) == Some(1.0)).await;
    }

    /// Waits until `times` more requests have reached the server, or a while has passed: a fault may
    /// keep the agent from asking.
    pub async fn asked(&self, times: u64) {
        let (started, before) = (Instant::now(), self.simulator().request_count());
        while self.simulator().request_count() < before + times
            && started.elapsed() < Duration::from_secs(3)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the page shows what is promised for the present moment; returns how many
    /// completions must have been counted by then.
    pub async fn settle(&mut self) -> usize {
        let server = &self.servers[self.at];
        let (totals, counted) = server.promise.bounds(&server.simulator, SITE);
        let gauges = Expected::now(&server.simulator, &server.promise, SITE, self.window);
        let started = Instant::now();
        loop {
            let violations = match self.look().await {
                Some(page) => {
                    let mut all = totals.violations(self.server().increase.sums());
                    all.extend(gauges.violations(&page.of_site(SITE, gauges::is_gauge)));
                    all.extend(self.complaints(&page));
                    all
                }
                None => vec!["no page".to_owned()],
            };
            if violations.is_empty() {
                break;
            }
            let alive = self.process.as_mut().is_some_and(Process::is_alive);
            assert!(alive && started.elapsed() < PATIENCE, "{}", self.report(&violations));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let server = &mut self.servers[self.at];
        server.promise.settled(server.simulator.clock().world_ms());
        server.increase.may_go_back(false);
        counted
    }

    /// Returns the increase of the promised totals of the present server.
    pub fn increase(&self) -> &BTreeMap<Series, f64> {
        self.server().increase.sums()
    }

    /// Returns contradictions within the page, and totals that went down.
    fn complaints(&self, page: &Page) -> Vec<String> {
        let collector = [("site", SITE), ("collector", "jobs")];
        let up = page.value("nbu_agent_collector_up", &collector);
        let filled = page.value("nbu_jobs_fill_ratio", &[("site", SITE)]);
        let mut complaints = self.server().increase.resets().to_vec();
        let gap = page.value("nbu_jobs_gap_seconds_total", &[("site", SITE)]);
        if self.simulator().clock().world_ms() < NOTHING_PURGED && gap.unwrap_or_default() > 0.0 {
            complaints.push(format!("{gap:?} s are said to be lost, and nothing was purged"));
        }
        if up != Some(1.0) || filled != Some(1.0) {
            complaints.push(format!("the collector is up {up:?}, the window read {filled:?}"));
        }
        complaints
    }

    fn report(&self, violations: &[String]) -> String {
        let said = self.process.as_ref().map(Process::said).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(60)..].join("\n");
        let clock = self.simulator().clock();
        let requests = self.simulator().requests();
        let asked = requests[requests.len().saturating_sub(12)..].iter().map(|request| {
            let filter = request.parameter("filter").unwrap_or_default();
            format!("{} {} {filter}: {}\n", request.method, request.path, request.status)
        });
        let asked: String = asked.collect();
        let news = self.server().promise.news(self.simulator());
        format!(
            "{}: {} violations at world time {}, server time {}, window {:?}:\n{}\nnew completions\n{news}the agent asked\n{asked}and said\n{last}",
            self.name,
            violations.len(),
            clock.world_ms(),
            clock.now_ms(),
            self.window,
            shortened(violations),
        )
    }
}

/// The first violations of each metric.
fn shortened(violations: &[String]) -> String {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let few = violations.iter().filter(|violation| {
        let name = violation.split(',').next().unwrap_or_default();
        let count = seen.entry(name).or_default();
        *count += 1;
        *count <= REPORTED
    });
    few.map(String::as_str).collect::<Vec<_>>().join("\n")
}
