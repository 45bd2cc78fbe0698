//! A simulated server, an agent in this process that polls it, and the samples that it must export.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nbu_sim::{Fault, JobState, Settings, Simulator};

use crate::support::expected::{assert_same, differences};
use crate::support::exposition::Series;
use crate::support::totals::{Watched, is_known, is_total};
use crate::support::{Agent, Config, PATIENCE, Page, eventually, simulate};

pub const SITE: &str = "paris";

pub const MINUTE: Duration = Duration::from_secs(60);

pub const HOUR: Duration = Duration::from_secs(3600);

/// Time for which samples may still be those of the previous poll. Reached only if a test fails.
const SETTLES: Duration = Duration::from_secs(5);

/// The value of a metric of the site that has no other label.
pub fn own(page: &Page, name: &str) -> Option<f64> {
    page.value(name, &[("site", SITE)])
}

/// Returns whether a page is of a poll at `now`, the server's time, that was whole. Reads only what it needs:
/// pages are long, and most are scraped for this alone.
pub fn is_whole(text: &str, now: i64) -> bool {
    let wanted = [
        ("nbu_jobs_watermark_timestamp_seconds{", now as f64 / 1000.0),
        ("nbu_agent_collector_up{collector=\"jobs\",", 1.0),
        ("nbu_jobs_fill_ratio{", 1.0),
    ];
    let has = |(start, value): &(&str, f64)| {
        let of_site = |line: &&str| line.starts_with(start) && line.contains(SITE);
        let line = text.lines().find(of_site);
        line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()) == Some(*value)
    };
    wanted.iter().all(has)
}

/// Returns when the oldest success ended that the server still lists.
pub fn oldest_success(simulator: &Simulator) -> i64 {
    let listed = simulator.truth().listed_jobs();
    let successes = listed.filter(|job| job.state == JobState::Done && job.status == 0);
    successes.filter_map(|job| job.end_ms).min().expect("a success")
}

/// A configuration that polls at once, with this window; requests may take a second.
pub fn config(simulator: &Simulator, window: Duration) -> Config {
    let (window, key) = (window.as_secs(), &simulator.settings().api_key);
    Config::new()
        .server(&format!("scrapingInterval: {window}s, collectionInterval: 100ms"))
        .site_at(SITE, simulator.addr(), &format!("apiKey: {key}, timeout: 1s"))
}

pub struct Scene {
    pub simulator: Simulator,
    pub agent: Agent,
    pub watched: Watched,
    shown: BTreeMap<Series, f64>,
    /// Series are about to get other names.
    renames: bool,
}

impl Scene {
    /// The agent has read its first window.
    pub async fn start(settings: Settings, window: Duration) -> Self {
        let mut scene = Self::start_unread(settings, window).await;
        scene.poll().await;
        scene
    }

    /// The agent has only just started.
    pub async fn start_unread(settings: Settings, window: Duration) -> Self {
        Self::on(simulate(settings).await, window).await
    }

    /// The same with a server that is there.
    pub async fn on(simulator: Simulator, window: Duration) -> Self {
        let agent = Agent::start(&config(&simulator, window)).await;
        Self {
            simulator,
            agent,
            watched: Watched::new(SITE, window),
            shown: BTreeMap::new(),
            renames: false,
        }
    }

    /// Puts another window and other settings in force, and holds what that makes of the page against
    /// the truth.
    pub async fn reload(&mut self, window: Duration, rest: &str) -> Page {
        let mut config = config(&self.simulator, window).with(rest);
        config.port = self.agent.config().port;
        self.agent.reload(&config).await;
        self.watched.window_is(window, &self.simulator);
        self.poll().await
    }

    /// Series have other names from the next page that is as expected.
    pub fn forget(&mut self) {
        self.renames = true;
    }

    /// Waits for the faults in force to have struck so often again.
    pub async fn struck(&self, times: u64) {
        let before = self.simulator.faults().struck();
        let struck =
            || async { (self.simulator.faults().struck() >= before + times).then_some(()) };
        eventually("the fault strikes", struck).await;
    }

    /// Waits until so many more runs of the collector have ended, well or not.
    pub async fn runs(&self, more: u32) {
        let ended = || async {
            let page = Page::parse(&self.agent.fresh_text().await);
            let of_jobs = [("site", SITE), ("collector", "jobs")];
            let count = |result| {
                let labels = [of_jobs[0], of_jobs[1], ("result", result)];
                page.value("nbu_agent_collector_runs_total", &labels).unwrap_or_default()
            };
            count("success") + count("failure")
        };
        let before = ended().await;
        let enough = || async { (ended().await >= before + f64::from(more)).then_some(()) };
        eventually("the collector runs", enough).await;
    }

    /// Lets no poll through until the faults are cleared. When this returns, none is under way.
    pub async fn cut_off(&self) {
        self.simulator.faults().add(Fault::on("/ping"));
        self.struck(1).await;
    }

    /// Lets time pass without a poll; returns for how long of it the server has no jobs any more, ms.
    pub async fn cut_off_for(&self, time: Duration) -> i64 {
        let last = self.simulator.truth().server_time();
        self.cut_off().await;
        self.pass(time);
        (oldest_success(&self.simulator) - last).max(0)
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.simulator.clock().advance(time);
    }

    /// Lets time pass and a poll see what happened.
    pub async fn step(&mut self, time: Duration) -> Page {
        self.pass(time);
        self.poll().await
    }

    /// Waits for a whole poll of the present instant, and holds it against the truth.
    pub async fn poll(&mut self) -> Page {
        let now = self.simulator.truth().server_time();
        eventually("a whole poll", || async {
            is_whole(&self.agent.fresh_text().await, now).then_some(())
        })
        .await;
        self.watched.polled(&self.simulator);
        self.check().await
    }

    /// Holds the page against the truth of the present instant, and the totals against those before.
    pub async fn check(&mut self) -> Page {
        let expected = self.watched.expected(&self.simulator.truth());
        let started = Instant::now();
        loop {
            let page = Page::parse(&self.agent.fresh_text().await);
            let shown = page.of_site(SITE, is_known);
            let is_expected = differences(&shown, &expected).is_empty();
            if self.renames {
                // Until the reload has reached the page, it may have either names.
                self.renames = !is_expected;
                self.shown.clear();
            } else {
                self.never_less(&page);
            }
            if is_expected {
                return page;
            }
            if started.elapsed() > SETTLES.min(PATIENCE) {
                assert_same(&shown, &expected);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Totals never go down, and none that counted anything is gone.
    fn never_less(&mut self, page: &Page) {
        let totals = page.of_site(SITE, is_total);
        for (series, before) in &self.shown {
            let now = totals.get(series).copied().unwrap_or_default();
            assert!(now >= *before, "{series:?} went from {before} down to {now}");
        }
        self.shown = totals;
    }

    /// Returns the number of completions so far, by the truth.
    pub fn counted(&self) -> usize {
        self.watched.counted(&self.simulator.truth())
    }

    /// Ends it; a test that counted less than `least` proves little.
    pub async fn stop(self, least: usize) {
        let counted = self.counted();
        assert!(counted >= least, "only {counted} completions were counted");
        self.agent.stop().await;
    }
}
