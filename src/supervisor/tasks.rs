//! Kinds of background tasks, and the growing delays between restarts of those that die.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::snapshot::Store;
use crate::telemetry::prometheus::renderer::Renderer;

/// The pause after the first restart; each further one is twice as long.
const FIRST_RESTART_DELAY: Duration = Duration::from_secs(10);

const MAX_RESTART_DELAY: Duration = Duration::from_secs(300);

/// A task that ran for this long counts as stable again.
const STABLE_AFTER: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    Election,
    Endpoint,
    Healthcheck,
    Otlp,
    Poller,
    Renderer,
    Signals,
    Traces,
    Watcher,
}

impl Task {
    pub(super) const ALL: [Self; 9] = [
        Self::Election,
        Self::Endpoint,
        Self::Healthcheck,
        Self::Otlp,
        Self::Poller,
        Self::Renderer,
        Self::Signals,
        Self::Traces,
        Self::Watcher,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Election => "election",
            Self::Endpoint => "endpoint",
            Self::Healthcheck => "healthcheck",
            Self::Otlp => "otlp",
            Self::Poller => "poller",
            Self::Renderer => "renderer",
            Self::Signals => "signals",
            Self::Traces => "traces",
            Self::Watcher => "watcher",
        }
    }
}

/// The last restart of each kind of task, and the delay until the next one.
#[derive(Debug, Default)]
pub(super) struct Restarts(BTreeMap<Task, (Instant, Duration)>);

impl Restarts {
    /// Returns whether a dead task may be restarted now, and notes the restart if so.
    pub(super) fn allow(&mut self, task: Task) -> bool {
        let now = Instant::now();
        let pause = match self.0.get(&task) {
            Some((last, pause)) if now < *last + *pause => return false,
            Some((last, pause)) if now < *last + STABLE_AFTER.max(*pause * 2) => {
                (*pause * 2).min(MAX_RESTART_DELAY)
            }
            _ => FIRST_RESTART_DELAY,
        };
        self.0.insert(task, (now, pause));
        true
    }
}

/// Starts to render the snapshots of the store.
pub(super) fn render(
    renderer: &Arc<Renderer>,
    store: &Store,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(Arc::clone(renderer).run(store.subscribe(), stop.clone()))
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn restart_delays_grow_until_task_is_stable() {
        let mut restarts = Restarts::default();
        assert!(restarts.allow(Task::Renderer));
        for pause in [10, 20, 40, 80, 160, 300, 300] {
            advance(Duration::from_secs(pause - 1)).await;
            assert!(!restarts.allow(Task::Renderer), "before {pause} s");
            assert!(restarts.allow(Task::Watcher) || pause > 10, "tasks do not wait for others");
            advance(Duration::from_secs(1)).await;
            assert!(restarts.allow(Task::Renderer), "after {pause} s");
        }
        advance(STABLE_AFTER).await;
        assert!(restarts.allow(Task::Renderer));
        advance(FIRST_RESTART_DELAY).await;
        assert!(restarts.allow(Task::Renderer), "it began anew");
    }
}
