//! Gate that decides when a signal may be sent: not before the time until which the receiver asked
//! to wait, and once an hour where the receiver does not take the signal at all.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::SendError;

/// The longest wait that is granted: a receiver that asks for more is asked again after it.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The time after which a receiver is asked again whether it takes a signal.
const ASK_AGAIN: Duration = Duration::from_secs(3600);

/// Refusals in a row after which a receiver that took the signal before counts as one that does not: a
/// proxy in front of it may answer 404 while it is started anew.
const REFUSALS: u32 = 5;

/// The gate of one signal. It belongs to the process: a reload does not open it.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Endpoint of the requests; another endpoint resets the state.
    endpoint: String,
    closed: Option<Closed>,
    /// True once the receiver took a request, false once it answered that it does not take the signal.
    supported: Option<bool>,
    /// Number of answers in a row that the receiver does not take the signal.
    refusals: u32,
}

/// The end of a wait, and the answer that asked for it.
#[derive(Debug, Clone)]
pub(crate) struct Closed {
    pub(crate) until: Instant,
    pub(crate) error: SendError,
}

impl Gate {
    /// Returns until when nothing may be sent to this endpoint, if it is closed.
    pub(crate) fn closed(&self, endpoint: &str) -> Option<Closed> {
        let state = self.state();
        if state.endpoint != endpoint {
            return None;
        }
        state.closed.clone().filter(|closed| closed.until > Instant::now())
    }

    /// Returns whether the receiver takes the signal, once it is known.
    pub(crate) fn supported(&self) -> Option<bool> {
        self.state().supported
    }

    /// Asks anew whether the receiver takes the signal: its settings, or ours, may have changed.
    pub(crate) fn ask_anew(&self) {
        let mut state = self.state();
        state.refusals = 0;
        if state.closed.as_ref().is_some_and(|closed| closed.error.kind.is_unsupported()) {
            state.closed = None;
        }
        if state.supported == Some(false) {
            state.supported = None;
        }
    }

    pub(crate) fn note(&self, endpoint: &str, error: Option<&SendError>) {
        let mut state = self.state();
        if state.endpoint != endpoint {
            *state = State { endpoint: endpoint.to_owned(), ..State::default() };
        }
        match error {
            None => {
                let closed = state.closed.take();
                // Of several requests on their way, one may be asked to wait and another be taken.
                state.closed = closed.filter(|closed| !closed.error.kind.is_unsupported());
                state.supported = Some(true);
                state.refusals = 0;
            }
            Some(error) if error.kind.is_unsupported() => {
                state.refusals += 1;
                if state.supported != Some(true) || state.refusals >= REFUSALS {
                    state.supported = Some(false);
                    state.close(ASK_AGAIN, error);
                }
            }
            Some(error) => {
                if let Some(wait) = error.retry_after.filter(|_| error.retryable) {
                    state.close(wait.min(LONGEST_WAIT), error);
                }
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self, wait: Duration, error: &SendError) {
        let until = Instant::now() + wait;
        if self.closed.as_ref().is_none_or(|closed| closed.until < until) {
            self.closed = Some(Closed { until, error: error.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::Kind;
    use super::*;

    fn asks_to_wait(seconds: u64) -> SendError {
        let retry_after = Some(Duration::from_secs(seconds));
        SendError { retry_after, ..SendError::new(Kind::Unavailable, true, "busy") }
    }

    fn unsupported() -> SendError {
        SendError::new(Kind::Unimplemented, false, "no such service")
    }

    #[tokio::test(start_paused = true)]
    async fn gate_closes_as_long_as_asked_at_most_a_day() {
        for (asked, waited) in [(90, 90), (u64::MAX, 86_400)] {
            let gate = Gate::default();
            gate.note("a", Some(&asks_to_wait(asked)));
            gate.note("a", Some(&asks_to_wait(1)));
            gate.ask_anew();
            assert!(gate.closed("b").is_none(), "another receiver did not ask");
            tokio::time::advance(Duration::from_secs(waited - 1)).await;
            assert!(gate.closed("a").is_some(), "{asked}");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(gate.closed("a").is_none(), "{asked}");
        }
    }

    #[test]
    fn wait_without_a_retry_closes_nothing() {
        let gate = Gate::default();
        gate.note("a", Some(&SendError { retryable: false, ..asks_to_wait(90) }));
        assert!(gate.closed("a").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn unsupported_signal_is_asked_for_hourly_and_after_a_reload() {
        let gate = Gate::default();
        assert_eq!(gate.supported(), None);
        gate.note("a", Some(&unsupported()));
        assert_eq!(gate.supported(), Some(false));
        tokio::time::advance(Duration::from_secs(3599)).await;
        assert!(gate.closed("a").is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(gate.closed("a").is_none());
        gate.note("a", Some(&unsupported()));
        gate.ask_anew();
        assert!(gate.closed("a").is_none());
        gate.note("a", None);
        assert_eq!(gate.supported(), Some(true));
    }

    #[test]
    fn accepted_signal_is_disabled_after_several_refusals() {
        let gate = Gate::default();
        gate.note("a", None);
        for _ in 1..REFUSALS {
            gate.note("a", Some(&unsupported()));
            assert_eq!((gate.closed("a").is_some(), gate.supported()), (false, Some(true)));
        }
        gate.note("a", Some(&unsupported()));
        assert_eq!((gate.closed("a").is_some(), gate.supported()), (true, Some(false)));
    }
}
