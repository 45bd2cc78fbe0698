//! Settings that each signal of the OTLP push can have of its own. A key of `opentelemetry.metrics` or
//! `opentelemetry.traces` comes first, then the key that both share, then the variable of the signal
//! (`OTEL_EXPORTER_OTLP_METRICS_TIMEOUT`), then the variable that both share. Endpoints have rules of their own.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::keys::{OpenTelemetry, SignalKeys};
use super::variables;
use crate::config::entries::Value;
use crate::config::schema::address::{Endpoint, EndpointAddress};
use crate::config::schema::kinds::{Flag, Secret, Time, text};
use crate::config::schema::tls::TlsSettings;
use crate::config::yaml::context::Context;
use crate::config::yaml::setting::{Key, Kind, Setting};
use crate::config::yaml::values::{boolean, format_duration};
use crate::telemetry::otlp::config::{Protocol, SignalConfig, Tls};

/// Reads the settings of metrics and traces. A signal that is not pushed has those of the other one;
/// `None` where the push is off or an endpoint is missing or wrong.
pub(super) fn read(
    context: &Context<'_>,
    section: &OpenTelemetry,
    on: bool,
    pushed: [bool; 2],
) -> Option<[SignalConfig; 2]> {
    let endpoints = Endpoints::get(context, section, on);
    let shared = section.shared();
    let headers = variables::headers(context, shared.headers);
    let pushed = pushed.map(|is_pushed| on && is_pushed);
    let signals = [(section.metrics, 0, pushed[0]), (section.traces, 1, pushed[1])];
    let [metrics, traces] = signals.map(|(own, place, on)| {
        Signal { context, own, shared, place, on }.read(&headers, &endpoints)
    });
    if !on {
        return None;
    }
    endpoints.check_shared(pushed, [metrics.0, traces.0]);
    let signals = match (metrics.1, traces.1) {
        (Some(metrics), Some(traces)) => [metrics, traces],
        // Only one signal is pushed, or an error has been reported.
        (Some(only), None) | (None, Some(only)) => [only.clone(), only],
        (None, None) => return None,
    };
    show_endpoints(context, section, &signals);
    show(context, section, &signals);
    Some(signals)
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
        let roots = tls.roots(ca.as_ref(), endpoint.as_ref(), proxy.as_ref());
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

/// Paths of the two signals over HTTP.
const PATHS: [&str; 2] = ["/v1/metrics", "/v1/traces"];

/// Variables of the two signals that say if an endpoint without a scheme is plain text.
const INSECURE: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_METRICS_INSECURE", "OTEL_EXPORTER_OTLP_TRACES_INSECURE"];

/// Settings of the endpoints.
struct Endpoints<'c> {
    insecure: Setting<'c, Flag>,
    general: Setting<'c, EndpointAddress>,
    /// Of metrics and of traces.
    own: [Setting<'c, EndpointAddress>; 2],
}

impl<'c> Endpoints<'c> {
    /// Reads the keys and, where the push is on, their variables.
    fn get(context: &'c Context<'c>, section: &OpenTelemetry, on: bool) -> Self {
        let insecure = section.insecure.get(context);
        let is_insecure = insecure.given() == Some(true);
        let in_file = |key: Key<EndpointAddress>| match key.get(context) {
            // One of the two is a mistake, and guessing which would either break the connection or send data
            // in the clear.
            it if is_insecure && it.given().is_some_and(|address| address.is_https()) => {
                it.refused("https:// contradicts insecure: true; drop one of them")
            }
            setting => setting,
        };
        let general = in_file(section.endpoint);
        // A variable is below every key of the file, be the variable the more specific one.
        let below = on && general.is_absent();
        let own = [section.metrics_endpoint, section.traces_endpoint];
        let own = own.map(|key| in_file(key).or_variables(below, &[key]));
        let general = general.or_variables(below, &[section.endpoint]);
        Self { insecure, general, own }
    }

    /// Reports that an endpoint cannot be reached.
    fn unreachable(&self, problem: &str) {
        self.general.section_error(problem);
    }

    /// Returns the endpoint of one signal, by its place; `None` where it is missing or wrong.
    fn url(&self, place: usize, protocol: Protocol) -> Option<Url> {
        let insecure = self.insecure.clone().or_variable(true, INSECURE.get(place)?, boolean);
        let insecure =
            insecure.or_variables(true, &[self.insecure.key]).given().unwrap_or_default();
        let own = self.own.get(place)?;
        if !own.is_absent() {
            return own.given()?.url(insecure);
        }
        let mut url = self.general.given()?.url(insecure)?;
        let path = url.path().trim_end_matches('/').to_owned();
        // The path of the signal is appended to that of the variable always, says the specification.
        if protocol == Protocol::HttpProtobuf && (path.is_empty() || self.is_variable()) {
            url.set_path(&format!("{path}{}", PATHS.get(place)?));
        }
        Some(url)
    }

    /// Returns true if the endpoint of both signals is that of the variable.
    fn is_variable(&self) -> bool {
        self.general.variable.is_some()
    }

    /// Checks the endpoint that pushed signals without one of their own use.
    fn check_shared(&self, pushed: [bool; 2], protocols: [Protocol; 2]) {
        let users = self.own.iter().zip(pushed).zip(protocols);
        let users = users.filter(|((own, on), _)| own.is_absent() && *on);
        let protocols: Vec<_> = users.map(|(_, protocol)| protocol).collect();
        match self.general.given() {
            None if self.general.is_absent() && !protocols.is_empty() => {
                let message = "required where OTLP is pushed, as host:port or a URL (or \
                               OTEL_EXPORTER_OTLP_ENDPOINT)";
                self.general.error(message);
            }
            Some(Endpoint::Url(url))
                if protocols == [Protocol::HttpProtobuf; 2]
                    && !self.is_variable()
                    && url.path() != "/" =>
            {
                let message = "its path is used as it is, for metrics and traces alike; \
                               metricsEndpoint and tracesEndpoint take a path each";
                self.general.warn(message);
            }
            _ => {}
        }
    }
}

/// Warns of a time below a second: mostly it is a number of seconds where milliseconds are read.
pub(super) fn warn_below_a_second(setting: &Setting<'_, Time>) {
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
fn show_endpoints(context: &Context<'_>, section: &OpenTelemetry, signals: &[SignalConfig; 2]) {
    let [metrics, traces] = signals.each_ref().map(|signal| &signal.endpoint);
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
fn show(context: &Context<'_>, section: &OpenTelemetry, signals: &[SignalConfig; 2]) {
    let [metrics, traces] = signals;
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
