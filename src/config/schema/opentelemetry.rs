//! `opentelemetry`: the OTLP push. The file's keys come first, the `OTEL_*` variables of the
//! specification stand in for those that are absent.
//!
//! Without `enabled` in the file, an endpoint variable switches the push on. An explicit `enabled`
//! or `signals` wins over `OTEL_SDK_DISABLED` and `OTEL_{METRICS,TRACES}_EXPORTER`. Variables are
//! read only while the push is on: a stray one breaks nobody.

use opentelemetry_otlp::OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE as PREFERENCE;
use schemars::JsonSchema;
use serde::Deserialize;

use super::endpoint::{self, EndpointAddress};
use super::kinds::{AnyText, Choice, Flag, Named, Number, Ratio, Secret, Text, Time};
use super::signal::{self, SignalKeys};
use super::tls::TlsKeys;
use super::variables;
use crate::config::yaml::context::Context;
use crate::config::yaml::key::{Key, List, Pairs};
use crate::config::yaml::lookup::Lookup;
use crate::config::yaml::values::{boolean, choice, interval, milliseconds_of_interval, ratio};
use crate::telemetry::otlp::Config;
use crate::telemetry::otlp::config::{Compression, Protocol, Temporality};

/// The section.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OpenTelemetry {
    /// Push metrics and traces. An explicit value wins over all variables.
    #[schemars(extend(
        "x-default" = "true if an endpoint variable is set",
        "examples" = [true],
        "x-variable" = "OTEL_SDK_DISABLED"
    ))]
    enabled: Key<Flag>,
    /// Required if the push is enabled: `host:port` or a URL. Over HTTP, `/v1/metrics` and `/v1/traces` are appended
    /// if it has no path; to the variable they always are.
    #[schemars(extend(
        "x-default" = "none",
        "examples" = ["collector.example.com:4317"],
        "x-variable" = "OTEL_EXPORTER_OTLP_ENDPOINT"
    ))]
    pub(super) endpoint: Key<EndpointAddress>,
    /// Endpoint for metrics only, used as it is.
    #[schemars(extend(
        "examples" = ["https://collector.example.com/otlp/v1/metrics"],
        "x-variable" = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
    ))]
    pub(super) metrics_endpoint: Key<EndpointAddress>,
    /// Endpoint for traces only, used as it is.
    #[schemars(extend(
        "examples" = ["https://collector.example.com/otlp/v1/traces"],
        "x-variable" = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    ))]
    pub(super) traces_endpoint: Key<EndpointAddress>,
    /// Plain text if the endpoint has no scheme. `http://` needs no `insecure`, and `https://` beside `insecure: true` is
    /// an error.
    #[schemars(extend("default" = false, "x-variable" = "OTEL_EXPORTER_OTLP_INSECURE"))]
    pub(super) insecure: Key<Flag>,
    /// Signals to push: `metrics`, `traces` or both.
    #[schemars(extend(
        "default" = ["metrics", "traces"],
        "x-variable" = "OTEL_METRICS_EXPORTER=none, OTEL_TRACES_EXPORTER=none"
    ))]
    signals: Key<List<Choice<Signal>>>,
    /// Share of polls that are traced, 0.0 to 1.0.
    #[schemars(extend(
        "default" = 1.0,
        "x-variable" = "OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG"
    ))]
    sampling_rate: Key<Ratio>,
    /// Time between two pushes of metrics; a warning below 1s. The variable counts milliseconds.
    #[schemars(extend("default" = "1m", "x-variable" = "OTEL_METRIC_EXPORT_INTERVAL"))]
    interval: Key<Time>,
    /// `cumulative`, `delta` or `lowmemory`. Delta is exact with `state.directory`: each increment arrives at least
    /// once, and a repetition has the same times.
    #[schemars(extend(
        "default" = "cumulative",
        "x-variable" = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
    ))]
    temporality: Key<Choice<Temporality>>,
    /// The largest request before compression in bytes, from 65536. Receivers refuse 4 MiB and more by default.
    #[schemars(extend("default" = 3_670_016))]
    max_request_bytes: Key<Number<65_536, 1_073_741_824>>,
    /// Attributes to add to the resource. Merged by name with the variables; a malformed variable is ignored with a
    /// warning.
    #[schemars(extend(
        "default" = {},
        "x-variable" = "OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME"
    ))]
    resource_attributes: Key<Pairs<AnyText>>,
    /// `grpc` or `http/protobuf`.
    #[schemars(extend("default" = "grpc", "x-variable" = "OTEL_EXPORTER_OTLP_PROTOCOL"))]
    pub(super) protocol: Key<Choice<Protocol>>,
    /// Timeout of one push, all its requests included; a warning below 1s. The variable counts milliseconds.
    #[schemars(extend("default" = "10s", "x-variable" = "OTEL_EXPORTER_OTLP_TIMEOUT"))]
    pub(super) timeout: Key<Time>,
    /// `none` or `gzip`.
    #[schemars(extend("default" = "none", "x-variable" = "OTEL_EXPORTER_OTLP_COMPRESSION"))]
    pub(super) compression: Key<Choice<Compression>>,
    /// Headers of each request; values are secrets. Merged by name with the variable.
    #[schemars(extend("default" = {}, "x-variable" = "OTEL_EXPORTER_OTLP_HEADERS"))]
    pub(super) headers: Key<Pairs<Secret>>,
    /// Certificates for `https` endpoints, PEM files. They are watched.
    pub(super) tls: Tls,
    /// Settings for metrics only. They come before the common ones.
    pub(super) metrics: SignalKeys,
    /// Settings for traces only. They come before the common ones.
    pub(super) traces: SignalKeys,
}

/// Certificates of the push.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tls {
    /// PEM file of the CAs to trust, and only these.
    #[schemars(extend(
        "x-default" = "the system's CAs",
        "examples" = ["/etc/nbu-otel-agent/otlp-ca.pem"],
        "x-variable" = "OTEL_EXPORTER_OTLP_{}CERTIFICATE"
    ))]
    ca_file: Key<Text>,
    /// PEM file of the client certificate, always together with `keyFile`.
    #[schemars(extend(
        "examples" = ["/etc/nbu-otel-agent/otlp-client.pem"],
        "x-variable" = "OTEL_EXPORTER_OTLP_{}CLIENT_CERTIFICATE"
    ))]
    cert_file: Key<Text>,
    /// PEM file of its private key.
    #[schemars(extend(
        "examples" = ["/etc/nbu-otel-agent/otlp-client-key.pem"],
        "x-variable" = "OTEL_EXPORTER_OTLP_{}CLIENT_KEY"
    ))]
    key_file: Key<Text>,
}

impl Tls {
    pub(super) fn keys(self) -> TlsKeys {
        TlsKeys { ca: self.ca_file, certificate: self.cert_file, key: self.key_file }
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
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signal {
    Metrics,
    Traces,
}

impl Named for Signal {
    const NAMES: &'static [(&'static str, Self)] =
        &[("metrics", Self::Metrics), ("traces", Self::Traces)];
}

/// Reads the section; `None` if nothing is pushed.
pub(super) fn read<'c>(context: &'c Context<'c>, section: &OpenTelemetry) -> Option<Config> {
    let config = settings(context, section);
    if config.is_none() {
        context.hide("opentelemetry.");
    }
    section.enabled.show(context, &config.is_some());
    config
}

fn settings<'c>(context: &'c Context<'c>, s: &OpenTelemetry) -> Option<Config> {
    let on = enabled(context, s);
    let signals = signals(context, s, on);
    let on = on && signals.is_some();
    let (metrics, traces) = signals.unwrap_or((true, true));
    let settings = signal::read(context, s, on, (metrics, traces));
    // Settings that are off need not be right for their purpose.
    let every = if on { s.interval.get_as(context, interval) } else { s.interval.get(context) };
    let every = every.or_variable(on, "OTEL_METRIC_EXPORT_INTERVAL", milliseconds_of_interval);
    let every = if on { every.warn_below_a_second() } else { every };
    let interval = every.value()?;
    let temporality = s.temporality.get(context);
    let temporality =
        temporality.or_variable(on, PREFERENCE, choice(Temporality::NAMES)).value()?;
    let sampling_rate = sampling_rate(context, s, on)?;
    let resource_attributes = variables::resource_attributes(context, s.resource_attributes, on);
    let max_request_bytes = s.max_request_bytes.get(context).value()?;
    let (metrics_to, traces_to) = settings?;
    s.insecure.show(context, &(metrics_to.endpoint.scheme() == "http"));
    let pushed = [(Signal::Metrics, metrics), (Signal::Traces, traces)];
    let pushed: Vec<_> = pushed.into_iter().filter(|(_, on)| *on).map(|(it, _)| it).collect();
    s.signals.show(context, &pushed);
    Some(Config {
        metrics_to,
        traces_to,
        metrics,
        traces,
        sampling_rate,
        interval,
        temporality,
        resource_attributes,
        max_request_bytes,
    })
}

fn enabled<'c>(context: &'c Context<'c>, section: &OpenTelemetry) -> bool {
    let setting = section.enabled.get(context);
    let disabled = || match context.variable("OTEL_SDK_DISABLED").as_deref().map(boolean) {
        None => false,
        Some(Ok(disabled)) => disabled,
        Some(Err(message)) => {
            context.variable_error("OTEL_SDK_DISABLED", &message);
            false
        }
    };
    match setting.found {
        Lookup::Valid(true) => {
            if disabled() {
                let message = "ignored: the file says opentelemetry.enabled: true";
                context.variable_warning("OTEL_SDK_DISABLED", message);
            }
            true
        }
        Lookup::Valid(false) | Lookup::Invalid => false,
        Lookup::Absent => {
            endpoint::VARIABLES.iter().any(|name| context.variable(name).is_some()) && !disabled()
        }
    }
}

/// Returns true for metrics and for traces if they are pushed; `None` if neither is.
fn signals<'c>(
    context: &'c Context<'c>,
    section: &OpenTelemetry,
    on: bool,
) -> Option<(bool, bool)> {
    let setting = section.signals.get(context);
    match setting.found {
        Lookup::Valid(signals) if signals.is_empty() => {
            let message = "expected at least one of metrics, traces (enabled: false stops both)";
            setting.source.error(message);
            None
        }
        Lookup::Valid(signals) => {
            Some((signals.contains(&Signal::Metrics), signals.contains(&Signal::Traces)))
        }
        Lookup::Invalid => Some((true, true)),
        Lookup::Absent if !on => None,
        Lookup::Absent => {
            let pushed = |name| variables::exporter_is_otlp(context, name);
            let signals = (pushed("OTEL_METRICS_EXPORTER"), pushed("OTEL_TRACES_EXPORTER"));
            if signals == (false, false) {
                let message = "nothing is pushed, since OTEL_TRACES_EXPORTER says the same";
                context.variable_warning("OTEL_METRICS_EXPORTER", message);
                return None;
            }
            Some(signals)
        }
    }
}

/// Returns `samplingRate`, else the rate that `OTEL_TRACES_SAMPLER` and its argument amount to.
fn sampling_rate<'c>(context: &'c Context<'c>, section: &OpenTelemetry, on: bool) -> Option<f64> {
    #[derive(Clone, Copy)]
    enum Sampler {
        Fixed(f64),
        Ratio,
    }
    const SAMPLERS: &[(&str, Sampler)] = &[
        ("always_on", Sampler::Fixed(1.0)),
        ("always_off", Sampler::Fixed(0.0)),
        ("traceidratio", Sampler::Ratio),
        ("parentbased_always_on", Sampler::Fixed(1.0)),
        ("parentbased_always_off", Sampler::Fixed(0.0)),
        ("parentbased_traceidratio", Sampler::Ratio),
    ];
    let sampler = |text: &str| {
        choice(SAMPLERS)(text).map(|sampler| match sampler {
            Sampler::Fixed(rate) => rate,
            Sampler::Ratio => {
                variables::value(context, "OTEL_TRACES_SAMPLER_ARG", ratio).unwrap_or(1.0)
            }
        })
    };
    section.sampling_rate.get(context).or_variable(on, "OTEL_TRACES_SAMPLER", sampler).value()
}
