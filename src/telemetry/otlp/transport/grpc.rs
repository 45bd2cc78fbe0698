//! OTLP over gRPC, on its own channel: the exporter of opentelemetry-otlp has no connect
//! timeout and never leaves a stalled connection.

use std::error::Error as _;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use prost::Message as _;
use prost::bytes::{Buf, BufMut, Bytes};
use secrecy::ExposeSecret;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Service, http};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_types::pb::RetryInfo;

use super::http::{CONNECT_TIMEOUT, headers};
use super::signal::{Accepted, SendResult, Signal};
use crate::net::USER_AGENT;
use crate::net::address::without_credentials;
use crate::net::failure::ErrorChain;
use crate::net::proxy::Proxy;
use crate::net::tls::{TlsError, client_config, install_provider, trusted_if};
use crate::telemetry::otlp::config::{SignalConfig, Tls};
use crate::telemetry::otlp::error::{BuildError, Kind, SendError};

const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Shortest time between two pings of a connection that keeps silent.
const SHORTEST_PING: Duration = Duration::from_secs(1);

pub(super) struct Client {
    grpc: Grpc<FramedChannel>,
    metadata: MetadataMap,
}

/// Length of the head of a gRPC message: a flag, and the length of what follows.
const FRAME_HEADER: usize = 5;

/// Returns the head of a compressed message, without its length.
pub(super) fn frame_header() -> [u8; FRAME_HEADER] {
    [1, 0, 0, 0, 0]
}

/// Sets the length of a message behind its head. A request is a few MiB.
pub(super) fn set_length(message: &mut [u8]) {
    let length = u32::try_from(message.len() - FRAME_HEADER).unwrap_or(u32::MAX);
    message[1..FRAME_HEADER].copy_from_slice(&length.to_be_bytes());
}

/// Compressed message with its head, which replaces the body that tonic makes: tonic would compress anew at
/// each try, and on an async worker.
#[derive(Clone)]
struct Framed(Bytes);

#[derive(Clone)]
struct FramedChannel(Channel);

impl Service<http::Request<Body>> for FramedChannel {
    type Response = <Channel as Service<http::Request<Body>>>::Response;
    type Error = <Channel as Service<http::Request<Body>>>::Error;
    type Future = <Channel as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if let Some(Framed(message)) = request.extensions_mut().remove() {
            let gzip = http::HeaderValue::from_static("gzip");
            request.headers_mut().insert("grpc-encoding", gzip);
            *request.body_mut() = Body::new(axum::body::Body::from(message));
        }
        self.0.call(request)
    }
}

impl Client {
    pub(super) fn new(config: &SignalConfig) -> Result<Self, BuildError> {
        let grpc = Grpc::new(FramedChannel(channel(config)?));
        let grpc = grpc.accept_compressed(CompressionEncoding::Gzip);
        Ok(Self { grpc, metadata: metadata(config)? })
    }

    pub(super) async fn send(
        &self,
        signal: Signal,
        body: Bytes,
        is_compressed: bool,
    ) -> SendResult {
        let path = PathAndQuery::from_static(match signal {
            Signal::Metrics => METRICS,
            Signal::Traces => TRACES,
        });
        let mut grpc = self.grpc.clone();
        grpc.ready().await.map_err(|error| SendError::connection(&error, Kind::Connection))?;
        let mut request = if is_compressed {
            let mut request = Request::new(Bytes::new());
            request.extensions_mut().insert(Framed(body));
            request
        } else {
            Request::new(body)
        };
        *request.metadata_mut() = self.metadata.clone();
        let response = grpc.unary(request, path, Raw).await.map_err(|status| refused(&status))?;
        Ok(Accepted::decode(response.into_inner()))
    }
}

fn channel(config: &SignalConfig) -> Result<Channel, BuildError> {
    let endpoint = &config.endpoint;
    let invalid =
        |reason: String| BuildError::Endpoint { endpoint: without_credentials(endpoint), reason };
    if !endpoint.username().is_empty() || endpoint.password().is_some() {
        return Err(invalid(
            "gRPC does not support credentials in the address; set a header".to_owned(),
        ));
    }
    let builder = Endpoint::from_shared(without_credentials(endpoint))
        .map_err(|error| invalid(ErrorChain::new(&error).root_cause()))?
        .user_agent(USER_AGENT)
        .map_err(|error| invalid(ErrorChain::new(&error).root_cause()))?
        .connect_timeout((config.timeout / 2).min(CONNECT_TIMEOUT))
        .tcp_nodelay(true)
        // A connection that stalled is found during the export that meets it, early enough for a
        // second try. Not while idle and not more than twice an export: grpc-go, thus the Collector,
        // closes connections for the third ping without data, and for any when nothing is in flight.
        .http2_keep_alive_interval((config.timeout / 3).max(SHORTEST_PING))
        .keep_alive_timeout(config.timeout / 4)
        .keep_alive_while_idle(false);
    let builder = if endpoint.scheme() == "https" {
        install_provider();
        builder
            .tls_config(tls_config(&config.tls)?)
            .map_err(|error| BuildError::Tls(ErrorChain::new(&error).root_cause()))?
    } else {
        builder
    };
    Ok(match &config.proxy {
        Some(proxy) => builder.connect_with_connector_lazy(tunnel(proxy, &config.tls)?),
        None => builder.connect_lazy(),
    })
}

/// Makes a tunnel through a proxy, whatever the scheme: gRPC is nothing that a proxy forwards itself.
fn tunnel(proxy: &Proxy, tls: &Tls) -> Result<Tunnel<HttpsConnector<HttpConnector>>, BuildError> {
    let invalid = |reason: String| BuildError::Endpoint { endpoint: proxy.described(), reason };
    let needed = proxy.speaks_tls() || tls.ca.is_some();
    let roots = trusted_if(needed, tls.ca.as_ref(), tls.roots.as_ref())?;
    let mut tls = client_config(roots, None)?;
    // CONNECT of HTTP/1.1 is all that is spoken there.
    tls.alpn_protocols.clear();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let mut address = proxy.address().ok_or_else(|| invalid("not an address".to_owned()))?;
    // It has user and password in a header.
    let bare = address.set_username("").is_ok() && address.set_password(None).is_ok();
    let address = address.as_str().parse().map_err(|_| invalid("not an address".to_owned()))?;
    let tunnel = Tunnel::new(address, HttpsConnector::from((tcp, tls)));
    Ok(match proxy.authorization().filter(|_| bare) {
        Some(authorization) => tunnel.with_auth(authorization),
        None => tunnel,
    })
}

fn tls_config(tls: &Tls) -> Result<ClientTlsConfig, TlsError> {
    let roots = trusted_if(true, tls.ca.as_ref(), tls.roots.as_ref())?;
    let config = ClientTlsConfig::new().trust_anchors(roots.roots.iter().cloned());
    let Some(identity) = &tls.identity else { return Ok(config) };
    identity.certified()?;
    let key = identity.key.expose_secret();
    Ok(config.identity(Identity::from_pem(&identity.certificate.pem, key)))
}

fn metadata(config: &SignalConfig) -> Result<MetadataMap, BuildError> {
    // gRPC reserves these names for binary values.
    let is_binary = |name: &str| name.to_ascii_lowercase().ends_with("-bin");
    match config.headers.iter().find(|(name, _)| is_binary(name)) {
        Some((name, _)) => Err(BuildError::Header(name.clone())),
        None => headers(config).map(MetadataMap::from_headers),
    }
}

/// Classifies a status: <https://opentelemetry.io/docs/specs/otlp/#failures>.
pub(super) fn refused(status: &Status) -> SendError {
    // A status that tonic made of a failed connection carries the cause; one of the receiver doesn't.
    if let Some(source) = status.source() {
        return SendError::connection(source, Kind::Connection);
    }
    let retry_after = retry_info(status.details());
    let (kind, retryable) = classify(status, retry_after.is_some());
    let message = format!("gRPC status {:?}: {}", status.code(), status.message());
    SendError { retry_after, ..SendError::new(kind, retryable, &message) }
}

fn classify(status: &Status, has_retry_info: bool) -> (Kind, bool) {
    match status.code() {
        // grpc-go and tonic say so with different codes, both with words like these.
        Code::ResourceExhausted | Code::OutOfRange
            if status.message().contains("larger than max")
                || status.message().contains("message length too large") =>
        {
            (Kind::TooLarge, false)
        }
        Code::Unavailable => (Kind::Unavailable, true),
        Code::DeadlineExceeded => (Kind::Timeout, true),
        Code::ResourceExhausted => (Kind::ResourceExhausted, has_retry_info),
        Code::Aborted | Code::OutOfRange | Code::Cancelled | Code::DataLoss => (Kind::Other, true),
        Code::InvalidArgument => (Kind::InvalidArgument, false),
        Code::Unimplemented => (Kind::Unimplemented, false),
        Code::Unauthenticated => (Kind::Unauthenticated, false),
        Code::PermissionDenied => (Kind::PermissionDenied, false),
        _ => (Kind::Other, false),
    }
}

/// Returns the wait that the receiver asks for.
fn retry_info(details: &[u8]) -> Option<Duration> {
    let status = tonic_types::Status::decode(details).ok()?;
    let any = status.details.iter().find(|any| any.type_url.ends_with("google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&any.value[..]).ok()?.retry_delay.unwrap_or_default();
    Some(delay.try_into().unwrap_or_default())
}

/// Bytes in, bytes out: requests are encoded once, whatever becomes of them.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    #[test]
    fn exhausted_is_retried_only_where_the_receiver_says_when() {
        let wait = ErrorDetails::with_retry_info(Some(Duration::from_millis(2500)));
        let told = refused(&Status::with_error_details(Code::ResourceExhausted, "", wait));
        assert_eq!((told.kind, told.retryable), (Kind::ResourceExhausted, true));
        assert_eq!(told.retry_after, Some(Duration::from_millis(2500)));
        let untold = refused(&Status::new(Code::ResourceExhausted, "quota"));
        assert!(!untold.retryable);
    }

    #[test]
    fn oversized_message_is_not_retried() {
        let collector = "grpc: received message larger than max (5 vs. 4)";
        let tonic = "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes";
        for (code, message) in [(Code::ResourceExhausted, collector), (Code::OutOfRange, tonic)] {
            let error = refused(&Status::new(code, message));
            assert_eq!((error.kind, error.retryable), (Kind::TooLarge, false));
        }
        assert!(refused(&Status::new(Code::OutOfRange, "queue")).retryable);
    }
}
