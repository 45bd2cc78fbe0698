//! `opentelemetry`: the OTLP push. The file's keys come first, the `OTEL_*` variables of the
//! specification stand in for those that are absent.
//!
//! Without `enabled` in the file, an endpoint variable switches the push on. An explicit `enabled`
//! or `signals` wins over `OTEL_SDK_DISABLED` and `OTEL_{METRICS,TRACES}_EXPORTER`. Variables are
//! read only while the push is on: a stray one breaks nobody.

mod keys;
mod signal;
mod variables;

use crate::config::yaml::context::Context;
use crate::config::yaml::diagnostics::Cause;
use crate::config::yaml::values::{SHORTEST_INTERVAL, TOO_SHORT, boolean, choice, ratio};
use crate::telemetry::otlp::Config;
pub(super) use keys::OpenTelemetry;
use keys::Signal;

/// Reads the section; `None` if nothing is pushed.
pub(super) fn read(context: &Context<'_>, section: &OpenTelemetry) -> Option<Config> {
    let config = settings(context, section);
    if config.is_none() {
        context.hide("opentelemetry.");
    }
    section.enabled.show(context, &config.is_some());
    config
}

fn settings(context: &Context<'_>, s: &OpenTelemetry) -> Option<Config> {
    let on = enabled(context, s);
    let pushed = pushed(context, s, on);
    let on = on && pushed.is_some();
    let [metrics, traces] = pushed.unwrap_or([true, true]);
    let settings = signal::read(context, s, on, [metrics, traces]);
    let mut interval = s.interval.get(context).or_variables(on, &[s.interval]);
    // Settings that are off need not be right for their purpose.
    if on && interval.given().is_some_and(|interval| interval < SHORTEST_INTERVAL) {
        let of_variable = "too short; expected at least 10 milliseconds, such as 60000";
        let is_variable = interval.variable.is_some();
        interval = interval.refused(if is_variable { of_variable } else { TOO_SHORT });
    } else if on {
        signal::warn_below_a_second(&interval);
    }
    let interval = interval.value()?;
    let temporality = s.temporality.get(context).or_variables(on, &[s.temporality]).value()?;
    let sampling_rate = sampling_rate(context, s, on)?;
    let resource_attributes = variables::resource_attributes(context, s.resource_attributes, on);
    let max_request_bytes = s.max_request_bytes.get(context).value()?;
    let [metrics_to, traces_to] = settings?;
    s.insecure.show(context, &(metrics_to.endpoint.scheme() == "http"));
    let signals = [(Signal::Metrics, metrics), (Signal::Traces, traces)];
    let signals = signals.into_iter().filter(|(_, is_pushed)| *is_pushed);
    s.signals.show(context, &signals.map(|(signal, _)| signal).collect());
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

fn enabled(context: &Context<'_>, section: &OpenTelemetry) -> bool {
    const DISABLED: &str = "OTEL_SDK_DISABLED";
    let is_disabled = || variables::value(context, DISABLED, boolean).unwrap_or(false);
    match section.enabled.get(context).found {
        Ok(Some(true)) => {
            if is_disabled() {
                let message = "ignored: the file says opentelemetry.enabled: true";
                context.report_variable(Cause::Unwise, DISABLED, message);
            }
            true
        }
        Ok(Some(false)) | Err(_) => false,
        Ok(None) => {
            let endpoints = [section.endpoint, section.metrics_endpoint, section.traces_endpoint];
            let is_given = endpoints.map(|key| context.variable(&key.variables(context)).is_some());
            is_given.contains(&true) && !is_disabled()
        }
    }
}

/// Returns true for metrics and for traces if they are pushed; `None` if neither is.
fn pushed(context: &Context<'_>, section: &OpenTelemetry, on: bool) -> Option<[bool; 2]> {
    let setting = section.signals.get(context);
    match &setting.found {
        Ok(Some(signals)) if signals.is_empty() => {
            setting.error("expected at least one of metrics, traces (enabled: false stops both)");
            None
        }
        Ok(Some(signals)) => {
            Some([Signal::Metrics, Signal::Traces].map(|signal| signals.contains(&signal)))
        }
        Err(_) => Some([true, true]),
        Ok(None) if !on => None,
        Ok(None) => {
            let pushed = ["OTEL_METRICS_EXPORTER", "OTEL_TRACES_EXPORTER"]
                .map(|name| variables::exporter_is_otlp(context, name));
            if pushed == [false, false] {
                let message = "nothing is pushed, since OTEL_TRACES_EXPORTER says the same";
                context.report_variable(Cause::Unwise, "OTEL_METRICS_EXPORTER", message);
                return None;
            }
            Some(pushed)
        }
    }
}

/// Returns `samplingRate`, else the rate that `OTEL_TRACES_SAMPLER` and its argument amount to.
fn sampling_rate(context: &Context<'_>, section: &OpenTelemetry, on: bool) -> Option<f64> {
    // Rates of samplers; without one, it is the argument.
    const SAMPLERS: &[(&str, Option<f64>)] = &[
        ("always_on", Some(1.0)),
        ("always_off", Some(0.0)),
        ("traceidratio", None),
        ("parentbased_always_on", Some(1.0)),
        ("parentbased_always_off", Some(0.0)),
        ("parentbased_traceidratio", None),
    ];
    let argument = || variables::value(context, "OTEL_TRACES_SAMPLER_ARG", ratio).unwrap_or(1.0);
    let sampler = |text: &str| choice(text, SAMPLERS).map(|rate| rate.unwrap_or_else(argument));
    section.sampling_rate.get(context).or_variable(on, "OTEL_TRACES_SAMPLER", sampler).value()
}
