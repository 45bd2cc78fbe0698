//! One server: schedule, collect, publish.
//!
//! A site is one poller task and one worker task per collector. The poller owns what the site looks like
//! and publishes whenever a worker ends; a worker owns its collector and its deadline, so a slow or
//! hanging one delays nobody.

mod publish;
mod schedule;
mod site;
mod slot;
mod spans;
mod up;
mod update;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::collectors::{self, Row, Settings};
use crate::netbackup::{Client, Connection};
use crate::snapshot::Publisher;
use crate::telemetry::traces::Tracer;

pub use publish::definitions;
pub use spans::RequestSpans;

/// How long a poller may take to end.
const POLLER_STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// When servers are polled and for how long samples live. The same for all sites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Time between two polls of a server.
    pub interval: Duration,
    /// How long slowly changing resources are reused.
    pub cache_ttl: Duration,
    /// The job window: the larger of `scrapingInterval` and the interval.
    pub window: Duration,
    /// Age at which the samples of a failing collector vanish.
    pub stale_after: Duration,
}

impl Config {
    /// Deadline of one run of a collector: the interval, 60 s at least, and a little less, so that a
    /// run that needs all of it does not cost the next cycle too.
    pub fn deadline(&self) -> Duration {
        self.interval.max(Duration::from_secs(60)).saturating_sub(Duration::from_secs(2))
    }
}

/// How a site is polled and what is collected there.
#[derive(Debug, Clone)]
pub struct Rules {
    /// When to poll.
    pub polling: Config,
    /// What is collected.
    pub collectors: Arc<collectors::Config>,
    /// Where what is known of the site outlives the process, if anywhere.
    pub state: Option<crate::state::StateDir>,
}

impl Rules {
    /// What collectors are built from.
    pub fn settings(&self) -> Settings<'_> {
        Settings {
            collectors: &self.collectors,
            window: self.polling.window,
            state: self.state.as_ref(),
        }
    }
}

/// What one site is polled with.
pub struct Setup {
    /// The client of its server; the site owns it.
    pub client: Client,
    /// How it is polled.
    pub rules: Rules,
    /// The collectors that there are; the rules say which of them are enabled.
    pub table: &'static [Row],
    /// Where spans go, if anywhere; a reload may change it under a running poller.
    pub tracer: Tracer,
    /// Wait before the first poll, so that hundreds of sites do not start in one instant.
    pub first_delay: Duration,
}

/// What changes for a site whose server stays the same.
#[derive(Debug)]
pub struct Update {
    /// Another key, CA, proxy and the like. The site is then polled at once.
    pub connection: Option<Connection>,
    /// How it is polled from now on.
    pub rules: Rules,
    /// Wait before a poll that is due at once, so that hundreds of sites do not start in one instant.
    pub delay: Duration,
}

/// A site that is polled.
#[derive(Debug)]
pub struct Poller {
    stop: CancellationToken,
    updates: mpsc::UnboundedSender<(Update, oneshot::Sender<()>)>,
    task: JoinHandle<()>,
}

impl Poller {
    /// Starts to poll. Needs a runtime.
    pub fn spawn(setup: Setup, publisher: Publisher) -> Self {
        let stop = CancellationToken::new();
        let (updates, received) = mpsc::unbounded_channel();
        let task = tokio::spawn(site::run(setup, publisher, received, stop.clone()));
        Self { stop, updates, task }
    }

    /// Hands over an update, which loses nothing that is counted, remembered or shown beyond what it
    /// takes away. Cannot fail: a poller that ended has nothing to update. What is returned ends when
    /// the update is in force and published; it need not be waited for.
    pub fn update(&self, update: Update) -> impl Future<Output = ()> + use<> {
        let (done, in_force) = oneshot::channel();
        let _ = self.updates.send((update, done));
        async {
            let _ = in_force.await;
        }
    }

    /// Tells it to stop. Requests in flight are dropped, and nothing is published any more.
    pub fn cancel(&self) {
        self.stop.cancel();
    }

    /// Waits for its end; it was told to stop. What does not end soon is left behind.
    pub async fn ended(self) {
        self.cancel();
        if tokio::time::timeout(POLLER_STOP_TIMEOUT, self.task).await.is_err() {
            tracing::warn!("poller did not stop in time; abandoning it");
        }
    }

    /// Whether the poller ended without being told to.
    pub fn is_dead(&self) -> bool {
        self.task.is_finished()
    }
}
