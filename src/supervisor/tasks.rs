//! Background tasks that must run: those that died are restarted, with a growing pause, and counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Supervisor;
use super::address::AddressServer;
use super::signals::Signals;
use super::watch::Watcher;
use crate::snapshot::Store;
use crate::telemetry::otlp::ExporterHandle;
use crate::telemetry::renderer::Renderer;
use crate::telemetry::traces::Tracing;

/// The pause after the first restart; each further one is twice as long.
const FIRST_RESTART_DELAY: Duration = Duration::from_secs(10);

/// The longest pause.
const MAX_RESTART_DELAY: Duration = Duration::from_secs(300);

/// A task that ran for so long is well again.
const STABLE_AFTER: Duration = Duration::from_secs(600);

/// A kind of background task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
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
    pub(super) const ALL: [Self; 8] = [
        Self::Endpoint,
        Self::Healthcheck,
        Self::Otlp,
        Self::Poller,
        Self::Renderer,
        Self::Signals,
        Self::Traces,
        Self::Watcher,
    ];

    /// Returns the value of the label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
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

    /// Returns whether a reload of what is in force restarts it.
    const fn is_of_configuration(self) -> bool {
        matches!(self, Self::Endpoint | Self::Otlp | Self::Poller | Self::Traces)
    }
}

/// When each kind of task was restarted last, and when it may be next.
#[derive(Debug, Default)]
pub(super) struct Restarts(BTreeMap<Task, (Instant, Duration)>);

impl Restarts {
    /// Returns whether a dead task may be restarted now; then it is taken to be.
    fn allow(&mut self, task: Task) -> bool {
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

/// Starts to render, from what is known now on.
pub(super) fn render(
    renderer: &Arc<Renderer>,
    store: &Store,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(Arc::clone(renderer).run(store.subscribe(), stop.clone()))
}

impl Supervisor {
    /// Restarts what died and is known to the supervisor alone. Returns whether the configuration in
    /// force has to be put right, too.
    pub(super) fn restart_dead_tasks(&mut self, signals: &mut Signals) -> bool {
        let mut of_configuration = false;
        for task in Task::ALL {
            if !self.is_dead(task, signals) || !self.restarts.allow(task) {
                continue;
            }
            self.agent.count_restart(task.as_str());
            tracing::error!(task = task.as_str(), "background task died; restarting it");
            match task {
                Task::Renderer => {
                    self.rendering = render(&self.renderer, &self.store, &self.stop);
                }
                Task::Watcher => self.start_watcher(),
                Task::Healthcheck => self.tell_address(),
                Task::Signals => {
                    if let Err(error) = signals.restart() {
                        tracing::error!(%error, "cannot install the signal handlers");
                    }
                }
                _ => {}
            }
            of_configuration |= task.is_of_configuration();
        }
        of_configuration
    }

    fn is_dead(&self, task: Task, signals: &Signals) -> bool {
        let running = &self.running;
        match task {
            Task::Endpoint => running.server.as_ref().is_some_and(|(server, _)| server.is_dead()),
            Task::Healthcheck => self.address.as_ref().is_some_and(AddressServer::is_dead),
            Task::Otlp => running.otlp.as_ref().is_some_and(ExporterHandle::is_dead),
            Task::Poller => running.sites.values().any(|site| site.poller.is_dead()),
            Task::Renderer => self.rendering.is_finished() && !self.stop.is_cancelled(),
            Task::Signals => signals.is_dead(),
            Task::Traces => running.tracing.as_ref().is_some_and(Tracing::is_dead),
            Task::Watcher => self.watcher.as_ref().is_some_and(Watcher::is_dead),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn restarts_pause_longer_each_time_until_task_is_well() {
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
