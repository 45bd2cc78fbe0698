//! The keys of the section `opentelemetry`.

use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE,
    OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::schema::address::EndpointAddress;
use crate::config::schema::kinds::{AnyText, Choice, Flag, Named, Number, Ratio, Secret, Time};
use crate::config::schema::tls::TlsKeys;
use crate::config::yaml::setting::{Key, List, Pairs};
use crate::telemetry::otlp::config::{Compression, Protocol, Temporality};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::config::schema) struct OpenTelemetry {
    /// Push metrics and traces. An explicit value wins over all variables.
    #[schemars(extend("x-default" = "true if an endpoint variable is set", "examples" = [true]))]
    #[schemars(extend("x-variable" = "OTEL_SDK_DISABLED"))]
    pub(super) enabled: Key<Flag>,
    /// Required if the push is enabled: `host:port` or a URL. Over HTTP, `/v1/metrics` and `/v1/traces` are appended
    /// if it has no path; to the variable they always are.
    #[schemars(extend("x-default" = "none", "examples" = ["collector.example.com:4317"]))]
    #[schemars(extend("x-variable" = OTEL_EXPORTER_OTLP_ENDPOINT))]
    pub(super) endpoint: Key<EndpointAddress>,
    /// Endpoint for metrics only, used as it is.
    #[schemars(extend("examples" = ["https://collector.example.com/otlp/v1/metrics"]))]
    #[schemars(extend("x-variable" = OTEL_EXPORTER_OTLP_METRICS_ENDPOINT))]
    pub(super) metrics_endpoint: Key<EndpointAddress>,
    /// Endpoint for traces only, used as it is.
    #[schemars(extend("examples" = ["https://collector.example.com/otlp/v1/traces"]))]
    #[schemars(extend("x-variable" = OTEL_EXPORTER_OTLP_TRACES_ENDPOINT))]
    pub(super) traces_endpoint: Key<EndpointAddress>,
    /// Plain text if the endpoint has no scheme. `http://` needs no `insecure`, and `https://` beside `insecure: true` is
    /// an error.
    #[schemars(extend("default" = false, "x-variable" = "OTEL_EXPORTER_OTLP_INSECURE"))]
    pub(super) insecure: Key<Flag>,
    /// Signals to push: `metrics`, `traces` or both.
    #[schemars(extend("default" = ["metrics", "traces"]))]
    #[schemars(extend("x-variable" = "OTEL_METRICS_EXPORTER=none, OTEL_TRACES_EXPORTER=none"))]
    pub(super) signals: Key<List<Choice<Signal>>>,
    /// Share of polls that are traced, 0.0 to 1.0.
    #[schemars(extend("default" = 1.0))]
    #[schemars(extend("x-variable" = "OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG"))]
    pub(super) sampling_rate: Key<Ratio>,
    /// Time between two pushes of metrics; a warning below 1s. The variable counts milliseconds.
    #[schemars(extend("default" = "1m", "x-variable" = "OTEL_METRIC_EXPORT_INTERVAL"))]
    pub(super) interval: Key<Time>,
    /// `cumulative`, `delta` or `lowmemory`. Delta is exact with `state.directory`: each increment arrives at least
    /// once, and a repetition has the same times.
    #[schemars(extend("default" = "cumulative"))]
    #[schemars(extend("x-variable" = OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE))]
    pub(super) temporality: Key<Choice<Temporality>>,
    /// The largest request before compression in bytes, from 65536. Receivers refuse 4 MiB and more by default.
    #[schemars(extend("default" = 3_670_016))]
    pub(super) max_request_bytes: Key<Number<65_536, 1_073_741_824>>,
    /// Attributes to add to the resource. Merged by name with the variables; a malformed variable is ignored with a
    /// warning.
    #[schemars(extend("default" = {}))]
    #[schemars(extend("x-variable" = "OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME"))]
    pub(super) resource_attributes: Key<Pairs<AnyText>>,
    /// `grpc` or `http/protobuf`.
    #[schemars(extend("default" = "grpc", "x-variable" = OTEL_EXPORTER_OTLP_PROTOCOL))]
    pub(super) protocol: Key<Choice<Protocol>>,
    /// Timeout of one push, all its requests included; a warning below 1s. The variable counts milliseconds.
    #[schemars(extend("default" = "10s", "x-variable" = OTEL_EXPORTER_OTLP_TIMEOUT))]
    pub(super) timeout: Key<Time>,
    /// `none` or `gzip`.
    #[schemars(extend("default" = "none", "x-variable" = OTEL_EXPORTER_OTLP_COMPRESSION))]
    pub(super) compression: Key<Choice<Compression>>,
    /// Headers of each request; values are secrets. Merged by name with the variable.
    #[schemars(extend("default" = {}, "x-variable" = OTEL_EXPORTER_OTLP_HEADERS))]
    pub(super) headers: Key<Pairs<Secret>>,
    /// Certificates for `https` endpoints, PEM files. They are watched.
    pub(super) tls: TlsKeys,
    /// Settings for metrics only. They come before the common ones.
    pub(super) metrics: SignalKeys,
    /// Settings for traces only. They come before the common ones.
    pub(super) traces: SignalKeys,
}

/// The keys of one signal.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignalKeys {
    /// `grpc` or `http/protobuf`.
    #[schemars(extend("x-default" = "the common key", "examples" = ["grpc"]))]
    #[schemars(extend("x-variable" = "OTEL_EXPORTER_OTLP_{}PROTOCOL"))]
    pub(super) protocol: Key<Choice<Protocol>>,
    /// Timeout of one push.
    #[schemars(extend("x-default" = "the common key", "examples" = ["10s"]))]
    #[schemars(extend("x-variable" = "OTEL_EXPORTER_OTLP_{}TIMEOUT"))]
    pub(super) timeout: Key<Time>,
    /// `none` or `gzip`.
    #[schemars(extend("x-default" = "the common key", "examples" = ["none"]))]
    #[schemars(extend("x-variable" = "OTEL_EXPORTER_OTLP_{}COMPRESSION"))]
    pub(super) compression: Key<Choice<Compression>>,
    /// Headers, merged by name with the common ones.
    #[schemars(extend("x-default" = "the common key", "examples" = [{}]))]
    #[schemars(extend("x-variable" = "OTEL_EXPORTER_OTLP_{}HEADERS"))]
    pub(super) headers: Key<Pairs<Secret>>,
    /// Certificates.
    pub(super) tls: TlsKeys,
}

impl OpenTelemetry {
    /// Returns the keys that both signals share.
    pub(super) fn shared(&self) -> SignalKeys {
        let Self { protocol, timeout, compression, headers, tls, .. } = *self;
        SignalKeys { protocol, timeout, compression, headers, tls }
    }
}

impl Named for Protocol {
    const NAMES: &'static [(&'static str, Self)] =
        &[("grpc", Self::Grpc), ("http/protobuf", Self::HttpProtobuf)];
}

impl Named for Compression {
    const NAMES: &'static [(&'static str, Self)] = &[("none", Self::None), ("gzip", Self::Gzip)];
}

impl Named for Temporality {
    const NAMES: &'static [(&'static str, Self)] =
        &[("cumulative", Self::Cumulative), ("delta", Self::Delta), ("lowmemory", Self::LowMemory)];
}

/// A kind of data that is pushed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Signal {
    Metrics,
    Traces,
}

impl Named for Signal {
    const NAMES: &'static [(&'static str, Self)] =
        &[("metrics", Self::Metrics), ("traces", Self::Traces)];
}
