//! Unix signals, caught from the first moment on: one that comes during the start is not lost.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// Signals within this time are one request.
const ONE_REQUEST: Duration = Duration::from_millis(500);

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP.
    Reload,
    /// SIGTERM or SIGINT, by name.
    End(&'static str),
}

/// The signals of this process.
#[derive(Debug)]
pub struct Signals {
    hangup: Stream,
    interrupt: Stream,
    terminate: Stream,
}

impl Signals {
    /// Catches the signals from now on. Needs a runtime.
    ///
    /// # Errors
    ///
    /// Where the system does not let them be caught.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Signal::End("SIGINT"),
            Some(()) = self.terminate.recv() => Signal::End("SIGTERM"),
            Some(()) = self.hangup.recv() => Signal::Reload,
        }
    }

    /// The next one that asks for the end, after a pause: what sends the first one to the process
    /// and to its group (`timeout`, some shells) means it once.
    pub async fn end_again(&mut self) {
        let pause = tokio::time::sleep(ONE_REQUEST);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                biased;
                () = &mut pause => break,
                _ = self.next() => {}
            }
        }
        while self.next().await == Signal::Reload {}
    }
}
