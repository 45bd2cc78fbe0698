//! Notifications to systemd (sd_notify(3)): ready, reloading, stopping, and the watchdog. Without
//! systemd all of it does nothing.
//!
//! Messages are sent by a thread of their own, in order: a socket that is full blocks nobody else.

use std::future::{Future, pending};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::config::Environment;

/// Messages that wait for a socket that is full; further ones are dropped.
const MAX_WAITING: usize = 64;

/// Time for which the watchdog is fed during a reload. Longer than [`super::RELOAD_TIMEOUT`]: a reload
/// that takes longer is a fault in the agent, and systemd restarts it.
const MAX_SUPERVISED_TIME: Duration = Duration::from_secs(80);

/// Sender of the process's state to systemd.
pub(super) struct Notifier {
    messages: Option<SyncSender<Message>>,
    watchdog: Option<Interval>,
}

#[derive(Debug, PartialEq, Eq)]
enum Message {
    Ready(String),
    /// With the monotonic time in microseconds: systemd takes it for an answer to its signal only if
    /// it is later than the signal.
    Reloading(i128),
    Stopping,
    Watchdog,
}

impl Message {
    fn states(&self) -> Vec<NotifyState<'_>> {
        match self {
            Self::Ready(status) => vec![NotifyState::Ready, NotifyState::Status(status)],
            Self::Reloading(now) => vec![NotifyState::Reloading, NotifyState::MonotonicUsec(*now)],
            Self::Stopping => vec![NotifyState::Stopping, NotifyState::Status("stopping")],
            Self::Watchdog => vec![NotifyState::Watchdog],
        }
    }
}

impl Notifier {
    /// Returns a notifier that follows `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. Needs a runtime.
    pub(super) fn new(environment: &dyn Environment) -> Self {
        if environment.get("NOTIFY_SOCKET").is_none_or(|name| name.is_empty()) {
            return Self { messages: None, watchdog: None };
        }
        let (messages, received) = sync_channel(MAX_WAITING);
        let thread = std::thread::Builder::new().name("systemd".to_owned());
        match thread.spawn(move || send_all(&received)) {
            Ok(_) => Self::sending_to(messages, sd_notify::watchdog_enabled()),
            Err(error) => {
                tracing::warn!("cannot notify systemd: starting a thread failed: {error}");
                Self { messages: None, watchdog: None }
            }
        }
    }

    fn sending_to(messages: SyncSender<Message>, limit: Option<Duration>) -> Self {
        let period = limit.map(|limit| limit / 2).filter(|period| !period.is_zero());
        let watchdog = period.map(|period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        Self { messages: Some(messages), watchdog }
    }

    /// Reports that a configuration is in force: after the start, and at the end of each reload,
    /// whatever its result. `systemctl status` shows `status`.
    pub(super) fn ready(&self, status: &str) {
        // The protocol is one of lines.
        self.send(Message::Ready(status.replace(char::is_control, " ")));
    }

    /// Reports that a reload begins. All requests that it serves must have been taken before: systemd
    /// waits for the report of one that comes later.
    pub(super) fn reloading(&self) {
        if let Ok(NotifyState::MonotonicUsec(now)) = NotifyState::monotonic_usec_now() {
            self.send(Message::Reloading(now));
        }
    }

    /// Reports that the process is shutting down.
    pub(super) fn stopping(&self) {
        self.send(Message::Stopping);
    }

    /// Waits until the watchdog must be fed, and feeds it. Polled by the supervisor's loop: systemd
    /// restarts an agent whose loop is stuck. Without a watchdog it waits for ever.
    pub(super) async fn watchdog(&mut self) {
        match &mut self.watchdog {
            Some(ticks) => drop(ticks.tick().await),
            None => pending().await,
        }
        self.send(Message::Watchdog);
    }

    /// Runs a reload to its end, and feeds the watchdog meanwhile for as long as a reload may take.
    pub(super) async fn watchdog_during<T>(&mut self, reload: impl Future<Output = T>) -> T {
        let mut reload = std::pin::pin!(reload);
        let signs = async {
            loop {
                self.watchdog().await;
            }
        };
        tokio::select! {
            result = reload.as_mut() => return result,
            _ = timeout(MAX_SUPERVISED_TIME, signs) => {}
        }
        reload.await
    }

    fn send(&self, message: Message) {
        if let Some(messages) = &self.messages {
            // A systemd that has not read for so long has no use for it.
            let _ = messages.try_send(message);
        }
    }
}

fn send_all(messages: &Receiver<Message>) {
    let mut warned = false;
    for message in messages {
        if let Err(error) = sd_notify::notify(&message.states())
            && !std::mem::replace(&mut warned, true)
        {
            tracing::warn!(
                "cannot notify systemd: {error}; NOTIFY_SOCKET must be the path of a socket"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn notifier(limit: Option<Duration>) -> (Notifier, Receiver<Message>) {
        let (messages, received) = sync_channel(MAX_WAITING);
        (Notifier::sending_to(messages, limit), received)
    }

    #[tokio::test(start_paused = true)]
    async fn watchdog_is_fed_at_half_its_limit() {
        let (mut notifier, received) = notifier(Some(MINUTE));
        let start = Instant::now();
        for expected in [0, 30, 60] {
            notifier.watchdog().await;
            assert_eq!(start.elapsed().as_secs(), expected);
            assert_eq!(received.try_recv(), Ok(Message::Watchdog));
        }
        assert!(received.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn watchdog_without_limit_is_not_fed() {
        for limit in [None, Some(Duration::ZERO), Some(Duration::from_nanos(1))] {
            let (mut notifier, received) = notifier(limit);
            assert!(timeout(MINUTE * 10, notifier.watchdog()).await.is_err(), "{limit:?}");
            assert!(received.try_recv().is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_reload_does_not_starve_the_watchdog() {
        let (mut notifier, received) = notifier(Some(MINUTE));
        notifier.watchdog_during(tokio::time::sleep(super::super::RELOAD_TIMEOUT)).await;
        assert_eq!(received.try_iter().count(), 2, "one at once, one after half a minute");
    }

    #[tokio::test(start_paused = true)]
    async fn reload_without_end_starves_the_watchdog() {
        let (mut notifier, received) = notifier(Some(MINUTE));
        let hung = timeout(MINUTE * 60, notifier.watchdog_during(pending::<()>())).await;
        assert!(hung.is_err());
        assert_eq!(received.try_iter().count(), 3, "none after {MAX_SUPERVISED_TIME:?}");
    }

    #[tokio::test]
    async fn messages_beyond_the_queue_are_dropped_without_blocking() {
        let (notifier, received) = notifier(None);
        for _ in 0..MAX_WAITING * 2 {
            notifier.ready("2 sites,\nconfiguration 3fa4");
        }
        let heard: Vec<Message> = received.try_iter().collect();
        assert_eq!(heard.len(), MAX_WAITING);
        assert_eq!(heard[0], Message::Ready("2 sites, configuration 3fa4".to_owned()));
    }

    #[tokio::test]
    async fn without_systemd_no_thread_is_started() {
        for variables in [None, Some(String::new())] {
            let environment = move |_: &str| variables.clone();
            assert!(Notifier::new(&environment).messages.is_none());
        }
    }
}
