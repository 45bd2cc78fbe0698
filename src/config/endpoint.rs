//! Where OTLP goes: `endpoint`, `insecure`, and one endpoint for each signal where they differ.

use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_ENDPOINT as GENERAL, OTEL_EXPORTER_OTLP_INSECURE,
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT as METRICS, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT as TRACES,
};
use url::Url;

use super::reader::Section;
use super::setting::{Found, Setting};
use super::values::{Parsed, boolean, bracketed, host, port};
use crate::telemetry::otlp::config::Protocol;

/// Variables that name an endpoint.
pub(super) const VARIABLES: [&str; 3] = [GENERAL, METRICS, TRACES];

/// Paths of the two signals over HTTP.
pub(super) const PATHS: [&str; 2] = ["/v1/metrics", "/v1/traces"];

/// When the path of a signal is appended.
#[derive(Clone, Copy)]
enum Append {
    /// The file's `endpoint`: where it has no path of its own.
    WherePathIsEmpty,
    /// The general variable: always, says the specification.
    Always,
}

/// The endpoints of metrics and traces; `None` where the push is off or one is missing or wrong.
pub(super) fn read(
    section: &mut Section<'_>,
    on: bool,
    protocol: Protocol,
    (metrics, traces): (bool, bool),
) -> Option<(Url, Url)> {
    let insecure = section.get("insecure", boolean);
    let said = matches!(insecure.found, Found::Given(true));
    let insecure = insecure.or_variable(on, OTEL_EXPORTER_OTLP_INSECURE, boolean).or(false);
    let parse = |text: &str| parse(text, insecure);
    let in_file = |text: &str| contradiction(text, said).and_then(|()| parse(text));
    let general = section.get("endpoint", in_file);
    // A variable is below every key of the file, be the variable the more specific one.
    let below = on && general.is_absent();
    let own_metrics = section.get("metricsEndpoint", in_file).or_variable(below, METRICS, parse);
    let own_traces = section.get("tracesEndpoint", in_file).or_variable(below, TRACES, parse);
    let append = if below { Append::Always } else { Append::WherePathIsEmpty };
    let general = general.or_variable(below, GENERAL, parse);
    if !on {
        return None;
    }
    let shared = [(&own_metrics, metrics), (&own_traces, traces)]
        .into_iter()
        .filter(|(own, on)| *on && own.is_absent())
        .count();
    check(&general, shared, protocol, append);
    let general = general.option();
    let choose = |own: Setting<'_, Url>, path| {
        own.option().or_else(|| general.clone().map(|url| appended(url, protocol, append, path)))
    };
    let [metrics_path, traces_path] = PATHS;
    match (choose(own_metrics, metrics_path), choose(own_traces, traces_path)) {
        (Some(metrics), Some(traces)) => Some((metrics, traces)),
        // Only one signal is pushed, or an error has been reported.
        (Some(only), None) | (None, Some(only)) => Some((only.clone(), only)),
        (None, None) => None,
    }
}

/// Looks at the endpoint that `shared` signals without one of their own use.
fn check(general: &Setting<'_, Url>, shared: usize, protocol: Protocol, append: Append) {
    match &general.found {
        Found::Absent if shared > 0 => {
            let message = "required where OTLP is pushed, as host:port or a URL (or \
                           OTEL_EXPORTER_OTLP_ENDPOINT)";
            general.source.error(message);
        }
        Found::Given(url)
            if shared > 1
                && protocol == Protocol::HttpProtobuf
                && matches!(append, Append::WherePathIsEmpty)
                && url.path() != "/" =>
        {
            let message = "its path is used as it is, for metrics and traces alike; \
                           metricsEndpoint and tracesEndpoint take a path each";
            general.source.warn(message);
        }
        _ => {}
    }
}

fn appended(mut url: Url, protocol: Protocol, append: Append, path: &str) -> Url {
    let own = url.path().trim_end_matches('/').to_owned();
    match (protocol, append) {
        (Protocol::Grpc, _) => {}
        (Protocol::HttpProtobuf, Append::WherePathIsEmpty) if !own.is_empty() => {}
        (Protocol::HttpProtobuf, _) => url.set_path(&format!("{own}{path}")),
    }
    url
}

/// `insecure: true` beside `https://` in one file: one of the two is a mistake, and guessing which
/// would either break the connection or send data in the clear.
fn contradiction(text: &str, insecure: bool) -> Parsed<()> {
    if insecure && text.trim().to_ascii_lowercase().starts_with("https://") {
        return Err("https:// contradicts insecure: true; drop one of them".into());
    }
    Ok(())
}

fn parse(text: &str, insecure: bool) -> Parsed<Url> {
    const EXPECTED: &str = "expected host:port or a URL such as https://collector.example.com:4317";
    let text = text.trim();
    let url = if text.contains("://") {
        Url::parse(text).ok()
    } else {
        let scheme = if insecure { "http" } else { "https" };
        host_and_port(text).and_then(|address| Url::parse(&format!("{scheme}://{address}")).ok())
    };
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or(EXPECTED)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold credentials; opentelemetry.headers takes them".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not hold a query; opentelemetry.headers takes credentials".into());
    }
    Ok(url)
}

fn host_and_port(text: &str) -> Option<String> {
    let (name, digits) = text.rsplit_once(':')?;
    let name = host(name).ok()?;
    // An IPv6 address without brackets would lose its last group to the port.
    if name.contains(':') && !text.starts_with('[') {
        return None;
    }
    Some(format!("{}:{}", bracketed(&name), port(digits).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_addresses_or_urls() {
        for (text, insecure, expected) in [
            ("collector:4317", true, "http://collector:4317/"),
            ("collector:4317", false, "https://collector:4317/"),
            ("[::1]:4317", true, "http://[::1]:4317/"),
            ("http://collector:4318", false, "http://collector:4318/"),
            ("https://x.example.com/otlp", false, "https://x.example.com/otlp"),
        ] {
            assert_eq!(parse(text, insecure).unwrap().as_str(), expected, "{text}");
        }
        for text in
            ["collector", "::1:4317", "ftp://x", "http://", "a b:1", "http://u:p@x", "http://x?k=v"]
        {
            assert!(parse(text, false).is_err(), "{text}");
        }
    }
}
