//! Saying once what changed: an export that fails each minute is one line, not a line each minute.

use std::fmt::Write as _;
use std::time::Duration;

use tracing::{info, warn};

use super::error::{Kind, SendError};
use super::transport::Signal;

/// What was last said about a signal.
#[derive(Debug)]
pub struct Health {
    signal: Signal,
    endpoint: String,
    state: State,
    /// Exports that failed since the last one that did not.
    failures: u64,
    /// What they failed of and the log has said: one outage can show itself in several ways, by turns.
    told: Vec<Kind>,
    /// Whether the last export left points out.
    oversized: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Working,
    Partial,
    Failing,
}

impl Health {
    /// Nothing was said yet. `endpoint` must be free of credentials.
    pub fn new(signal: Signal, endpoint: &str) -> Self {
        Self {
            signal,
            endpoint: endpoint.to_owned(),
            state: State::Unknown,
            failures: 0,
            told: Vec::new(),
            oversized: false,
        }
    }

    /// An export was accepted; `rejected` points or spans of it were not, for the reason given.
    pub fn accepted(&mut self, rejected: u64, reason: &str) {
        let state = if rejected > 0 { State::Partial } else { State::Working };
        if self.change(state) {
            let (signal, endpoint) = (self.signal.as_str(), &self.endpoint);
            if rejected > 0 {
                let unit = unit(self.signal);
                warn!(
                    "OTLP {signal} push to {endpoint}: the receiver rejected {rejected} {unit}: {reason}"
                );
            } else if self.failures > 0 {
                let failures = self.failures;
                let exports = if failures == 1 { "export" } else { "exports" };
                info!(
                    "OTLP {signal} push to {endpoint} works again after {failures} failed {exports}"
                );
            } else {
                info!("OTLP {signal} push to {endpoint} works");
            }
        }
        self.failures = 0;
        self.told.clear();
    }

    /// An export failed; `interval` is when the next one comes, if that is known.
    pub fn failed(&mut self, error: &SendError, interval: Option<Duration>) {
        self.failures += 1;
        self.change(State::Failing);
        if self.told.contains(&error.kind) {
            return;
        }
        self.told.push(error.kind);
        let (signal, endpoint) = (self.signal.as_str(), &self.endpoint);
        let mut line = format!("OTLP {signal} push to {endpoint} fails ({error})");
        let hint = hint(error.kind);
        if !hint.is_empty() {
            // Writing to a string can't fail.
            let _ = write!(line, ": {hint}");
        }
        if let Some(interval) = interval {
            let unit = unit(self.signal);
            let _ = write!(
                line,
                "; {unit} of this interval are dropped, the next try is in {}s",
                interval.as_secs_f64()
            );
        }
        warn!(kind = error.kind.as_str(), "{line}");
    }

    /// So many points or spans are larger than a request may be and were left out.
    pub fn oversized(&mut self, points: usize, max_bytes: usize) {
        if std::mem::replace(&mut self.oversized, points > 0) || points == 0 {
            return;
        }
        let (signal, unit) = (self.signal.as_str(), unit(self.signal));
        warn!(
            "OTLP {signal} push: {points} {unit} exceed maxRequestBytes ({max_bytes}) alone and are left out"
        );
    }

    fn change(&mut self, state: State) -> bool {
        std::mem::replace(&mut self.state, state) != state
    }
}

const fn unit(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "points",
        Signal::Traces => "spans",
    }
}

/// What to look at next.
const fn hint(kind: Kind) -> &'static str {
    match kind {
        Kind::Refused => "is the Collector up, and is this its address and port?",
        Kind::Dns => "is the host name right?",
        Kind::Connection => {
            "is something between here and the Collector cutting connections, is the protocol (gRPC, HTTP) the one that this port speaks, or does the receiver want a client certificate?"
        }
        Kind::Timeout => "is the Collector overloaded or out of reach, or the timeout too short?",
        Kind::Tls => {
            "does the CA given match the receiver's certificate and host name, and does the receiver want a client certificate?"
        }
        Kind::Unavailable | Kind::ResourceExhausted | Kind::Http5xx => {
            "the receiver has trouble of its own: see its log"
        }
        Kind::InvalidArgument | Kind::Http4xx => {
            "the receiver does not take what it is sent: see its log"
        }
        Kind::Unimplemented => {
            "the receiver does not take this signal; is it the right port, or should the signal be off?"
        }
        Kind::Unauthenticated | Kind::PermissionDenied => {
            "are the headers with the credentials right?"
        }
        Kind::TooLarge => "lower maxRequestBytes to what the receiver takes",
        Kind::Http404 => "is the path right, and does the receiver take this signal?",
        Kind::HttpRedirect => "redirects are not followed; give the final address",
        Kind::Other => "",
        Kind::Collect => "this is a defect of the agent; please report it",
    }
}
