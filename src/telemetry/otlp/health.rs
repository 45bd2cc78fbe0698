//! Saying once what changed: an export that fails each minute is one line, not a line each minute.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::error::{Kind, SendError};
use super::transport::Signal;

/// The time between two log lines with the same remark of a receiver, and with another one.
const SAME_REMARK: Duration = Duration::from_secs(3600);
const OTHER_REMARK: Duration = Duration::from_secs(60);

/// State of a signal as the log last reported it.
#[derive(Debug)]
pub struct Health {
    signal: Signal,
    endpoint: String,
    state: State,
    /// Exports that failed since the last one that did not.
    failures: u64,
    /// Kinds of these failures that the log has reported: one outage can show several by turns.
    told: Vec<Kind>,
    /// True if the last export left points out.
    oversized: bool,
    /// Time at which the receiver's last remark was logged, and the remark.
    remark: Option<(Instant, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Working,
    Partial,
    Failing,
    Unsupported,
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
            remark: None,
        }
    }

    /// Takes note of an export that was accepted; `rejected` points or spans of it were not. The message
    /// says why, or is a remark of the receiver on what it took.
    pub fn accepted(&mut self, rejected: u64, message: &str) {
        let state = if rejected > 0 { State::Partial } else { State::Working };
        if self.change(state) && rejected == 0 {
            self.works();
        }
        if rejected > 0 || !message.is_empty() {
            self.remark(rejected, message);
        }
        self.failures = 0;
        self.told.clear();
    }

    fn works(&self) {
        let (signal, endpoint) = (self.signal.as_str(), &self.endpoint);
        if self.failures == 0 {
            info!("OTLP {signal} push to {endpoint} works");
            return;
        }
        let failures = self.failures;
        let exports = if failures == 1 { "export" } else { "exports" };
        info!("OTLP {signal} push to {endpoint} recovered after {failures} failed {exports}");
    }

    /// Logs what the receiver says: the same at most once an hour, anything else once a minute.
    fn remark(&mut self, rejected: u64, message: &str) {
        let now = Instant::now();
        if let Some((last, said)) = &self.remark {
            let pause = if said == message { SAME_REMARK } else { OTHER_REMARK };
            if now.saturating_duration_since(*last) < pause {
                return;
            }
        }
        self.remark = Some((now, message.to_owned()));
        let (signal, endpoint, unit) = (self.signal.as_str(), &self.endpoint, unit(self.signal));
        if rejected > 0 {
            warn!(
                "OTLP {signal} push to {endpoint}: the receiver rejected {rejected} {unit}: {message}"
            );
        } else {
            warn!(
                "OTLP {signal} push to {endpoint}: the receiver accepted all {unit} and reports: \
                 {message}"
            );
        }
    }

    /// Takes note that the receiver does not take this signal. It is no failure: the other signal goes on.
    pub fn unsupported(&mut self, error: &SendError) {
        if self.change(State::Unsupported) {
            let (signal, endpoint) = (self.signal.as_str(), &self.endpoint);
            warn!(
                kind = error.kind.as_str(),
                "OTLP {signal} push to {endpoint}: the receiver does not accept {signal} \
                 ({error}): {}; retrying once an hour",
                hint(error.kind)
            );
        }
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
        let mut line = format!("OTLP {signal} push to {endpoint} failed ({error})");
        let hint = hint(error.kind);
        if !hint.is_empty() {
            // Writing to a string can't fail.
            let _ = write!(line, ": {hint}");
        }
        if let Some(interval) = interval {
            let interval = interval.max(error.retry_after.unwrap_or_default());
            let unit = unit(self.signal);
            let _ = write!(
                line,
                "; the {unit} of this interval are dropped; next attempt in {}s",
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
            "OTLP {signal} push: dropping {points} {unit}, each larger than maxRequestBytes \
             ({max_bytes})"
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

/// Returns the advice on what to check next.
const fn hint(kind: Kind) -> &'static str {
    match kind {
        Kind::Refused => "check that the Collector is running, and its address and port",
        Kind::Dns => "check the host name",
        Kind::Connection => {
            "check for a device that cuts connections, that the port expects the configured \
             protocol (gRPC or HTTP), and whether the receiver requires a client certificate"
        }
        Kind::Timeout => {
            "check whether the Collector is overloaded or unreachable, or increase the timeout"
        }
        Kind::Tls => {
            "check that the configured CA matches the certificate and the host name (of the \
             receiver, or of the configured proxy), and whether the receiver requires a client \
             certificate"
        }
        Kind::Unavailable | Kind::ResourceExhausted | Kind::Http5xx => {
            "the receiver reports a problem of its own: check its log"
        }
        Kind::InvalidArgument | Kind::Http4xx => "the receiver rejects the data: check its log",
        Kind::Unimplemented => "check the port, or leave the signal out of opentelemetry.signals",
        Kind::Unauthenticated | Kind::PermissionDenied => "check the headers with the credentials",
        Kind::TooLarge => "lower maxRequestBytes to the limit of the receiver",
        Kind::Http404 => "check the path, or leave the signal out of opentelemetry.signals",
        Kind::HttpRedirect => "redirects are not followed; configure the final address",
        Kind::NotOtlp => {
            "check the address and path of the receiver; a login page or a proxy may have responded"
        }
        Kind::Other => "",
        Kind::Collect => "this is a bug in the agent; please report it",
    }
}
