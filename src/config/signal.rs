//! What each signal of the OTLP push can have apart from the other. A key of `opentelemetry.metrics` or
//! `opentelemetry.traces` comes first, then the key that both share, then the variable of the signal
//! (`OTEL_EXPORTER_OTLP_METRICS_TIMEOUT`), then the variable that both share.

use std::time::Duration;

use secrecy::SecretString;

use super::endpoint::{Endpoints, shared_endpoint};
use super::files::{self, TlsSettings};
use super::opentelemetry::{COMPRESSIONS, PROTOCOLS};
use super::reader::Section;
use super::setting::Setting;
use super::values::{choice, duration, milliseconds};
use super::variables;
use crate::net::proxy::Proxy;
use crate::telemetry::otlp::config::{Compression, Protocol, SignalConfig, Tls};

/// How variables of both signals begin; those of one go on with its name.
const VARIABLES: &str = "OTEL_EXPORTER_OTLP_";

/// Settings by key, of the file alone.
struct Keys<'c> {
    protocol: Setting<'c, Protocol>,
    timeout: Setting<'c, Duration>,
    compression: Setting<'c, Compression>,
    headers: Vec<(String, SecretString)>,
    tls: TlsSettings<'c>,
}

impl<'c> Keys<'c> {
    fn of(section: &mut Section<'c>) -> Self {
        Self {
            protocol: section.get("protocol", choice(PROTOCOLS)),
            timeout: section.get("timeout", duration),
            compression: section.get("compression", choice(COMPRESSIONS)),
            headers: variables::headers(section),
            tls: TlsSettings::of(&mut section.section("tls")),
        }
    }
}

/// One signal: its section, what its variables have after the common prefix, whether it is pushed.
struct Signal {
    section: &'static str,
    variables: &'static str,
    place: usize,
    on: bool,
}

/// Reads the settings of metrics and traces. A signal that is not pushed has those of the other one;
/// `None` where the push is off or an endpoint is missing or wrong.
pub(super) fn read(
    section: &mut Section<'_>,
    on: bool,
    (metrics, traces): (bool, bool),
) -> Option<(SignalConfig, SignalConfig)> {
    let endpoints = Endpoints::of(section, on);
    let shared = Keys::of(section);
    let metrics = Signal { section: "metrics", variables: "METRICS_", place: 0, on: on && metrics };
    let traces = Signal { section: "traces", variables: "TRACES_", place: 1, on: on && traces };
    let pushed = [metrics.on, traces.on];
    let [metrics, traces] =
        [metrics, traces].map(|signal| one(section, &signal, &shared, &endpoints));
    if !on {
        return None;
    }
    let protocols = [&metrics, &traces].map(|found| found.0);
    shared_endpoint(&endpoints, pushed, protocols);
    match (metrics.1, traces.1) {
        (Some(metrics), Some(traces)) => Some((metrics, traces)),
        // Only one signal is pushed, or an error has been reported.
        (Some(only), None) | (None, Some(only)) => Some((only.clone(), only)),
        (None, None) => None,
    }
}

/// Reads one signal; its protocol, and all of it where it is pushed and has an endpoint.
fn one(
    section: &mut Section<'_>,
    signal: &Signal,
    shared: &Keys<'_>,
    endpoints: &Endpoints<'_>,
) -> (Protocol, Option<SignalConfig>) {
    let context = section.context;
    let own = Keys::of(&mut section.section(signal.section));
    let names = |kind: &str| {
        [format!("{VARIABLES}{}{kind}", signal.variables), format!("{VARIABLES}{kind}")]
    };
    let on = signal.on;
    let protocol = own.protocol.or_setting(&shared.protocol);
    let protocol = protocol.or_variables(on, &names("PROTOCOL"), choice(PROTOCOLS));
    let timeout = own.timeout.or_setting(&shared.timeout);
    let timeout = timeout.or_variables(on, &names("TIMEOUT"), milliseconds);
    let compression = own.compression.or_setting(&shared.compression);
    let compression = compression.or_variables(on, &names("COMPRESSION"), choice(COMPRESSIONS));
    let protocol = protocol.or(Protocol::Grpc);
    let tls = own.tls.or_settings(&shared.tls).or_variables(on, names);
    if !on {
        tls.check();
        return (protocol, None);
    }
    let environment = variables::headers_of_environment(context, &names("HEADERS"));
    let ca_source = tls.ca_source();
    let (ca, identity) = tls.read();
    let timeout = timeout.warn_below_a_second().or(Duration::from_secs(10));
    let endpoint = endpoints.url(signal.place, protocol, &names("INSECURE"));
    let proxy = endpoint.as_ref().and_then(|url| context.proxies().proxy_for(url).cloned());
    if let (Some(url), Some(proxy), Protocol::HttpProtobuf) = (&endpoint, &proxy, protocol)
        && let Some(problem) = proxy.unreachable(url)
    {
        context.error(section.position, &section.path_of("endpoint"), problem);
    }
    let needs_roots = ca.is_none()
        && (endpoint.as_ref().is_some_and(|url| url.scheme() == "https")
            || proxy.as_ref().is_some_and(Proxy::speaks_tls));
    let roots = needs_roots.then(|| files::system_roots(&ca_source));
    let config = endpoint.map(|endpoint| SignalConfig {
        endpoint,
        protocol,
        timeout,
        compression: compression.or(Compression::None),
        headers: variables::merged([&environment, &shared.headers, &own.headers]),
        tls: Tls { ca, roots, identity },
        proxy,
    });
    (protocol, config)
}
