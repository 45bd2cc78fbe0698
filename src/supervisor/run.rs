//! The loop: reloads as they are asked for, one at a time, until a signal says to end.

use std::time::Duration;

use super::requests::{Batch, Trigger};
use super::signals::{Signal, Signals};
use super::systemd::Notifier;
use super::watch::Watcher;
use super::{Source, Supervisor};

/// How long the end may take: SIGTERM promises 10 s.
const FAREWELL: Duration = Duration::from_secs(8);

/// How often the supervisor looks whether everything still runs.
const INSPECTION: Duration = Duration::from_secs(10);

/// What the loop does next.
enum Next {
    Reload(Batch),
    End(&'static str),
    Nothing,
}

impl Supervisor {
    /// Serves reloads until a signal says to end. A second one ends at once.
    pub async fn run(mut self, mut signals: Signals) {
        let mut systemd = Notifier::new(self.environment.as_ref());
        if let Source::File(_) = self.source {
            self.watcher = Some(Watcher::spawn(self.senders.watch.clone()));
            self.watch();
        }
        systemd.ready(&self.status());
        let mut inspection = tokio::time::interval(INSPECTION);
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
                _ = inspection.tick() => self.inspect(),
            };
            match next {
                Next::Nothing => {}
                Next::Reload(mut batch) => {
                    // First: systemd must hear of a reload later than of all requests for it.
                    self.inbox.join(&mut batch, &mut signals);
                    systemd.reloading();
                    let result = systemd.watchdog_during(self.reload(batch.trigger)).await;
                    batch.answer(&result);
                    systemd.ready(&self.status());
                }
                Next::End(name) => {
                    tracing::info!(signal = name, "ending; a second signal ends at once");
                    break;
                }
            }
        }
        systemd.stopping();
        self.farewell(signals).await;
    }

    fn inspect(&self) -> Next {
        if !self.running.is_damaged() {
            return Next::Nothing;
        }
        tracing::error!("a task ended that should run: it is started anew");
        Next::Reload(Batch::of(Trigger::Recovery))
    }

    async fn farewell(mut self, mut signals: Signals) {
        self.inbox.close();
        self.watcher = None;
        let farewell = async {
            tokio::select! {
                () = self.shutdown() => tracing::info!("ended"),
                () = signals.end_now() => tracing::warn!("ended at once, as a second signal asked"),
            }
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!("ended without waiting for what still hangs");
        }
    }

    /// For people who ask systemd.
    fn status(&self) -> String {
        let state = self.agent.config();
        let sites = self.running.sites.len();
        let hash = state.sha256.get(..12).unwrap_or("none");
        let verdict =
            if state.last_ok { "" } else { "; the last reload was rejected: see the log" };
        let unit = if sites == 1 { "site" } else { "sites" };
        format!("{sites} {unit}, configuration {hash}{verdict}")
    }
}
