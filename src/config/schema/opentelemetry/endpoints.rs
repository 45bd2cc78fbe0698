//! Endpoints of OTLP: `endpoint`, `insecure`, and one endpoint for each signal where they differ.

use url::Url;

use super::keys::OpenTelemetry;
use crate::config::schema::address::{Endpoint, EndpointAddress};
use crate::config::schema::kinds::Flag;
use crate::config::yaml::context::Context;
use crate::config::yaml::setting::{Key, Setting};
use crate::config::yaml::values::boolean;
use crate::telemetry::otlp::config::Protocol;

/// Paths of the two signals over HTTP.
pub(super) const PATHS: [&str; 2] = ["/v1/metrics", "/v1/traces"];

/// Variables of the two signals that say if an endpoint without a scheme is plain text.
const INSECURE: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_METRICS_INSECURE", "OTEL_EXPORTER_OTLP_TRACES_INSECURE"];

/// Settings of the endpoints.
pub(super) struct Endpoints<'c> {
    insecure: Setting<'c, Flag>,
    general: Setting<'c, EndpointAddress>,
    /// Of metrics and of traces.
    own: [Setting<'c, EndpointAddress>; 2],
}

impl<'c> Endpoints<'c> {
    /// Reads the keys and, where the push is on, their variables.
    pub(super) fn get(context: &'c Context<'c>, section: &OpenTelemetry, on: bool) -> Self {
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
    pub(super) fn unreachable(&self, problem: &str) {
        self.general.section_error(problem);
    }

    /// Returns the endpoint of one signal, by its place; `None` where it is missing or wrong.
    pub(super) fn url(&self, place: usize, protocol: Protocol) -> Option<Url> {
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
    pub(super) fn check_shared(&self, pushed: [bool; 2], protocols: [Protocol; 2]) {
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
