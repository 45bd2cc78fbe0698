//! OTLP over gRPC, on its own channel: the exporter of opentelemetry-otlp has no connect
//! timeout and never leaves a stalled connection.

use std::time::Duration;

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes};
use secrecy::ExposeSecret;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use url::Url;

use super::rpc_status::retry_info;
use super::signal::{Accepted, Signal, accepted};
use crate::net::USER_AGENT;
use crate::net::address::without_credentials;
use crate::net::failure::ErrorChain;
use crate::net::proxy::Proxy;
use crate::net::tls::{TlsError, client_config, install_provider, trusted_if};
use crate::telemetry::otlp::config::{Compression, SignalConfig, Tls};
use crate::telemetry::otlp::error::{BuildError, Kind, SendError};

const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Shortest time between two pings of a connection that keeps silent.
const SHORTEST_PING: Duration = Duration::from_secs(1);

pub(super) struct Client {
    grpc: Grpc<Channel>,
    metadata: MetadataMap,
}

impl Client {
    pub(super) fn new(config: &SignalConfig, endpoint: &Url) -> Result<Self, BuildError> {
        let channel = channel(config, endpoint)?;
        let mut grpc = Grpc::new(channel);
        if config.compression == Compression::Gzip {
            grpc = grpc.send_compressed(CompressionEncoding::Gzip);
        }
        let grpc = grpc.accept_compressed(CompressionEncoding::Gzip);
        Ok(Self { grpc, metadata: metadata(config)? })
    }

    pub(super) async fn send(&self, signal: Signal, body: Bytes) -> Result<Accepted, SendError> {
        let path = PathAndQuery::from_static(match signal {
            Signal::Metrics => METRICS,
            Signal::Traces => TRACES,
        });
        let mut grpc = self.grpc.clone();
        grpc.ready().await.map_err(|error| SendError::connection(&error, Kind::Connection))?;
        let mut request = Request::new(body);
        *request.metadata_mut() = self.metadata.clone();
        let response = grpc.unary(request, path, Raw).await.map_err(|status| refused(&status))?;
        // What can't be read is no reason to send the points again.
        let response = ExportMetricsServiceResponse::decode(response.into_inner());
        Ok(response.map(|response| accepted(&response)).unwrap_or_default())
    }
}

fn channel(config: &SignalConfig, endpoint: &Url) -> Result<Channel, BuildError> {
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
        .connect_timeout((config.timeout / 2).min(CONNECT))
        .tcp_nodelay(true)
        // A connection that stalled is found during the export that meets it, early enough for a
        // second try. Not while idle and not more than twice an export: grpc-go, thus the Collector,
        // closes connections for the third ping without data, and for any when nothing is in flight.
        .http2_keep_alive_interval((config.timeout / 3).max(SHORTEST_PING))
        .keep_alive_timeout(config.timeout / 4)
        .keep_alive_while_idle(false);
    let builder = if endpoint.scheme() == "https" {
        install_provider();
        let tls = tls_config(&config.tls).map_err(|error| BuildError::Tls(error.to_string()))?;
        builder
            .tls_config(tls)
            .map_err(|error| BuildError::Tls(ErrorChain::new(&error).root_cause()))?
    } else {
        builder
    };
    Ok(match &config.proxy {
        Some(proxy) => builder.connect_with_connector_lazy(tunnel(proxy, &config.tls)?),
        None => builder.connect_lazy(),
    })
}

/// Connects by way of a proxy. It makes a tunnel whatever the scheme: gRPC is nothing that a proxy
/// forwards itself.
fn tunnel(proxy: &Proxy, tls: &Tls) -> Result<Tunnel<HttpsConnector<HttpConnector>>, BuildError> {
    let invalid = |reason: String| BuildError::Endpoint { endpoint: proxy.described(), reason };
    let needed = proxy.speaks_tls() || tls.ca.is_some();
    let mut tls = trusted_if(needed, tls.ca.as_ref(), tls.roots.as_ref())
        .and_then(|roots| client_config(roots, None))
        .map_err(|error| BuildError::Tls(error.to_string()))?;
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
    let mut metadata = MetadataMap::new();
    for (name, value) in &config.headers {
        let invalid = || BuildError::Header(name.clone());
        let key: AsciiMetadataKey = name.to_ascii_lowercase().parse().map_err(|_| invalid())?;
        let mut value: AsciiMetadataValue = value.expose_secret().parse().map_err(|_| invalid())?;
        // Kept out of Debug and of HPACK's table.
        value.set_sensitive(true);
        metadata.append(key, value);
    }
    Ok(metadata)
}

/// Classifies a status: <https://opentelemetry.io/docs/specs/otlp/#failures>.
fn refused(status: &Status) -> SendError {
    // A status that tonic made of a failed connection carries the cause; one of the receiver doesn't.
    if let Some(source) = std::error::Error::source(status) {
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
    use super::*;
    use crate::telemetry::otlp::transport::rpc_status::{Any, RetryDelay, RetryInfo, RpcStatus};

    #[test]
    fn exhausted_is_retried_only_where_the_receiver_says_when() {
        let delay = RetryDelay { seconds: 2, nanos: 500_000_000 };
        let info = RetryInfo { retry_delay: Some(delay) };
        let any = Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: info.encode_to_vec(),
        };
        let details = RpcStatus { message: String::new(), details: vec![any] }.encode_to_vec();
        let told = refused(&Status::with_details(Code::ResourceExhausted, "", details.into()));
        assert_eq!((told.kind, told.retryable), (Kind::ResourceExhausted, true));
        assert_eq!(told.retry_after, Some(Duration::from_millis(2500)));
        let untold = refused(&Status::new(Code::ResourceExhausted, "quota"));
        assert!(!untold.retryable);
    }

    #[test]
    fn a_message_that_is_too_large_is_not_sent_again() {
        let collector = "grpc: received message larger than max (5 vs. 4)";
        let tonic = "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes";
        for (code, message) in [(Code::ResourceExhausted, collector), (Code::OutOfRange, tonic)] {
            let error = refused(&Status::new(code, message));
            assert_eq!((error.kind, error.retryable), (Kind::TooLarge, false));
        }
        assert!(refused(&Status::new(Code::OutOfRange, "queue")).retryable);
    }
}
