//! The loop: reloads as they are requested, one at a time, until a signal asks for the end.

use std::time::Duration;

use tokio::time::{Instant, interval, timeout};

use super::Supervisor;
use super::address::AddressServer;
use super::requests::Batch;
use super::running::Endpoint;
use super::signals::{Signal, Signals};
use super::systemd::Notifier;
use super::tasks::{Task, render};
use super::watch::Watcher;
use crate::election::{Election, Standing};
use crate::log::Log;
use crate::reload::Trigger;
use crate::telemetry::otlp::ExporterHandle;
use crate::telemetry::traces::Tracing;

/// Time for the shutdown: SIGTERM promises 10 s.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);

/// Time between two checks for background tasks that died.
const TASK_CHECK_INTERVAL: Duration = Duration::from_secs(10);

const LOG_TIMEOUT: Duration = Duration::from_secs(5);

enum Next {
    Reload(Batch),
    CheckTasks,
    FollowElection,
    End(&'static str),
    Nothing,
}

impl Supervisor {
    /// Serves reloads until a signal asks for the end. A second one ends at once.
    pub(crate) async fn run(mut self, mut signals: Signals) {
        let mut systemd = Notifier::new(self.reloader.environment.as_ref());
        self.start_watcher();
        systemd.ready(&self.status());
        let mut task_checks = interval(TASK_CHECK_INTERVAL);
        loop {
            let next = tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Signal::Reload => Next::Reload(Batch::of(Trigger::Sighup)),
                    Signal::End(name) => Next::End(name),
                    Signal::EndNow => return,
                },
                batch = self.inbox.next() => Next::Reload(batch),
                // Polled in this `select!` so that a stuck supervisor loop misses the watchdog.
                () = systemd.watchdog() => Next::Nothing,
                () = self.reloader.running.election_changed() => Next::FollowElection,
                () = self.reloader.retry.due() => Next::Reload(Batch::of(Trigger::Retry)),
                _ = task_checks.tick() => Next::CheckTasks,
            };
            match next {
                Next::Nothing => {}
                Next::CheckTasks => {
                    systemd.watchdog_during(Box::pin(self.check_tasks(&mut signals))).await;
                }
                Next::FollowElection => {
                    systemd.watchdog_during(Box::pin(self.follow_election())).await;
                    systemd.ready(&self.status());
                }
                Next::Reload(mut batch) => {
                    // First: systemd must hear of a reload later than of all requests for it.
                    self.inbox.coalesce(&mut batch, &mut signals);
                    systemd.reloading();
                    if batch.reopens_log {
                        // Whatever the configuration is: logrotate deletes the old one.
                        systemd.watchdog_during(self.reopen_log()).await;
                    }
                    let result =
                        systemd.watchdog_during(Box::pin(self.reload(batch.trigger))).await;
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

    /// Restarts tasks that died, and tries to open a log file again that could not be opened.
    async fn check_tasks(&mut self, signals: &mut Signals) {
        if self.reloader.log.as_ref().is_some_and(Log::is_replaced) {
            self.reopen_log().await;
        }
        if self.restart_dead_tasks(signals) {
            // The result is in the log.
            let _ = self.reload(Trigger::Recovery).await;
        }
    }

    /// Restarts tasks that died and that no reload restarts. Returns whether a reload of the current
    /// configuration has to restart others.
    pub(super) fn restart_dead_tasks(&mut self, signals: &mut Signals) -> bool {
        let mut of_configuration = false;
        for task in Task::ALL {
            if !self.is_dead(task, signals) || !self.restarts.allow(task) {
                continue;
            }
            let services = &self.reloader.services;
            services.agent.count_restart(task.as_str());
            tracing::error!(task = task.as_str(), "background task died; restarting it");
            match task {
                Task::Renderer => {
                    self.rendering = render(&services.renderer, &services.store, &self.stop);
                }
                Task::Watcher => self.start_watcher(),
                Task::Healthcheck => self.publish_address(),
                Task::Signals => {
                    if let Err(error) = signals.restart() {
                        tracing::error!(%error, "cannot install the signal handlers");
                    }
                }
                Task::Election | Task::Endpoint | Task::Otlp | Task::Poller | Task::Traces => {
                    of_configuration = true;
                }
            }
        }
        of_configuration
    }

    fn is_dead(&self, task: Task, signals: &Signals) -> bool {
        let running = &self.reloader.running;
        match task {
            Task::Election => running.election.as_ref().is_some_and(Election::is_dead),
            Task::Endpoint => running.endpoint.iter().chain(&running.health).any(Endpoint::is_dead),
            Task::Healthcheck => self.address.as_ref().is_some_and(AddressServer::is_dead),
            Task::Otlp => running.otlp.as_ref().is_some_and(ExporterHandle::is_dead),
            Task::Poller => running.sites.values().any(|site| site.poller.is_dead()),
            Task::Renderer => self.rendering.is_finished() && !self.stop.is_cancelled(),
            Task::Signals => signals.is_dead(),
            Task::Traces => running.tracing.as_ref().is_some_and(Tracing::is_dead),
            Task::Watcher => self.watcher.as_ref().is_some_and(Watcher::is_dead),
        }
    }

    /// Opens the log again, at its current place. Bounded: a file system may hang.
    async fn reopen_log(&self) {
        let (Some(log), Some(config)) = (&self.reloader.log, self.config()) else { return };
        let destination = config.log.destination.clone();
        let open = move || crate::log::open(&destination);
        let deadline = Instant::now() + LOG_TIMEOUT;
        if let Ok(opened) = self.reloader.blocking.run(deadline, open).await {
            log.redirect(opened);
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
        if timeout(limit, shutdown).await.is_err() {
            tracing::warn!("shutdown timed out; exiting");
        }
    }

    /// Returns the line that `systemctl status` shows.
    fn status(&self) -> String {
        let state = self.reloader.services.agent.config();
        let sites = self.reloader.running.sites.len();
        let hash = state.sha256.get(..12).unwrap_or("none");
        let verdict = match (state.last_ok, state.pending) {
            (true, _) => "",
            (false, true) => "; last reload rejected, retrying: see the log",
            (false, false) => "; last reload rejected: see the log",
        };
        let unit = if sites == 1 { "site" } else { "sites" };
        let role = match self.reloader.running.standing {
            Standing::Alone => String::new(),
            Standing::Standby => "standby, ".to_owned(),
            Standing::Leader(term) => format!("leader (term {term}), "),
        };
        format!("{role}{sites} {unit}, configuration {hash}{verdict}")
    }
}
