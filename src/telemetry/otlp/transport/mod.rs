//! Sends an encoded request before a deadline, over gRPC or HTTP.
//!
//! Callers encode requests, so that a retry costs no second encoding and both transports send exactly
//! the size that the split has counted. They are compressed once, too, and not by an async worker.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod grpc;
mod http;
mod signal;

use std::io::{self, Write as _};

use flate2::write::GzEncoder;
use prost::bytes::Bytes;
use secrecy::SecretString;
use tokio::time::Instant;

pub(crate) use self::signal::SendResult;
pub use self::signal::{Accepted, Signal};
use super::config::{Compression, Config, Protocol, SignalConfig};
use super::error::{BuildError, Kind, SendError};
use crate::net::address::without_credentials;
use crate::net::proxy::Proxy;
use crate::net::redact::Redactor;

/// Characters of a receiver's message that a log shows.
const MESSAGE_LIMIT: usize = 300;

/// The clients of the receiver. Cheap to share; connects when it is first used, and again (with another
/// name resolution) whenever the connection is lost.
pub struct Transport([Target; 2]);

/// Body of a request as it is sent, in the form of its transport.
#[derive(Debug, Clone)]
pub(crate) struct WireBody(Bytes);

struct Target {
    compression: Compression,
    /// Its address for people.
    display: String,
    client: Client,
    /// The proxy for people.
    proxy: Option<String>,
    redactor: Redactor,
}

enum Client {
    Grpc(Box<grpc::Client>),
    Http(http::Client),
}

impl Transport {
    /// Checks the settings and builds the clients. Does no I/O but reading the system's trust store;
    /// has to be called within a Tokio runtime.
    pub fn new(config: &Config) -> Result<Self, BuildError> {
        // One receiver may take both signals, and answer the one with the credentials of the other.
        let signals = [&config.metrics_to, &config.traces_to];
        let redactor = signals.into_iter().fold(Redactor::default(), with_secrets);
        let metrics = Target::new(&config.metrics_to, Signal::Metrics, redactor.clone())?;
        let traces = Target::new(&config.traces_to, Signal::Traces, redactor)?;
        Ok(Self([metrics, traces]))
    }

    /// Returns the address of requests with `signal`, without credentials and query.
    pub fn endpoint(&self, signal: Signal) -> &str {
        &self.0[signal as usize].display
    }

    /// Compresses an encoded request, if that is configured, on a blocking thread: a full request takes tens of
    /// milliseconds.
    pub(crate) async fn wire_body(
        &self,
        signal: Signal,
        body: Bytes,
    ) -> Result<WireBody, SendError> {
        let target = &self.0[signal as usize];
        let is_grpc = matches!(target.client, Client::Grpc(_));
        if target.compression == Compression::None {
            return Ok(WireBody(body));
        }
        let compressed = tokio::task::spawn_blocking(move || {
            let frame = if is_grpc { grpc::frame_header().to_vec() } else { Vec::new() };
            let mut encoder = GzEncoder::new(frame, flate2::Compression::fast());
            encoder.write_all(&body)?;
            let mut compressed = encoder.finish()?;
            if is_grpc {
                grpc::set_length(&mut compressed);
            }
            Ok(compressed)
        });
        let compressed = compressed.await.unwrap_or_else(|error| Err(error.into()));
        let failed = |error: io::Error| SendError::new(Kind::Other, false, &error.to_string());
        compressed.map(|body| WireBody(body.into())).map_err(failed)
    }

    /// Compresses and sends an encoded request. Ends at the deadline at the latest.
    pub async fn send(&self, signal: Signal, body: Bytes, deadline: Instant) -> SendResult {
        let body = self.wire_body(signal, body).await?;
        self.send_body(signal, body, deadline).await
    }

    /// Sends a request. Ends at the deadline at the latest.
    pub(crate) async fn send_body(
        &self,
        signal: Signal,
        body: WireBody,
        deadline: Instant,
    ) -> SendResult {
        let target = &self.0[signal as usize];
        let is_compressed = target.compression == Compression::Gzip;
        let sent = tokio::time::timeout_at(deadline, async {
            match &target.client {
                Client::Grpc(client) => client.send(signal, body.0, is_compressed).await,
                Client::Http(client) => client.send(body.0, is_compressed).await,
            }
        });
        match sent.await.unwrap_or_else(|_| Err(SendError::deadline())) {
            Ok(accepted) => Ok(Accepted { message: target.shown(&accepted.message), ..accepted }),
            Err(error) => {
                let message = match &target.proxy {
                    Some(proxy) if error.kind.concerns_the_way() => {
                        format!("through {proxy}: {}", error.message)
                    }
                    _ => error.message.clone(),
                };
                Err(SendError { message: target.shown(&message), ..error })
            }
        }
    }
}

impl Target {
    fn new(config: &SignalConfig, signal: Signal, redactor: Redactor) -> Result<Self, BuildError> {
        if let Some(ca) = &config.tls.ca {
            ca.roots()?;
        }
        let client = match config.protocol {
            Protocol::Grpc => Client::Grpc(Box::new(grpc::Client::new(config)?)),
            Protocol::HttpProtobuf => Client::Http(http::Client::new(config, signal)?),
        };
        Ok(Self {
            compression: config.compression,
            display: without_credentials(&config.endpoint),
            client,
            proxy: config.proxy.as_ref().map(Proxy::described),
            redactor,
        })
    }

    /// Returns a message as it may be shown: a receiver may repeat what it was sent, or send anything.
    fn shown(&self, message: &str) -> String {
        self.redactor.preview(message.as_bytes(), MESSAGE_LIMIT)
    }
}

/// Adds the secrets of a destination.
fn with_secrets(redactor: Redactor, config: &SignalConfig) -> Redactor {
    let mut redactor = redactor.with_address(&config.endpoint);
    for (_, value) in config.endpoint.query_pairs() {
        redactor = redactor.with_header(&SecretString::from(value.into_owned()));
    }
    if let Some(proxy) = config.proxy.as_ref().and_then(Proxy::address) {
        redactor = redactor.with_address(&proxy);
    }
    config.headers.iter().fold(redactor, |redactor, (_, value)| redactor.with_header(value))
}
