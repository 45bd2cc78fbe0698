//! OTLP over gRPC.

use std::sync::Arc;
use std::time::Instant;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};

use crate::Tls;
use crate::state::{Answer, ReceivedRequest, Signal, State, Transport};
use crate::view::point_count;

#[derive(Clone)]
struct Service(Arc<State>);

/// Serves until it fails or is dropped.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    state: Arc<State>,
) -> Result<(), tonic::transport::Error> {
    let limit = state.max_message_bytes;
    let mut server = Server::builder();
    if let Some(tls) = tls {
        let identity = Identity::from_pem(tls.certificate, tls.key);
        let mut config = ServerTlsConfig::new().identity(identity);
        if let Some(ca) = tls.client_ca {
            config = config.client_ca_root(Certificate::from_pem(ca));
        }
        server = server.tls_config(config)?;
    }
    server
        .add_service(
            MetricsServiceServer::new(Service(Arc::clone(&state)))
                .max_decoding_message_size(limit)
                .accept_compressed(CompressionEncoding::Gzip),
        )
        .add_service(
            TraceServiceServer::new(Service(state))
                .max_decoding_message_size(limit)
                .accept_compressed(CompressionEncoding::Gzip),
        )
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
}

/// google.rpc.Status with a google.rpc.RetryInfo in its details.
#[derive(Clone, PartialEq, prost::Message)]
struct RichStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(message, optional, tag = "2")]
    value: Option<RetryInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

fn refuse(code: i32, delay: Option<std::time::Duration>) -> Status {
    let Some(delay) = delay else { return Status::new(Code::from_i32(code), "as told") };
    let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
    let nanos = i32::try_from(delay.subsec_nanos()).unwrap_or(0);
    let value = Some(RetryInfo { retry_delay: Some(Delay { seconds, nanos }) });
    let type_url = "type.googleapis.com/google.rpc.RetryInfo".to_owned();
    let details = RichStatus { code, details: vec![Detail { type_url, value }] };
    Status::with_details(Code::from_i32(code), "as told", details.encode_to_vec().into())
}

fn received(signal: Signal, metadata: &MetadataMap, bytes: usize, items: usize) -> ReceivedRequest {
    let headers: Vec<(String, String)> = metadata
        .iter()
        .map(|entry| match entry {
            KeyAndValueRef::Ascii(key, value) => {
                (key.to_string(), String::from_utf8_lossy(value.as_encoded_bytes()).into_owned())
            }
            KeyAndValueRef::Binary(key, value) => (key.to_string(), format!("{value:?}")),
        })
        .collect();
    let encoding = headers
        .iter()
        .find(|(key, value)| key == "grpc-encoding" && value != "identity")
        .map(|(_, value)| value.clone());
    let (at, transport) = (Instant::now(), Transport::Grpc);
    ReceivedRequest { at, signal, transport, bytes, encoding, headers, items }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let (bytes, items) = (message.encoded_len(), point_count(&message));
        let received = received(Signal::Metrics, &metadata, bytes, items);
        let partial = match self.0.arrived(received).answer(Signal::Metrics).await {
            Answer::Refuse { code, delay, .. } => return Err(refuse(code, delay)),
            Answer::Lose => {
                self.0.accept_metrics(message);
                return Err(refuse(14, None));
            }
            Answer::Accept(partial) => partial,
        };
        self.0.accept_metrics(message);
        Ok(Response::new(ExportMetricsServiceResponse {
            partial_success: partial.map(|(rejected_data_points, error_message)| {
                ExportMetricsPartialSuccess { rejected_data_points, error_message }
            }),
        }))
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let (bytes, items) = (message.encoded_len(), span_count(&message));
        let received = received(Signal::Traces, &metadata, bytes, items);
        let partial = match self.0.arrived(received).answer(Signal::Traces).await {
            Answer::Refuse { code, delay, .. } => return Err(refuse(code, delay)),
            Answer::Lose => {
                self.0.accept_traces(message);
                return Err(refuse(14, None));
            }
            Answer::Accept(partial) => partial,
        };
        self.0.accept_traces(message);
        Ok(Response::new(ExportTraceServiceResponse {
            partial_success: partial.map(|(rejected_spans, error_message)| {
                ExportTracePartialSuccess { rejected_spans, error_message }
            }),
        }))
    }
}

/// Returns the number of spans in a request.
pub(crate) fn span_count(request: &ExportTraceServiceRequest) -> usize {
    let resources = request.resource_spans.iter();
    resources.flat_map(|resource| &resource.scope_spans).map(|scope| scope.spans.len()).sum()
}
