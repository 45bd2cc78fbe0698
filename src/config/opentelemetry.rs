//! `opentelemetry`: the OTLP push. The file's keys come first, the `OTEL_*` variables of the
//! specification stand in for those that are absent.
//!
//! Without `enabled` in the file, an endpoint variable switches the push on. An explicit `enabled`
//! or `signals` wins over `OTEL_SDK_DISABLED` and `OTEL_{METRICS,TRACES}_EXPORTER`. Variables are
//! looked at only where the push is on: a stray one breaks nobody.

use opentelemetry_otlp::OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE as PREFERENCE;
use std::time::Duration;

use super::endpoint;
use super::reader::Section;
use super::setting::Found;
use super::signal;
use super::values::{boolean, choice, duration, interval, milliseconds_of_interval, number, ratio};
use super::variables;
use crate::telemetry::otlp::Config;
use crate::telemetry::otlp::config::{Compression, Protocol, Temporality};

/// Protocols by name.
pub(super) const PROTOCOLS: &[(&str, Protocol)] =
    &[("grpc", Protocol::Grpc), ("http/protobuf", Protocol::HttpProtobuf)];

/// Compressions by name.
pub(super) const COMPRESSIONS: &[(&str, Compression)] =
    &[("none", Compression::None), ("gzip", Compression::Gzip)];

/// Temporalities by name.
pub(super) const TEMPORALITIES: &[(&str, Temporality)] = &[
    ("cumulative", Temporality::Cumulative),
    ("delta", Temporality::Delta),
    ("lowmemory", Temporality::LowMemory),
];

/// What is pushed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Metrics,
    Traces,
}

/// Signals by name.
pub(super) const SIGNALS: &[(&str, Signal)] =
    &[("metrics", Signal::Metrics), ("traces", Signal::Traces)];

/// Request limits: what holds a point at all, and what any receiver refuses.
const REQUEST_BYTES: (usize, usize) = (64 << 10, 1 << 30);

/// Reads `opentelemetry`; `None` where nothing is pushed.
pub(super) fn read(root: &mut Section<'_>) -> Option<Config> {
    let mut section = root.section("opentelemetry");
    let s = &mut section;
    let on = enabled(s);
    let signals = signals(s, on);
    let on = on && signals.is_some();
    let (metrics, traces) = signals.unwrap_or((true, true));
    let settings = signal::read(s, on, (metrics, traces));
    // What is off need not be right for its purpose.
    let of_file = if on { interval } else { duration };
    let every = s.get("interval", of_file).or_variable(
        on,
        "OTEL_METRIC_EXPORT_INTERVAL",
        milliseconds_of_interval,
    );
    let every = if on { every.warn_below_a_second() } else { every };
    let temporality = s
        .get("temporality", choice(TEMPORALITIES))
        .or_variable(on, PREFERENCE, choice(TEMPORALITIES))
        .or(Temporality::Cumulative);
    let sampling_rate = sampling_rate(s, on);
    let resource_attributes = variables::resource_attributes(s, on);
    let (min, max) = REQUEST_BYTES;
    let max_request_bytes = s.get("maxRequestBytes", number(min, max)).or(3_670_016);
    let (metrics_to, traces_to) = settings?;
    Some(Config {
        metrics_to,
        traces_to,
        metrics,
        traces,
        sampling_rate,
        interval: every.or(Duration::from_secs(60)),
        temporality,
        resource_attributes,
        max_request_bytes,
    })
}

fn enabled(section: &mut Section<'_>) -> bool {
    let context = section.context;
    let setting = section.get("enabled", boolean);
    let disabled = || match context.variable("OTEL_SDK_DISABLED").as_deref().map(boolean) {
        None => false,
        Some(Ok(disabled)) => disabled,
        Some(Err(message)) => {
            context.variable_error("OTEL_SDK_DISABLED", &message);
            false
        }
    };
    match setting.found {
        Found::Given(true) => {
            if disabled() {
                let message = "ignored: the file says opentelemetry.enabled: true";
                context.variable_warning("OTEL_SDK_DISABLED", message);
            }
            true
        }
        Found::Given(false) | Found::Wrong => false,
        Found::Absent => {
            endpoint::VARIABLES.iter().any(|name| context.variable(name).is_some()) && !disabled()
        }
    }
}

/// Whether metrics and traces are pushed; `None` where neither is.
fn signals(section: &mut Section<'_>, on: bool) -> Option<(bool, bool)> {
    let setting = section.list("signals", choice(SIGNALS));
    let context = section.context;
    match setting.found {
        Found::Given(signals) if signals.is_empty() => {
            let message = "expected at least one of metrics, traces (enabled: false stops both)";
            setting.source.error(message);
            None
        }
        Found::Given(signals) => {
            Some((signals.contains(&Signal::Metrics), signals.contains(&Signal::Traces)))
        }
        Found::Wrong => Some((true, true)),
        Found::Absent if !on => None,
        Found::Absent => {
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

/// `samplingRate`, else what `OTEL_TRACES_SAMPLER` and its argument amount to.
fn sampling_rate(section: &mut Section<'_>, on: bool) -> f64 {
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
    let context = section.context;
    let sampler = |text: &str| {
        choice(SAMPLERS)(text).map(|sampler| match sampler {
            Sampler::Fixed(rate) => rate,
            Sampler::Ratio => {
                variables::value(context, "OTEL_TRACES_SAMPLER_ARG", ratio).unwrap_or(1.0)
            }
        })
    };
    section.get("samplingRate", ratio).or_variable(on, "OTEL_TRACES_SAMPLER", sampler).or(1.0)
}
