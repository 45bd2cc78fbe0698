//! The sites of a soak, their clock, and the configuration of the agent that polls them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use nbu_sim::{Clock, Rows, Settings, Simulator};
use tokio::task::JoinHandle;

use super::gate::Gate;
use crate::collector::Collector;
use crate::process::{Desk, port};
use crate::support::resources::SWITCHES;
use crate::support::{Config, simulate};

/// The usual pace is a poll every five minutes, and a push every minute.
pub const PACE: u32 = 50;
pub const INTERVAL: Duration = Duration::from_secs(5 * 60 / PACE as u64);

const STEADY: usize = 4;
const TROUBLED: usize = 9;

/// Completions of a site in an hour of its own time, and that for which it keeps them.
const JOBS_PER_HOUR: u32 = 60;
const KEPT: Duration = Duration::from_secs(12 * 3600);

/// File with the key of [`Stage::rekeyed`].
pub const KEY_FILE: &str = "rekeyed.key";

/// A polled server of whose completions each is counted once.
pub struct Site {
    pub name: String,
    pub simulator: Simulator,
}

/// Everything that an agent polls.
pub struct Stage {
    pub desk: Desk,
    pub port: u16,
    pub clock: Passing,
    /// Sites that are always well.
    pub steady: Vec<Site>,
    /// Sites whose answers go wrong from time to time.
    pub troubled: Vec<Site>,
    /// A site behind a gate.
    pub restarted: Site,
    pub gate: Gate,
    /// A site whose key changes.
    pub rekeyed: Site,
    /// A site that reloads add and remove.
    pub coming: Site,
    /// Sections of a push by gRPC, and by HTTP.
    pushes: [String; 2],
}

impl Stage {
    /// Starts the servers. Their time stands still until it is told to pass.
    pub async fn set(collector: &Collector) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let clock = Clock::manual(i64::try_from(now.as_millis()).expect("a date"));
        let mut seed = 0;
        let mut site = async |name: String| {
            seed += 1;
            let settings = Settings {
                seed,
                jobs_per_hour: f64::from(JOBS_PER_HOUR),
                jobs_in_history: (JOBS_PER_HOUR * 12) as usize,
                history: KEPT,
                retention: KEPT,
                clients: 6,
                policies: 4,
                storage_units: 6,
                rows: Rows::default().with("tapes", 20),
                clock: clock.clone(),
                ..Settings::default()
            };
            Site { name, simulator: simulate(settings).await }
        };
        let (mut steady, mut troubled) = (Vec::new(), Vec::new());
        for number in 1..=STEADY {
            steady.push(site(format!("steady-{number}")).await);
        }
        for number in 1..=TROUBLED {
            troubled.push(site(format!("troubled-{number}")).await);
        }
        let restarted = site("restarted".to_owned()).await;
        let rekeyed = site("rekeyed".to_owned()).await;
        let coming = site("coming".to_owned()).await;
        let gate = Gate::to(restarted.simulator.addr());
        let desk = Desk::new();
        desk.write(KEY_FILE, &rekeyed.simulator.settings().api_key);
        let clock = Passing::of(clock);
        let pushes = ["grpc", "http/protobuf"];
        let pushes = pushes.map(|protocol| {
            collector.push(protocol, "interval: 6s, timeout: 3s, samplingRate: 0.02")
        });
        let port = port();
        Self { desk, port, clock, steady, troubled, restarted, gate, rekeyed, coming, pushes }
    }

    /// The sites that are configured throughout.
    pub fn lasting(&self) -> impl Iterator<Item = &Site> {
        self.steady.iter().chain(&self.troubled).chain([&self.restarted, &self.rekeyed])
    }

    /// Returns the configuration of a step: the protocol of the push changes, and whether `coming` is polled.
    pub fn configuration(&self, step: usize) -> String {
        let interval = INTERVAL.as_secs();
        let mut config = Config::new()
            .server(&format!(
                "scrapingInterval: 6h, collectionInterval: {interval}s, cacheTTL: {interval}s, \
                 configCheckInterval: 1s, logName: agent.log"
            ))
            .with("state: { directory: state }")
            .with(&format!(
                "collectors: {{ {}, perClient: {{ enabled: true, allowlist: [\"*\"] }}, \
                 perPolicy: {{ enabled: true, allowlist: [\"*\"] }}, jobs: {{ auditInterval: 72s }} }}",
                *SWITCHES
            ))
            .with(&self.pushes[step % 2]);
        config.port = self.port;
        let key = "apiKey: nbu-sim-key, timeout: 3s";
        let plain = self.steady.iter().chain(&self.troubled);
        let plain = plain.chain((!step.is_multiple_of(3)).then_some(&self.coming));
        for site in plain {
            config = config.site_at(&site.name, site.simulator.addr(), key);
        }
        let by_file = format!("apiKeyFile: {KEY_FILE}, timeout: 3s");
        config
            .site_at(&self.restarted.name, self.gate.address, key)
            .site_at(&self.rekeyed.name, self.rekeyed.simulator.addr(), &by_file)
            .yaml()
    }
}

/// A clock that passes at [`PACE`], or stands still. Ends with its value.
pub struct Passing {
    pub clock: Clock,
    passes: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Passing {
    fn of(clock: Clock) -> Self {
        let passes = Arc::new(AtomicBool::new(false));
        let (hand, is_passing) = (clock.clone(), Arc::clone(&passes));
        let task = tokio::spawn(async move {
            let mut last = Instant::now();
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let now = Instant::now();
                if is_passing.load(Relaxed) {
                    hand.advance((now - last) * PACE);
                }
                last = now;
            }
        });
        Self { clock, passes, task }
    }

    pub fn set_passing(&self, passes: bool) {
        self.passes.store(passes, Relaxed);
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.task.abort();
    }
}
