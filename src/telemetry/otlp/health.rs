//! Saying once what changed: an export that fails each minute is one line, not a line each minute.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::error::{Kind, SendError};
use super::stats::{Items, OtlpStats};
use super::transport::Signal;

/// The time between two log lines with the same remark of a receiver, and with another one.
const SAME_REMARK: Duration = Duration::from_secs(3600);
const OTHER_REMARK: Duration = Duration::from_secs(60);

/// State of a signal as the log last reported it.
#[derive(Debug)]
pub(crate) struct Health {
    signal: Signal,
    /// The subject of the log lines.
    push: String,
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
    /// `endpoint` must be free of credentials.
    pub(crate) fn new(signal: Signal, endpoint: &str) -> Self {
        Self {
            signal,
            push: format!("OTLP {} push to {endpoint}", signal.as_str()),
            state: State::Unknown,
            failures: 0,
            told: Vec::new(),
            oversized: false,
            remark: None,
        }
    }

    /// Counts an export that ended, and logs what changed. `result` is the receiver's remark, on rejected
    /// items if there are any, or the first failure; `interval` is the time to the next export, if known.
    pub(crate) fn note(
        &mut self,
        stats: &OtlpStats,
        items: Items,
        result: Result<&str, &SendError>,
        took: Duration,
        interval: Option<Duration>,
    ) {
        stats.export(self.signal, items, result.err().map(|error| error.kind), took);
        match result {
            Ok(remark) => self.accepted(items.rejected, remark),
            Err(error) if error.kind.is_unsupported() => self.unsupported(error),
            Err(error) => self.failed(error, interval),
        }
    }

    fn accepted(&mut self, rejected: u64, message: &str) {
        let state = if rejected > 0 { State::Partial } else { State::Working };
        if self.change(state) && rejected == 0 {
            match (&self.push, self.failures) {
                (push, 0) => info!("{push} works"),
                (push, 1) => info!("{push} recovered after 1 failed export"),
                (push, failures) => info!("{push} recovered after {failures} failed exports"),
            }
        }
        if rejected > 0 || !message.is_empty() {
            self.remark(rejected, message);
        }
        self.failures = 0;
        self.told.clear();
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
        let (push, unit) = (&self.push, self.signal.unit());
        if rejected > 0 {
            warn!("{push}: the receiver rejected {rejected} {unit}: {message}");
        } else {
            warn!("{push}: the receiver accepted all {unit} and reports: {message}");
        }
    }

    /// It is no failure: the other signal goes on.
    fn unsupported(&mut self, error: &SendError) {
        if self.change(State::Unsupported) {
            warn!(
                kind = error.kind.as_str(),
                "{}: the receiver does not accept {} ({error}): {}; retrying once an hour",
                self.push,
                self.signal.as_str(),
                hint(error.kind)
            );
        }
    }

    fn failed(&mut self, error: &SendError, interval: Option<Duration>) {
        self.failures += 1;
        self.change(State::Failing);
        if self.told.contains(&error.kind) {
            return;
        }
        self.told.push(error.kind);
        let hint = match hint(error.kind) {
            "" => String::new(),
            hint => format!(": {hint}"),
        };
        let loss = interval.map(|interval| {
            let pause = interval.max(error.retry_after.unwrap_or_default()).as_secs_f64();
            let unit = self.signal.unit();
            format!("; the {unit} of this interval are dropped; next attempt in {pause}s")
        });
        let (push, loss) = (&self.push, loss.unwrap_or_default());
        warn!(kind = error.kind.as_str(), "{push} failed ({error}){hint}{loss}");
    }

    /// Takes note of metric points that are larger than a request may be and were left out.
    pub(crate) fn oversized(&mut self, points: usize, max_bytes: usize) {
        if std::mem::replace(&mut self.oversized, points > 0) || points == 0 {
            return;
        }
        warn!(
            "OTLP metrics push: dropping {points} points, each larger than maxRequestBytes \
             ({max_bytes})"
        );
    }

    fn change(&mut self, state: State) -> bool {
        std::mem::replace(&mut self.state, state) != state
    }
}

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
