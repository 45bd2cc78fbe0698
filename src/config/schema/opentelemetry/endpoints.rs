//! Endpoints of OTLP: `endpoint`, `insecure`, and one endpoint for each signal where they differ.

use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_ENDPOINT as GENERAL, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT as METRICS,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT as TRACES,
};
use url::Url;

use super::address::{Address, parse};
use super::keys::OpenTelemetry;
use crate::config::yaml::context::Context;
use crate::config::yaml::lookup::{Lookup, Setting};
use crate::config::yaml::values::{Parsed, boolean};
use crate::telemetry::otlp::config::Protocol;

/// Variables that name an endpoint.
pub(super) const VARIABLES: [&str; 3] = [GENERAL, METRICS, TRACES];

/// Paths of the two signals over HTTP.
pub(super) const PATHS: [&str; 2] = ["/v1/metrics", "/v1/traces"];

/// Rule for appending the path of a signal.
#[derive(Clone, Copy)]
enum Append {
    /// The file's `endpoint`: where it has no path of its own.
    WherePathIsEmpty,
    /// The general variable: always, says the specification.
    Always,
}

/// Settings of the endpoints.
pub(super) struct Endpoints<'c> {
    insecure: Setting<'c, bool>,
    general: Setting<'c, Address>,
    /// Of metrics and of traces.
    own: [Setting<'c, Address>; 2],
    append: Append,
}

impl<'c> Endpoints<'c> {
    /// Reads the keys and, where the push is on, their variables.
    pub(super) fn get(context: &'c Context<'c>, section: &OpenTelemetry, on: bool) -> Self {
        let insecure = section.insecure.get(context);
        let said = matches!(insecure.found, Lookup::Valid(true));
        let in_file = |text: &str| contradiction(text, said).and_then(|()| parse(text));
        let general = section.endpoint.get_as(context, in_file);
        // A variable is below every key of the file, be the variable the more specific one.
        let below = on && general.is_absent();
        let own = [
            section.metrics_endpoint.get_as(context, in_file).or_variable(below, METRICS, parse),
            section.traces_endpoint.get_as(context, in_file).or_variable(below, TRACES, parse),
        ];
        let append = if below { Append::Always } else { Append::WherePathIsEmpty };
        let general = general.or_variable(below, GENERAL, parse);
        Self { insecure, general, own, append }
    }

    /// Reports that an endpoint cannot be reached.
    pub(super) fn unreachable(&self, problem: &str) {
        self.general.source.section_error(problem);
    }

    /// Returns the endpoint of one signal, by its place; `insecure` are the variables that say whether one
    /// without a scheme is plain text. `None` where it is missing or wrong.
    pub(super) fn url(&self, place: usize, protocol: Protocol, insecure: &[String]) -> Option<Url> {
        let insecure =
            self.insecure.clone().or_variables(true, insecure, boolean).given().unwrap_or_default();
        let own = self.own.get(place)?;
        if !own.is_absent() {
            return own.clone().given()?.url(insecure);
        }
        let general = self.general.clone().given()?.url(insecure)?;
        Some(appended(general, protocol, self.append, PATHS.get(place)?))
    }
}

/// Checks the endpoint that pushed signals without one of their own use.
pub(super) fn shared_endpoint(
    endpoints: &Endpoints<'_>,
    pushed: [bool; 2],
    protocols: [Protocol; 2],
) {
    let own = endpoints.own.iter().map(Setting::is_absent);
    let shared: Vec<Protocol> = own
        .zip(pushed)
        .zip(protocols)
        .filter(|((absent, on), _)| *absent && *on)
        .map(|(_, protocol)| protocol)
        .collect();
    match &endpoints.general.found {
        Lookup::Absent if !shared.is_empty() => {
            let message = "required where OTLP is pushed, as host:port or a URL (or \
                           OTEL_EXPORTER_OTLP_ENDPOINT)";
            endpoints.general.source.error(message);
        }
        Lookup::Valid(Address::Url(url))
            if shared == [Protocol::HttpProtobuf; 2]
                && matches!(endpoints.append, Append::WherePathIsEmpty)
                && url.path() != "/" =>
        {
            let message = "its path is used as it is, for metrics and traces alike; \
                           metricsEndpoint and tracesEndpoint take a path each";
            endpoints.general.source.warn(message);
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
