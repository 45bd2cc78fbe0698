//! The poller of a server: schedule, collect, publish.
//!
//! A site is one poller task and one worker task per collector. The poller owns what the site looks
//! like and publishes whenever a worker ends; a worker owns its collector and its deadline, so a slow
//! or hanging one delays nobody.

mod exported;
mod health;
mod publish;
mod schedule;
mod settings;
mod site;
mod slot;
mod trial;
mod up;
mod worker;

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::snapshot::Publisher;

pub use publish::definitions;
pub use settings::{Config, Rules, Setup, Update};
pub use worker::RequestSpans;

const POLLER_STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Handle of the poller of a site.
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

    /// Hands over an update, which keeps all counts, memory and samples except those of collectors
    /// that it switches off. Cannot fail: a poller that ended has nothing to update. The returned
    /// future ends when the update is in force and published; it need not be awaited.
    pub fn update(&self, update: Update) -> impl Future<Output = ()> + use<> {
        let (done, in_force) = oneshot::channel();
        let _ = self.updates.send((update, done));
        async {
            let _ = in_force.await;
        }
    }

    /// Stops it. Requests in flight are dropped, and nothing is published any more.
    pub fn cancel(&self) {
        self.stop.cancel();
    }

    /// Stops it, and waits for its end for a short while.
    pub async fn ended(self) {
        self.cancel();
        if tokio::time::timeout(POLLER_STOP_TIMEOUT, self.task).await.is_err() {
            tracing::warn!("poller did not stop in time; abandoning it");
        }
    }

    /// Returns true if the poller ended without being stopped.
    pub fn is_dead(&self) -> bool {
        self.task.is_finished()
    }
}
