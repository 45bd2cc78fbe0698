//! Settings that each signal of the OTLP push can have of its own. A key of `opentelemetry.metrics` or
//! `opentelemetry.traces` comes first, then the key that both share, then the variable of the signal
//! (`OTEL_EXPORTER_OTLP_METRICS_TIMEOUT`), then the variable that both share.

use std::time::Duration;

use secrecy::SecretString;

use super::endpoints::{Endpoints, PATHS};
use super::keys::{OpenTelemetry, SignalKeys};
use super::variables;
use crate::config::entries::Value;
use crate::config::schema::kinds::{Secret, text};
use crate::config::schema::tls::TlsSettings;
use crate::config::yaml::context::Context;
use crate::config::yaml::setting::{Key, Kind, Setting};
use crate::config::yaml::values::format_duration;
use crate::net::proxy::Proxy;
use crate::telemetry::otlp::config::{Protocol, SignalConfig, Tls};

/// Reads the settings of metrics and traces. A signal that is not pushed has those of the other one;
/// `None` where the push is off or an endpoint is missing or wrong.
pub(super) fn read(
    context: &Context<'_>,
    section: &OpenTelemetry,
    on: bool,
    (metrics, traces): (bool, bool),
) -> Option<(SignalConfig, SignalConfig)> {
    let endpoints = Endpoints::get(context, section, on);
    let shared = section.shared();
    let headers = variables::headers(context, shared.headers);
    let pushed = [on && metrics, on && traces];
    let signals = [(section.metrics, 0, on && metrics), (section.traces, 1, on && traces)];
    let [metrics, traces] = signals.map(|(own, place, on)| {
        Signal { context, own, shared, place, on }.read(&headers, &endpoints)
    });
    if !on {
        return None;
    }
    endpoints.check_shared(pushed, [metrics.0, traces.0]);
    let (metrics, traces) = match (metrics.1, traces.1) {
        (Some(metrics), Some(traces)) => (metrics, traces),
        // Only one signal is pushed, or an error has been reported.
        (Some(only), None) | (None, Some(only)) => (only.clone(), only),
        (None, None) => return None,
    };
    show_endpoints(context, section, &metrics, &traces);
    show(context, section, &metrics, &traces);
    Some((metrics, traces))
}

/// A signal: its keys, those that both share, its place among the endpoints.
struct Signal<'c> {
    context: &'c Context<'c>,
    own: SignalKeys,
    shared: SignalKeys,
    place: usize,
    on: bool,
}

impl<'c> Signal<'c> {
    /// Reads a key of the signal, or what stands in for it.
    fn setting<K: Kind>(&self, key: impl Fn(&SignalKeys) -> Key<K>) -> Setting<'c, K> {
        let keys = [key(&self.own), key(&self.shared)];
        let [own, shared] = keys.map(|key| key.get(self.context));
        own.or_setting(shared).or_variables(self.on, &keys)
    }

    /// Returns its protocol, and all of its settings where it is pushed and has an endpoint.
    fn read(
        &self,
        shared_headers: &[(String, SecretString)],
        endpoints: &Endpoints<'_>,
    ) -> (Protocol, Option<SignalConfig>) {
        let Self { context, own, shared, place, on } = *self;
        let protocol = self.setting(|keys| keys.protocol);
        let timeout = self.setting(|keys| keys.timeout);
        let compression = self.setting(|keys| keys.compression).given_or_default();
        let protocol = protocol.given_or_default().unwrap_or(Protocol::Grpc);
        let own_headers = variables::headers(context, own.headers);
        let tls = TlsSettings {
            ca: self.setting(|keys| keys.tls.ca_file),
            certificate: self.setting(|keys| keys.tls.cert_file),
            key: self.setting(|keys| keys.tls.key_file),
        };
        if !on {
            tls.check();
            return (protocol, None);
        }
        let headers = [own.headers, shared.headers].map(|key| key.variables(context));
        let mut headers = variables::headers_of_environment(context, &headers);
        for (name, value) in shared_headers.iter().chain(&own_headers) {
            variables::put(&mut headers, name.clone(), value.clone());
        }
        let (ca, identity) = tls.read();
        warn_below_a_second(&timeout);
        let endpoint = endpoints.url(place, protocol);
        let proxy = endpoint.as_ref().and_then(|url| context.proxies().proxy_for(url).cloned());
        if let (Some(url), Some(proxy), Protocol::HttpProtobuf) = (&endpoint, &proxy, protocol)
            && let Some(problem) = proxy.unreachable(url)
        {
            endpoints.unreachable(&problem);
        }
        let needs_roots = ca.is_none()
            && (endpoint.as_ref().is_some_and(|url| url.scheme() == "https")
                || proxy.as_ref().is_some_and(Proxy::speaks_tls));
        let roots = needs_roots.then(|| tls.ca.system_roots());
        let config = || {
            Some(SignalConfig {
                endpoint: endpoint?,
                protocol,
                timeout: timeout.given_or_default()?,
                compression: compression?,
                headers,
                tls: Tls { ca, roots, identity },
                proxy,
            })
        };
        (protocol, config())
    }
}

/// Warns of a time below a second: mostly it is a number of seconds where milliseconds are read.
pub(super) fn warn_below_a_second<K: Kind<Value = Duration>>(setting: &Setting<'_, K>) {
    if let Some(time) = setting.given().filter(|time| *time < Duration::from_secs(1)) {
        let unit = match setting.variable {
            Some(_) => "the variable counts milliseconds",
            None => "units are ms, s, m and h",
        };
        let time = format_duration(time);
        setting.warn(&format!("{time} is below a second; were seconds meant? {unit}"));
    }
}

/// Shows one endpoint where it yields both, else one for each signal.
fn show_endpoints(
    context: &Context<'_>,
    section: &OpenTelemetry,
    metrics: &SignalConfig,
    traces: &SignalConfig,
) {
    let (metrics, traces) = (&metrics.endpoint, &traces.endpoint);
    let mut base = metrics.clone();
    base.set_path("");
    let expected = PATHS.map(|path| base.join(path).ok());
    if [Some(metrics.clone()), Some(traces.clone())] == expected {
        section.endpoint.show_as(context, text(base.as_str()));
    } else if metrics == traces {
        section.endpoint.show_as(context, text(metrics.as_str()));
    } else {
        section.metrics_endpoint.show_as(context, text(metrics.as_str()));
        section.traces_endpoint.show_as(context, text(traces.as_str()));
    }
}

/// Shows settings that both signals have once. Where words differ, traces have their own; where headers or
/// files do, which are merged with those of both, each signal has.
fn show(
    context: &Context<'_>,
    section: &OpenTelemetry,
    metrics: &SignalConfig,
    traces: &SignalConfig,
) {
    let shared = section.shared();
    shared.protocol.show(context, &metrics.protocol);
    shared.timeout.show(context, &metrics.timeout);
    shared.compression.show(context, &metrics.compression);
    if traces.protocol != metrics.protocol {
        section.traces.protocol.show(context, &traces.protocol);
    }
    if traces.timeout != metrics.timeout {
        section.traces.timeout.show(context, &traces.timeout);
    }
    if traces.compression != metrics.compression {
        section.traces.compression.show(context, &traces.compression);
    }
    let once = [(shared, metrics)];
    let each = [(section.metrics, metrics), (section.traces, traces)];
    for (keys, config) in if metrics.same_headers(traces) { &once[..] } else { &each } {
        let headers = config.headers.iter();
        let headers = headers.map(|(name, value)| (name.clone(), Secret::show(value)));
        keys.headers.show_as(context, Value::Pairs(headers.collect()));
    }
    let is_same = metrics.tls.same_as(&traces.tls);
    if is_same && metrics.tls.ca.is_none() && metrics.tls.identity.is_none() {
        context.show_empty("opentelemetry.tls");
    }
    for (keys, config) in if is_same { &once[..] } else { &each } {
        keys.tls.show(context, config.tls.ca.as_ref(), config.tls.identity.as_ref());
    }
}
