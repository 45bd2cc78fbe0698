//! `opentelemetry`: the OTLP push. The file's keys come first, the `OTEL_*` variables of the
//! specification stand in for those that are absent.
//!
//! Without `enabled` in the file, an endpoint variable switches the push on. An explicit `enabled`
//! or `signals` wins over `OTEL_SDK_DISABLED` and `OTEL_{METRICS,TRACES}_EXPORTER`. Variables are
//! read only while the push is on: a stray one breaks nobody.

mod address;
mod endpoints;
mod keys;
mod signal;
mod variables;

use opentelemetry_otlp::OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE as PREFERENCE;

use super::kinds::Named as _;
use crate::config::yaml::context::Context;
use crate::config::yaml::lookup::Lookup;
use crate::config::yaml::values::{boolean, choice, interval, milliseconds_of_interval, ratio};
use crate::telemetry::otlp::Config;
use crate::telemetry::otlp::config::Temporality;
pub(super) use keys::OpenTelemetry;
use keys::Signal;

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
            endpoints::VARIABLES.iter().any(|name| context.variable(name).is_some()) && !disabled()
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
