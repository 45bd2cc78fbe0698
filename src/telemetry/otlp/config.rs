//! Where and how OTLP is pushed.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::net::tls::{Identity, PemFile};

/// Settings of the OTLP push.
#[derive(Debug, Clone)]
pub struct Config {
    /// Base address with a scheme. HTTP: `/v1/metrics` and `/v1/traces` are appended where the path
    /// is empty; otherwise each endpoint is used as it is.
    pub metrics_endpoint: url::Url,
    /// The same for traces.
    pub traces_endpoint: url::Url,
    /// gRPC or HTTP.
    pub protocol: Protocol,
    /// Push metrics.
    pub metrics: bool,
    /// Push traces of polls and API requests.
    pub traces: bool,
    /// Share of polls that are traced, 0.0 to 1.0.
    pub sampling_rate: f64,
    /// Time between two exports of metrics.
    pub interval: Duration,
    /// Hard deadline of one export, all its requests included.
    pub timeout: Duration,
    /// Compress requests.
    pub compression: Compression,
    /// Sent with each request; values may be credentials.
    pub headers: Vec<(String, SecretString)>,
    /// What counters and histograms report.
    pub temporality: Temporality,
    /// Added to the resource, in the order of the file.
    pub resource_attributes: Vec<(String, String)>,
    /// Trust and identity for `https`.
    pub tls: Tls,
    /// Upper limit of one request before compression, bytes.
    pub max_request_bytes: usize,
}

impl Config {
    /// Whether a push of the one would do for the other.
    pub fn same_as(&self, other: &Self) -> bool {
        let headers = |config: &Self| -> Vec<(String, String)> {
            let pairs = config.headers.iter();
            pairs.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect()
        };
        self.metrics_endpoint == other.metrics_endpoint
            && self.traces_endpoint == other.traces_endpoint
            && self.protocol == other.protocol
            && (self.metrics, self.traces) == (other.metrics, other.traces)
            && self.sampling_rate.to_bits() == other.sampling_rate.to_bits()
            && (self.interval, self.timeout) == (other.interval, other.timeout)
            && self.compression == other.compression
            && headers(self) == headers(other)
            && self.temporality == other.temporality
            && self.resource_attributes == other.resource_attributes
            && self.tls.ca == other.tls.ca
            && Identity::same(self.tls.identity.as_ref(), other.tls.identity.as_ref())
            && self.max_request_bytes == other.max_request_bytes
    }
}

/// Transport of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP with binary protobuf.
    HttpProtobuf,
}

/// Compression of OTLP requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    None,
    /// gzip.
    Gzip,
}

/// Temporality preference, as `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporality {
    /// Totals since the origin.
    Cumulative,
    /// What was added since the last acknowledged export, for counters and histograms.
    Delta,
    /// Delta for histograms, cumulative for observable counters.
    LowMemory,
}

/// TLS material for `https` endpoints; system roots apply where no CA is given.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// PEM bundle of a private CA, already read.
    pub ca: Option<PemFile>,
    /// Client certificate and key, already read.
    pub identity: Option<Identity>,
}
