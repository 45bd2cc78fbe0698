//! Configuration of the OTLP push: its destinations, transport and content.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::net::proxy::Proxy;
use crate::net::roots::SystemRoots;
use crate::net::tls::{Identity, PemFile};

#[derive(Debug, Clone)]
pub struct Config {
    /// Destination and transport of metrics.
    pub metrics_to: SignalConfig,
    pub traces_to: SignalConfig,
    /// Metrics are pushed.
    pub metrics: bool,
    /// Traces of polls and API requests are pushed.
    pub traces: bool,
    /// Share of polls that are traced, 0.0 to 1.0.
    pub sampling_rate: f64,
    /// Time between two exports of metrics.
    pub interval: Duration,
    pub temporality: Temporality,
    /// Added to the resource, in the order of the file.
    pub resource_attributes: Vec<(String, String)>,
    /// Upper limit of one request before compression, bytes.
    pub max_request_bytes: usize,
}

/// Settings that one signal can have apart from the other.
#[derive(Debug, Clone)]
pub struct SignalConfig {
    /// Base address with a scheme. HTTP: `/v1/metrics` and `/v1/traces` are appended if the path
    /// is empty; otherwise the endpoint is used as it is.
    pub endpoint: url::Url,
    pub protocol: Protocol,
    /// Hard deadline of one export, all its requests included.
    pub timeout: Duration,
    pub compression: Compression,
    /// Sent with each request; values may be credentials.
    pub headers: Vec<(String, SecretString)>,
    pub tls: Tls,
    /// The proxy on the way to the endpoint, which the environment names.
    pub proxy: Option<Proxy>,
}

impl Config {
    /// Returns true if a push of the one would do for the other.
    pub fn same_as(&self, other: &Self) -> bool {
        self.metrics_to.same_as(&other.metrics_to)
            && self.traces_to.same_as(&other.traces_to)
            && (self.metrics, self.traces) == (other.metrics, other.traces)
            && self.sampling_rate.to_bits() == other.sampling_rate.to_bits()
            && self.interval == other.interval
            && self.temporality == other.temporality
            && self.resource_attributes == other.resource_attributes
            && self.max_request_bytes == other.max_request_bytes
    }
}

impl SignalConfig {
    fn same_as(&self, other: &Self) -> bool {
        self.endpoint == other.endpoint
            && (self.protocol, self.timeout, self.compression)
                == (other.protocol, other.timeout, other.compression)
            && self.same_headers(other)
            && self.tls.same_as(&other.tls)
            && self.proxy == other.proxy
    }

    pub fn same_headers(&self, other: &Self) -> bool {
        let exposed = |(name, value): &(String, SecretString)| {
            (name.clone(), value.expose_secret().to_owned())
        };
        self.headers.iter().map(exposed).eq(other.headers.iter().map(exposed))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    /// HTTP with binary protobuf.
    HttpProtobuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
}

/// Temporality preference, as `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporality {
    /// Totals since the origin.
    Cumulative,
    /// Increments since the last acknowledged export, for counters and histograms.
    Delta,
    /// Delta for histograms, cumulative for observable counters.
    LowMemory,
}

#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// PEM bundle of a private CA, already read.
    pub ca: Option<PemFile>,
    /// The system's CAs, which are trusted without `ca`; read when they are needed if absent.
    pub roots: Option<SystemRoots>,
    /// Client certificate and key, already read.
    pub identity: Option<Identity>,
}

impl Tls {
    /// Returns true if both trust the same and show the same.
    pub fn same_as(&self, other: &Self) -> bool {
        self.ca == other.ca && self.roots == other.roots && self.identity == other.identity
    }
}
