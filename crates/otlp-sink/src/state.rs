//! Memory and answers of a sink, shared by both transports.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::OnExport;
use crate::view::point_count;

/// Way in which a request is answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Remember it and say yes.
    #[default]
    Accept,
    /// The same, after a pause.
    Delay(Duration),
    /// Never answer.
    Hang,
    /// Remember it and answer as if the back end were away: the answer was lost on its way.
    LoseAnswer,
    /// Refuse with this gRPC status code; over HTTP, 503.
    GrpcStatus(i32),
    /// Refuse with this HTTP status; over gRPC, UNAVAILABLE.
    HttpStatus(u16),
    /// Remember it, and say that this many points or spans were rejected.
    PartialSuccess {
        /// Number of rejected points or spans.
        rejected: i64,
        /// Reason for the rejection.
        message: String,
    },
    /// Refuse with this gRPC status code and ask for a pause; over HTTP, 503 with `Retry-After`.
    RetryAfter {
        /// The status code.
        code: i32,
        /// The pause.
        delay: Duration,
    },
    /// Answer with this status, these headers and this body; over gRPC, UNAVAILABLE.
    HttpAnswer {
        /// The status.
        status: u16,
        /// Names and values.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// Do not take this signal: UNIMPLEMENTED, or this HTTP status.
    Without(Signal, u16),
}

/// Outcome of a request.
pub(crate) enum Answer {
    /// It is taken, with the rejected count and its message where it is a partial success.
    Accept(Option<(i64, String)>),
    /// It is taken, and the answer says that it was not.
    Lose,
    /// It is refused by a gRPC status, or by an HTTP answer.
    Refuse {
        code: i32,
        delay: Option<Duration>,
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
}

impl Behaviour {
    /// Waits as told, and says what becomes of a request with this signal.
    pub(crate) async fn answer(self, signal: Signal) -> Answer {
        const UNAVAILABLE: i32 = 14;
        let refuse = |code, status| Answer::Refuse {
            code,
            delay: None,
            status,
            headers: Vec::new(),
            body: String::new(),
        };
        match self {
            Self::Without(refused, status) if refused == signal => refuse(12, status),
            Self::Accept | Self::Without(..) => Answer::Accept(None),
            Self::Delay(pause) => {
                tokio::time::sleep(pause).await;
                Answer::Accept(None)
            }
            Self::Hang => std::future::pending().await,
            Self::GrpcStatus(code) => refuse(code, 503),
            Self::HttpStatus(status) => refuse(UNAVAILABLE, status),
            Self::PartialSuccess { rejected, message } => Answer::Accept(Some((rejected, message))),
            Self::RetryAfter { code, delay } => {
                let headers = vec![("retry-after", delay.as_secs().to_string())];
                let body = String::new();
                Answer::Refuse { code, delay: Some(delay), status: 503, headers, body }
            }
            Self::HttpAnswer { status, headers, body } => {
                Answer::Refuse { code: UNAVAILABLE, delay: None, status, headers, body }
            }
            Self::LoseAnswer => Answer::Lose,
        }
    }
}

/// Kind of data that a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Metrics.
    Metrics,
    /// Spans.
    Traces,
}

/// Protocol by which a request arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP with binary protobuf.
    Http,
}

/// The outside of one request.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// Time at which it was there as a whole.
    pub at: Instant,
    /// Kind of data that it carried.
    pub signal: Signal,
    /// Protocol by which it arrived.
    pub transport: Transport,
    /// Size of the message, decompressed.
    pub bytes: usize,
    /// Compression, if there was any.
    pub encoding: Option<String>,
    /// Headers or metadata, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Data points or spans in it.
    pub items: usize,
}

impl ReceivedRequest {
    /// The value of the header `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Accepted export of metrics, for the demo.
#[derive(Debug, Clone, Copy)]
pub struct ExportSummary {
    /// Data points in this request.
    pub points: usize,
    /// Requests with metrics accepted so far, this one included.
    pub requests: usize,
}

#[derive(Default)]
struct Inner {
    requests: VecDeque<ReceivedRequest>,
    metrics: VecDeque<ExportMetricsServiceRequest>,
    traces: VecDeque<ExportTraceServiceRequest>,
    arrived: usize,
    accepted_metrics: usize,
    behaviour: Behaviour,
    /// Number of requests to which the behaviour applies before the sink accepts again; `None` is
    /// for ever.
    remaining: Option<usize>,
}

/// The state of a sink.
pub(crate) struct State {
    pub(crate) max_message_bytes: usize,
    keep: usize,
    on_export: Option<OnExport>,
    inner: Mutex<Inner>,
}

fn push<T>(queue: &mut VecDeque<T>, item: T, keep: usize) {
    queue.push_back(item);
    while queue.len() > keep {
        queue.pop_front();
    }
}

impl State {
    pub(crate) fn new(max_message_bytes: usize, keep: usize, on_export: Option<OnExport>) -> Self {
        Self { max_message_bytes, keep, on_export, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a request arrived and says how to answer it.
    pub(crate) fn arrived(&self, request: ReceivedRequest) -> Behaviour {
        let mut inner = self.lock();
        inner.arrived += 1;
        push(&mut inner.requests, request, self.keep);
        match inner.remaining {
            None => inner.behaviour.clone(),
            Some(0) => {
                inner.behaviour = Behaviour::Accept;
                inner.remaining = None;
                Behaviour::Accept
            }
            Some(left) => {
                inner.remaining = Some(left - 1);
                inner.behaviour.clone()
            }
        }
    }

    /// Remembers accepted metrics.
    pub(crate) fn accept_metrics(&self, request: ExportMetricsServiceRequest) {
        let points = point_count(&request);
        let requests = {
            let mut inner = self.lock();
            push(&mut inner.metrics, request, self.keep);
            inner.accepted_metrics += 1;
            inner.accepted_metrics
        };
        if let Some(on_export) = &self.on_export {
            on_export(&ExportSummary { points, requests });
        }
    }

    /// Remembers accepted spans.
    pub(crate) fn accept_traces(&self, request: ExportTraceServiceRequest) {
        push(&mut self.lock().traces, request, self.keep);
    }

    pub(crate) fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        self.lock().metrics.iter().cloned().collect()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let inner = self.lock();
        let resources = inner.traces.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.iter().cloned()).collect()
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.lock().requests.iter().cloned().collect()
    }

    pub(crate) fn request_count(&self) -> usize {
        self.lock().arrived
    }

    pub(crate) fn clear(&self) {
        let mut inner = self.lock();
        inner.requests.clear();
        inner.metrics.clear();
        inner.traces.clear();
    }

    pub(crate) fn set_behaviour(&self, behaviour: Behaviour, remaining: Option<usize>) {
        let mut inner = self.lock();
        inner.behaviour = behaviour;
        inner.remaining = remaining;
    }
}
