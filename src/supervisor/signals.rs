//! Unix signals, caught from the first moment on: one that comes during the start is not lost.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Signals within this time are one request: `timeout` and some shells send one to the process and
/// to its group.
const SIGNAL_DEBOUNCE: Duration = Duration::from_millis(500);

/// Time until the process exits, whatever hangs: SIGTERM promises 10 s.
const FORCED_EXIT_DELAY: Duration = Duration::from_secs(9);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGHUP.
    Reload,
    /// SIGTERM, SIGINT, or a SIGHUP that means the end, by name.
    End(&'static str),
    /// A second request for the end.
    EndNow,
}

#[derive(Debug)]
pub(crate) struct Signals {
    received: mpsc::UnboundedReceiver<Signal>,
    /// A signal that was received out of turn.
    taken: Option<Signal>,
    ending: CancellationToken,
    forwarding: JoinHandle<()>,
    on_hangup: Hangup,
}

impl Signals {
    /// Catches the signals from now on; SIGHUP asks for a reload. Needs a runtime.
    ///
    /// # Errors
    ///
    /// If the system does not let them be caught.
    pub(crate) fn install() -> io::Result<Self> {
        Self::with(Hangup::Reloads, CancellationToken::new())
    }

    /// Catches the signals from now on. SIGHUP asks for the end, since the terminal is gone and there
    /// is no file to read again. `nohup` is respected.
    ///
    /// # Errors
    ///
    /// As [`Signals::install`].
    pub(crate) fn install_at_terminal() -> io::Result<Self> {
        let ignored = procfs::process::Process::myself().and_then(|process| process.status());
        let ignored = ignored.is_ok_and(|status| status.sigign & 1 == 1);
        let on_hangup = if ignored { Hangup::Ignored } else { Hangup::Ends };
        Self::with(on_hangup, CancellationToken::new())
    }

    fn with(on_hangup: Hangup, ending: CancellationToken) -> io::Result<Self> {
        let streams = Streams {
            on_hangup,
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        };
        let (sender, received) = mpsc::unbounded_channel();
        let forwarding = tokio::spawn(forward(streams, sender, ending.clone()));
        Ok(Self { received, taken: None, ending, forwarding, on_hangup })
    }

    /// Returns whether the task that receives them died.
    pub(super) fn is_dead(&self) -> bool {
        self.forwarding.is_finished()
    }

    #[cfg(test)]
    pub(super) fn kill(&self) {
        self.forwarding.abort();
    }

    /// Receives them again, after the task died.
    ///
    /// # Errors
    ///
    /// If the system does not let them be caught.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        *self = Self::with(self.on_hangup, self.ending.clone())?;
        Ok(())
    }

    pub(super) async fn next(&mut self) -> Signal {
        if let Some(signal) = self.taken.take() {
            return signal;
        }
        match self.received.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }

    /// Takes out the requests for a reload that wait. Returns whether there were any.
    pub(super) fn take_reloads(&mut self) -> bool {
        let mut any = false;
        while self.taken.is_none() {
            match self.received.try_recv() {
                Ok(Signal::Reload) => any = true,
                Ok(other) => self.taken = Some(other),
                Err(_) => break,
            }
        }
        any
    }

    /// Waits for a second request for the end.
    pub(crate) async fn end_now(&mut self) {
        while self.next().await != Signal::EndNow {}
    }

    /// Returns a token that is cancelled once the process was asked to end.
    pub(crate) fn ending(&self) -> CancellationToken {
        self.ending.clone()
    }
}

#[derive(Debug, Clone, Copy)]
enum Hangup {
    Reloads,
    Ends,
    Ignored,
}

struct Streams {
    on_hangup: Hangup,
    hangup: Stream,
    interrupt: Stream,
    terminate: Stream,
}

/// Forwards signals in a task of its own, so that the end begins even if the supervisor is busy.
async fn forward(
    mut streams: Streams,
    sender: mpsc::UnboundedSender<Signal>,
    ending: CancellationToken,
) {
    let mut first: Option<tokio::time::Instant> = None;
    loop {
        let name = tokio::select! {
            Some(()) = streams.interrupt.recv() => "SIGINT",
            Some(()) = streams.terminate.recv() => "SIGTERM",
            Some(()) = streams.hangup.recv() => match streams.on_hangup {
                Hangup::Reloads => {
                    let _ = sender.send(Signal::Reload);
                    continue;
                }
                Hangup::Ends => "SIGHUP",
                Hangup::Ignored => continue,
            },
        };
        let signal = match first {
            None => {
                first = Some(tokio::time::Instant::now());
                ending.cancel();
                force_exit_later();
                Signal::End(name)
            }
            Some(first) if first.elapsed() < SIGNAL_DEBOUNCE => continue,
            Some(_) => Signal::EndNow,
        };
        if sender.send(signal).is_err() {
            return;
        }
    }
}

/// Ends the process from a plain thread, in case everything else is stuck in something that cannot
/// be cancelled (a resolver, a file system that hangs).
fn force_exit_later() {
    let watchdog = std::thread::Builder::new().name("last-resort".to_owned());
    // Without the thread there is only the orderly end.
    let _ = watchdog.spawn(|| {
        std::thread::park_timeout(FORCED_EXIT_DELAY);
        std::process::exit(0);
    });
}
