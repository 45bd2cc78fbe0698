//! The loop: reloads as they are asked for, one at a time, until a signal says to end.

use std::time::Duration;

use super::Supervisor;
use super::requests::{Batch, Trigger};
use super::signals::{Signal, Signals};
use super::systemd::Notifier;
use crate::log::Log;

/// How long the end may take: SIGTERM promises 10 s.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);

/// How often the supervisor looks whether everything still runs.
const TASK_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// What the loop does next.
enum Next {
    Reload(Batch),
    CheckTasks,
    End(&'static str),
    Nothing,
}

impl Supervisor {
    /// Serves reloads until a signal says to end. A second one ends at once.
    pub async fn run(mut self, mut signals: Signals) {
        let mut systemd = Notifier::new(self.environment.as_ref());
        self.start_watcher();
        systemd.ready(&self.status());
        let mut task_checks = tokio::time::interval(TASK_CHECK_INTERVAL);
        loop {
            let next = tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Signal::Reload => Next::Reload(Batch::of(Trigger::Sighup)),
                    Signal::End(name) => Next::End(name),
                    Signal::EndNow => return,
                },
                batch = self.inbox.next() => Next::Reload(batch),
                // Here, so that it stands for this loop.
                () = systemd.watchdog() => Next::Nothing,
                () = self.retry.due() => Next::Reload(Batch::of(Trigger::Retry)),
                _ = task_checks.tick() => Next::CheckTasks,
            };
            match next {
                Next::Nothing => {}
                Next::CheckTasks => systemd.watchdog_during(self.check_tasks(&mut signals)).await,
                Next::Reload(mut batch) => {
                    // First: systemd must hear of a reload later than of all requests for it.
                    self.inbox.coalesce(&mut batch, &mut signals);
                    systemd.reloading();
                    if batch.reopens_log {
                        // Whatever the configuration is: logrotate deletes the old one.
                        systemd.watchdog_during(self.reopen_log()).await;
                    }
                    let result = systemd.watchdog_during(self.reload(batch.trigger)).await;
                    batch.answer(&result);
                    systemd.ready(&self.status());
                }
                Next::End(name) => {
                    tracing::info!(signal = name, "shutting down; a second signal exits at once");
                    break;
                }
            }
        }
        systemd.stopping();
        self.shut_down_within(SHUTDOWN_TIMEOUT, signals).await;
    }

    /// Restarts what died, and tries the log file again that could not be opened.
    async fn check_tasks(&mut self, signals: &mut Signals) {
        if self.log.as_ref().is_some_and(Log::is_replaced) {
            self.reopen_log().await;
        }
        if self.restart_dead_tasks(signals) {
            // How it ended is in the log.
            let _ = self.reload(Trigger::Recovery).await;
        }
    }

    async fn shut_down_within(mut self, limit: Duration, mut signals: Signals) {
        self.inbox.close();
        self.watcher = None;
        let shutdown = async {
            tokio::select! {
                () = self.shutdown() => tracing::info!("shutdown complete"),
                () = signals.end_now() => tracing::warn!("exiting at once after a second signal"),
            }
        };
        if tokio::time::timeout(limit, shutdown).await.is_err() {
            tracing::warn!("shutdown timed out; exiting");
        }
    }

    /// For people who ask systemd.
    fn status(&self) -> String {
        let state = self.agent.config();
        let sites = self.running.sites.len();
        let hash = state.sha256.get(..12).unwrap_or("none");
        let verdict = match (state.last_ok, state.pending) {
            (true, _) => "",
            (false, true) => "; last reload rejected, retrying: see the log",
            (false, false) => "; last reload rejected: see the log",
        };
        let unit = if sites == 1 { "site" } else { "sites" };
        format!("{sites} {unit}, configuration {hash}{verdict}")
    }
}
