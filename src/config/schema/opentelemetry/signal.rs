//! Settings that each signal of the OTLP push can have of its own. A key of `opentelemetry.metrics` or
//! `opentelemetry.traces` comes first, then the key that both share, then the variable of the signal
//! (`OTEL_EXPORTER_OTLP_METRICS_TIMEOUT`), then the variable that both share.

use secrecy::SecretString;

use super::endpoints::{Endpoints, PATHS, shared_endpoint};
use super::keys::{OpenTelemetry, SignalKeys};
use super::variables;
use crate::config::entries::Value;
use crate::config::schema::kinds::{Named as _, Secret, text};
use crate::config::schema::tls;
use crate::config::yaml::context::Context;
use crate::config::yaml::key::Kind as _;
use crate::config::yaml::values::{choice, milliseconds};
use crate::net::proxy::Proxy;
use crate::telemetry::otlp::config::{Compression, Protocol, SignalConfig, Tls};

/// Prefix of the variables of both signals; in those of one its name follows.
const VARIABLES: &str = "OTEL_EXPORTER_OTLP_";

/// A signal: its keys, those that both share, the infix of its variables, its place among the endpoints.
struct Signal {
    own: SignalKeys,
    shared: SignalKeys,
    variables: &'static str,
    place: usize,
    on: bool,
}

/// Reads the settings of metrics and traces. A signal that is not pushed has those of the other one;
/// `None` where the push is off or an endpoint is missing or wrong.
pub(super) fn read<'c>(
    context: &'c Context<'c>,
    section: &OpenTelemetry,
    on: bool,
    (metrics, traces): (bool, bool),
) -> Option<(SignalConfig, SignalConfig)> {
    let endpoints = Endpoints::get(context, section, on);
    let shared = section.shared();
    let headers = variables::headers(context, shared.headers);
    let pushed = [on && metrics, on && traces];
    let signals = [(section.metrics, "METRICS_", 0), (section.traces, "TRACES_", 1)];
    let [metrics, traces] = signals.map(|(own, variables, place)| {
        let on = pushed.get(place).copied().unwrap_or_default();
        let signal = Signal { own, shared, variables, place, on };
        one(context, &signal, &headers, &endpoints)
    });
    if !on {
        return None;
    }
    shared_endpoint(&endpoints, pushed, [metrics.0, traces.0]);
    let (metrics, traces) = match (metrics.1, traces.1) {
        (Some(metrics), Some(traces)) => (metrics, traces),
        // Only one signal is pushed, or an error has been reported.
        (Some(only), None) | (None, Some(only)) => (only.clone(), only),
        (None, None) => return None,
    };
    show_endpoints(context, section, &metrics, &traces);
    show(context, section, [&metrics, &traces]);
    Some((metrics, traces))
}

/// Reads one signal; its protocol, and all of it where it is pushed and has an endpoint.
fn one<'c>(
    context: &'c Context<'c>,
    signal: &Signal,
    shared_headers: &[(String, SecretString)],
    endpoints: &Endpoints<'_>,
) -> (Protocol, Option<SignalConfig>) {
    let Signal { own, shared, on, .. } = *signal;
    let names = |kind: &str| {
        [format!("{VARIABLES}{}{kind}", signal.variables), format!("{VARIABLES}{kind}")]
    };
    let protocol = own.protocol.get(context).or_setting(&shared.protocol.get(context));
    let protocol = protocol.or_variables(on, &names("PROTOCOL"), choice(Protocol::NAMES));
    let timeout = own.timeout.get(context).or_setting(&shared.timeout.get(context));
    let timeout = timeout.or_variables(on, &names("TIMEOUT"), milliseconds);
    let compression = own.compression.get(context).or_setting(&shared.compression.get(context));
    let compression =
        compression.or_variables(on, &names("COMPRESSION"), choice(Compression::NAMES));
    let protocol = protocol.given_or_default().unwrap_or(Protocol::Grpc);
    let own_headers = variables::headers(context, own.headers);
    let tls = own.tls.keys().get(context).or_settings(&shared.tls.keys().get(context));
    let tls = tls.or_variables(on, names);
    if !on {
        tls.check();
        return (protocol, None);
    }
    let environment = variables::headers_of_environment(context, &names("HEADERS"));
    let ca_source = tls.ca_source();
    let (ca, identity) = tls.read();
    let timeout = timeout.warn_below_a_second().given_or_default();
    let compression = compression.given_or_default();
    let endpoint = endpoints.url(signal.place, protocol, &names("INSECURE"));
    let proxy = endpoint.as_ref().and_then(|url| context.proxies().proxy_for(url).cloned());
    if let (Some(url), Some(proxy), Protocol::HttpProtobuf) = (&endpoint, &proxy, protocol)
        && let Some(problem) = proxy.unreachable(url)
    {
        endpoints.unreachable(&problem);
    }
    let needs_roots = ca.is_none()
        && (endpoint.as_ref().is_some_and(|url| url.scheme() == "https")
            || proxy.as_ref().is_some_and(Proxy::speaks_tls));
    let roots = needs_roots.then(|| tls::system_roots(&ca_source));
    let config = || {
        Some(SignalConfig {
            endpoint: endpoint?,
            protocol,
            timeout: timeout?,
            compression: compression?,
            headers: variables::merged([&environment, shared_headers, &own_headers]),
            tls: Tls { ca, roots, identity },
            proxy,
        })
    };
    (protocol, config())
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
fn show(context: &Context<'_>, section: &OpenTelemetry, configs: [&SignalConfig; 2]) {
    let [metrics, traces] = configs;
    let shared = section.shared();
    shared.protocol.show(context, &metrics.protocol);
    shared.timeout.show(context, &metrics.timeout);
    shared.compression.show(context, &metrics.compression);
    let own = [section.metrics, section.traces];
    if traces.protocol != metrics.protocol {
        section.traces.protocol.show(context, &traces.protocol);
    }
    if traces.timeout != metrics.timeout {
        section.traces.timeout.show(context, &traces.timeout);
    }
    if traces.compression != metrics.compression {
        section.traces.compression.show(context, &traces.compression);
    }
    let same_headers = metrics.same_headers(traces);
    let same_files = metrics.tls.same_as(&traces.tls);
    let own = own.into_iter().zip(configs);
    let own = std::iter::once((shared, metrics, true)).chain(own.map(|(key, it)| (key, it, false)));
    for (keys, config, is_shared) in own {
        if same_headers == is_shared {
            let headers = config.headers.iter();
            let headers = headers.map(|(name, value)| (name.clone(), Secret::show(value)));
            keys.headers.show_as(context, Value::Pairs(headers.collect()));
        }
        if same_files == is_shared {
            let (ca, identity) = (config.tls.ca.as_ref(), config.tls.identity.as_ref());
            if is_shared && ca.is_none() && identity.is_none() {
                context.show_empty("opentelemetry.tls");
            }
            keys.tls.keys().show(context, ca, identity);
        }
    }
}
