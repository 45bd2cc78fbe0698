//! OTLP over HTTP with binary protobuf.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State as Shared;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::Listener;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::grpc::span_count;
use crate::state::{Answer, ReceivedRequest, Signal, State, Transport};
use crate::view::point_count;

/// Longer handshakes are given up, so that a silent client can't hold up the others for long.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// Serves until it fails or is dropped.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    state: Arc<State>,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/v1/metrics", post(metrics))
        .route("/v1/traces", post(traces))
        .with_state(state);
    match tls {
        Some(acceptor) => axum::serve(TlsListener { listener, acceptor }, router).await,
        None => axum::serve(listener, router).await,
    }
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            let handshake = tokio::time::timeout(HANDSHAKE, self.acceptor.accept(stream));
            if let Ok(Ok(stream)) = handshake.await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

async fn metrics(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Body) -> Response {
    let message = match read::<ExportMetricsServiceRequest>(&state, &headers, body).await {
        Ok(message) => message,
        Err(status) => return status.into_response(),
    };
    let received =
        received(Signal::Metrics, &headers, message.encoded_len(), point_count(&message));
    match state.arrived(received).answer(Signal::Metrics).await {
        Answer::Refuse { status, headers, body, .. } => refuse(status, headers, body),
        Answer::Lose => {
            state.accept_metrics(message);
            refuse(503, Vec::new(), String::new())
        }
        Answer::Accept(partial) => {
            state.accept_metrics(message);
            protobuf(&ExportMetricsServiceResponse {
                partial_success: partial.map(|(rejected_data_points, error_message)| {
                    ExportMetricsPartialSuccess { rejected_data_points, error_message }
                }),
            })
        }
    }
}

async fn traces(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Body) -> Response {
    let message = match read::<ExportTraceServiceRequest>(&state, &headers, body).await {
        Ok(message) => message,
        Err(status) => return status.into_response(),
    };
    let received = received(Signal::Traces, &headers, message.encoded_len(), span_count(&message));
    match state.arrived(received).answer(Signal::Traces).await {
        Answer::Refuse { status, headers, body, .. } => refuse(status, headers, body),
        Answer::Lose => {
            state.accept_traces(message);
            refuse(503, Vec::new(), String::new())
        }
        Answer::Accept(partial) => {
            state.accept_traces(message);
            protobuf(&ExportTraceServiceResponse {
                partial_success: partial.map(|(rejected_spans, error_message)| {
                    ExportTracePartialSuccess { rejected_spans, error_message }
                }),
            })
        }
    }
}

fn refuse(status: u16, headers: Vec<(&'static str, String)>, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = status.into_response();
    *response.body_mut() = Body::from(body);
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The message of a request; like a Collector, it limits the decompressed size.
async fn read<M: Message + Default>(
    state: &State,
    headers: &HeaderMap,
    body: Body,
) -> Result<M, StatusCode> {
    let limit = state.max_message_bytes;
    let body = to_bytes(body, limit).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    if encoding(headers).is_none() {
        return M::decode(body).map_err(|_| StatusCode::BAD_REQUEST);
    }
    let mut plain = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(&body[..]).take(limit as u64 + 1);
    decoder.read_to_end(&mut plain).map_err(|_| StatusCode::BAD_REQUEST)?;
    if plain.len() > limit {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    M::decode(&plain[..]).map_err(|_| StatusCode::BAD_REQUEST)
}

fn encoding(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_ENCODING)?.to_str().ok()?;
    (value != "identity").then(|| value.to_owned())
}

fn received(signal: Signal, headers: &HeaderMap, bytes: usize, items: usize) -> ReceivedRequest {
    let encoding = encoding(headers);
    let headers = headers
        .iter()
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let (at, transport) = (Instant::now(), Transport::Http);
    ReceivedRequest { at, signal, transport, bytes, encoding, headers, items }
}

fn protobuf(message: &impl Message) -> Response {
    ([(CONTENT_TYPE, "application/x-protobuf")], message.encode_to_vec()).into_response()
}
