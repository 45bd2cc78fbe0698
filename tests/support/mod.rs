//! Parts that behaviour tests share: simulated servers, an agent in the process, the exposition as data,
//! and waiting for something without waiting for a time.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part of this module")]

pub mod certificates;
pub mod details;
pub mod disk;
pub mod endpoint;
pub mod expected;
pub mod names;
pub mod process;
pub mod received;
pub mod resources;
pub mod runs;
pub mod slp;
pub mod storage;
pub mod tape;
pub mod totals;
pub mod work;

use std::fmt::Write as _;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nbu_otel_agent::config::Diff;
use nbu_otel_agent::reload::Trigger;
use nbu_otel_agent::supervisor::{Source, Supervisor};
use nbu_sim::{Clock, Settings, Simulator};
use sha2::Digest as _;

pub use exposition::{self, Page};

/// 2026-03-01T12:00:00Z, when manual clocks start.
pub const NOON: i64 = 1_772_366_400_000;

/// Bound of everything that is waited for; reached only when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A small deterministic world at noon, whose time the test moves.
pub fn world(seed: u64) -> Settings {
    Settings { seed, clock: Clock::manual(NOON), ..Settings::default() }
}

/// Starts a simulated server.
pub async fn simulate(settings: Settings) -> Simulator {
    Simulator::start(settings).await.expect("a simulated server starts")
}

/// A configuration, section by section.
#[derive(Debug, Clone)]
pub struct Config {
    /// Port of the endpoint.
    pub port: u16,
    host: String,
    server: String,
    sites: String,
    rest: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: process::port(),
            host: String::from("127.0.0.1"),
            server: String::from("scrapingInterval: 24h, collectionInterval: 300s"),
            sites: String::new(),
            rest: String::new(),
        }
    }
}

impl Config {
    /// Polls every 300 s, with a window of 24 h.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces what is said under `server` beside host and port.
    pub fn server(mut self, yaml: &str) -> Self {
        yaml.clone_into(&mut self.server);
        self
    }

    /// Replaces the host of the endpoint.
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Adds a simulated server as a site.
    pub fn site(self, name: &str, simulator: &Simulator) -> Self {
        let key = simulator.settings().api_key.clone();
        self.site_at(name, simulator.addr(), &format!("apiKey: \"{key}\""))
    }

    /// Adds a site at an address, with more settings.
    pub fn site_at(mut self, name: &str, address: SocketAddr, more: &str) -> Self {
        let (host, port) = (address.ip(), address.port());
        let _ = writeln!(
            self.sites,
            "  - {{ site: \"{name}\", scheme: http, host: \"{host}\", port: {port}, {more} }}"
        );
        self
    }

    /// Adds a section.
    pub fn with(mut self, yaml: &str) -> Self {
        let _ = writeln!(self.rest, "{yaml}");
        self
    }

    /// The file.
    pub fn yaml(&self) -> String {
        format!(
            "server: {{ host: {}, port: {}, {} }}\nnbuservers:\n{}{}",
            self.host, self.port, self.server, self.sites, self.rest
        )
    }
}

/// An agent that runs in this process.
pub struct Agent {
    supervisor: Supervisor,
    folder: tempfile::TempDir,
    port: u16,
    http: reqwest::Client,
}

impl Agent {
    /// Starts it; the configuration must be valid.
    pub async fn start(config: &Config) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let environment = Arc::new(|_: &str| None);
        let source = Source::File(folder.path().join("config.yaml"));
        let supervisor = Supervisor::new(source, environment, None);
        let mut agent = Self { supervisor, folder, port: config.port, http: http_client() };
        agent.put_in_force(config, Trigger::Start).await;
        agent
    }

    /// Puts another valid configuration in force; what that changed.
    pub async fn reload(&mut self, config: &Config) -> Diff {
        self.put_in_force(config, Trigger::Http).await
    }

    async fn put_in_force(&mut self, config: &Config, trigger: Trigger) -> Diff {
        self.port = config.port;
        let verdict = self.try_reload(config, trigger).await;
        verdict.unwrap_or_else(|error| panic!("{error}\n{}", config.yaml()))
    }

    /// Tries to put another configuration in force; what that changed, or what is wrong with it.
    pub async fn try_reload(&mut self, config: &Config, trigger: Trigger) -> Result<Diff, String> {
        let file = self.folder.path().join("config.yaml");
        std::fs::write(file, config.yaml()).expect("a file");
        self.supervisor.reload(trigger).await.map_err(|error| error.to_string())
    }

    /// A configuration with the endpoint where it is.
    pub fn config(&self) -> Config {
        Config { port: self.port, ..Config::new() }
    }

    /// Address of a path of its endpoint.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Asks for a path.
    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(self.url(path)).send().await.expect("the endpoint answers")
    }

    /// Scrapes the exposition.
    pub async fn scrape(&self) -> Page {
        let text = self.get("/metrics").await.text().await.expect("a body");
        Page::parse(&text)
    }

    /// The exposition, rendered just now: by itself it is at most once a second.
    pub async fn fresh_text(&self) -> String {
        self.supervisor.renderer().render_off_thread().await;
        self.get("/metrics").await.text().await.expect("a body")
    }

    /// Scrapes until `done` says so; the last page.
    pub async fn scrape_until(&self, what: &str, done: impl Fn(&Page) -> bool) -> Page {
        let started = Instant::now();
        loop {
            let page = self.scrape().await;
            if done(&page) {
                return page;
            }
            assert!(started.elapsed() < PATIENCE, "{what}: not seen in\n{}", page.text());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Scrapes until every collector of `site` succeeded once.
    pub async fn first_samples(&self, site: &str) -> Page {
        self.scrape_until(&format!("both collectors of {site} up"), |page| {
            ["jobs", "storage"].iter().all(|collector| {
                page.value("nbu_agent_collector_up", &[("site", site), ("collector", collector)])
                    == Some(1.0)
            })
        })
        .await
    }

    /// Ends it.
    pub async fn stop(self) {
        self.supervisor.shutdown().await;
    }
}

/// Returns the SHA-256 of a text, as `sha256sum` prints it.
pub fn sha256(text: &str) -> String {
    sha2::Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A client that neither pools nor decodes, so that each test sees what is sent.
pub fn http_client() -> reqwest::Client {
    // A second installation fails and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_gzip().no_proxy().build().expect("a client")
}

/// Waits until `done` gives something.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, done: impl Fn() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = done().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: did not happen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Runs tests that wait more than they compute at once; what each returns.
pub fn at_once<T: Send + 'static>(
    tests: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> impl Future<Output = Vec<T>> {
    let mut running: tokio::task::JoinSet<T> = tests.into_iter().collect();
    async move {
        let mut returned = Vec::new();
        while let Some(one) = ended(&mut running).await {
            returned.push(one);
        }
        returned
    }
}

/// Waits for the end of one of these, and fails as it did; what it returned, if any was left.
pub async fn ended<T: 'static>(running: &mut tokio::task::JoinSet<T>) -> Option<T> {
    match running.join_next().await? {
        Ok(returned) => Some(returned),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
