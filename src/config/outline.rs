//! The configuration in force as keys and values, in the order of the schema. There is one walk over
//! it: `effective` prints what it finds, `diff` compares it, so a key that is in the one is in both.

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use super::Config;
use super::content::{Digest, digest};
use super::endpoint::PATHS;
use super::logging::Destination;
use super::opentelemetry::{COMPRESSIONS, PROTOCOLS, TEMPORALITIES};
use super::server::{FORMATS, LEVELS};
use super::values::format_duration;
use crate::net::proxy::Proxy;
use crate::net::tls::{Identity, PemFile};
use crate::telemetry::otlp::config::SignalConfig;
use crate::{collectors, netbackup, telemetry};

/// What stands for a secret.
pub(super) const REDACTED: &str = "<redacted>";

/// A key with what it holds. No `Debug`: digests of short secrets give them away.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
}

impl Entry {
    /// Returns true if both are the same key with the same word.
    fn same_word(&self, other: &Self) -> bool {
        let same =
            matches!((&self.value, &other.value), (Value::Plain(a), Value::Plain(b)) if a == b);
        self.key == other.key && same
    }
}

/// What a key holds.
pub(super) enum Value {
    /// A number, a duration, a word of the schema.
    Plain(String),
    /// Free text.
    Text(String),
    /// A list of free texts.
    Texts(Vec<String>),
    /// What is shown of a secret, and the digest of all of it.
    Secret(String, Digest),
    /// The path of a file, and the digest of what counts of its content.
    File(String, Digest),
    /// Keys of the schema.
    Section(Vec<Entry>),
    /// Keys of the user's own.
    Pairs(Vec<Entry>),
    /// A section for each site.
    Sites(Vec<(String, Vec<Entry>)>),
}

/// The configuration, key by key. No secret is in it.
pub(super) fn outline(config: &Config) -> Vec<Entry> {
    let sites = config.servers.iter();
    let sites = sites.map(|server| (server.site.clone(), nbuserver(server, config))).collect();
    let limit = config.metrics.cardinality_limit;
    vec![
        section("server", server(config)),
        entry("nbuservers", Value::Sites(sites)),
        section("collectors", collectors(&config.collectors)),
        section("metrics", vec![plain("cardinalityLimit", limit)]),
        section("state", state(&config.state)),
        section("opentelemetry", opentelemetry(config.otlp.as_ref())),
    ]
}

fn entry(key: &str, value: Value) -> Entry {
    Entry { key: key.to_owned(), value }
}

fn plain(key: &str, value: impl std::fmt::Display) -> Entry {
    entry(key, Value::Plain(format!("{value}")))
}

fn text(key: &str, value: impl Into<String>) -> Entry {
    entry(key, Value::Text(value.into()))
}

fn section(key: &str, entries: Vec<Entry>) -> Entry {
    entry(key, Value::Section(entries))
}

fn secret(key: &str, value: &SecretString) -> Entry {
    let behind = digest(value.expose_secret().as_bytes());
    entry(key, Value::Secret(REDACTED.to_owned(), behind))
}

fn file(key: &str, path: &Path, content: &[u8]) -> Entry {
    entry(key, Value::File(path.to_string_lossy().into_owned(), digest(content)))
}

fn server(config: &Config) -> Vec<Entry> {
    let log = match &config.log.destination {
        Destination::Stdout => plain("logName", "stdout"),
        Destination::File(path) => text("logName", path.to_string_lossy()),
    };
    vec![
        text("host", &config.http.host),
        plain("port", config.http.port),
        text("uri", &config.http.metrics_path),
        plain("lifecycle", config.http.lifecycle),
        plain("scrapingInterval", format_duration(config.polling.window)),
        plain("collectionInterval", format_duration(config.polling.interval)),
        plain("cacheTTL", format_duration(config.polling.cache_ttl)),
        plain("staleAfter", format_duration(config.polling.stale_after)),
        log,
        plain("logFormat", name(FORMATS, &config.log.format)),
        plain("logLevel", name(LEVELS, &config.log.level)),
        plain("configCheckInterval", format_duration(config.check_interval)),
    ]
}

fn nbuserver(server: &netbackup::Config, config: &Config) -> Vec<Entry> {
    let url = &server.base_url;
    let api_key = match config.key_files.get(&server.site) {
        Some(path) => file("apiKeyFile", path, server.api_key.expose_secret().as_bytes()),
        None => secret("apiKey", &server.api_key),
    };
    let version = match server.api_version {
        Some(version) => text("apiVersion", version.to_string()),
        None => plain("apiVersion", "detect"),
    };
    let mut entries = vec![
        text("site", &server.site),
        plain("enabled", true),
        plain("scheme", url.scheme()),
        text("host", url.host_str().unwrap_or_default()),
        plain("port", url.port_or_known_default().unwrap_or_default()),
        text("uri", url.path()),
        api_key,
        version,
        plain("insecureSkipVerify", server.insecure_skip_verify),
    ];
    entries.extend(tls(server.ca.as_ref(), server.identity.as_ref()));
    let configured = server.proxy.as_ref().filter(|proxy| proxy.variable.is_none());
    entries.extend(configured.map(proxy));
    entries.push(plain("timeout", format_duration(server.timeout)));
    entries.push(plain("maxConcurrentRequests", server.max_concurrent_requests));
    entries
}

/// The address of a proxy, with what may be credentials redacted.
fn proxy(proxy: &Proxy) -> Entry {
    let url = proxy.url.expose_secret();
    let scheme =
        if url.trim().to_ascii_lowercase().starts_with("https") { "https" } else { "http" };
    let credentials = if url.contains('@') { format!("{REDACTED}@") } else { String::new() };
    let shown = format!("{scheme}://{credentials}{}", proxy.display);
    entry("proxyUrl", Value::Secret(shown, digest(url.as_bytes())))
}

fn tls(ca: Option<&PemFile>, identity: Option<&Identity>) -> Vec<Entry> {
    let mut entries = Vec::new();
    entries.extend(ca.map(|ca| file("caFile", &ca.path, &ca.pem)));
    if let Some(Identity { certificate, key_path, key }) = identity {
        entries.push(file("certFile", &certificate.path, &certificate.pem));
        entries.push(file("keyFile", key_path, key.expose_secret().as_bytes()));
    }
    entries
}

fn collectors(config: &collectors::Config) -> Vec<Entry> {
    let switches = [
        ("alerts", config.alerts),
        ("malware", config.malware),
        ("catalog", config.catalog),
        ("slo", config.slo),
        ("tape", config.tape),
    ];
    let mut entries: Vec<_> = switches
        .into_iter()
        .map(|(name, enabled)| section(name, vec![plain("enabled", enabled)]))
        .collect();
    entries.push(section("perClient", per_name(&config.per_client)));
    entries.push(section("perPolicy", per_name(&config.per_policy)));
    let names = config.action_names.iter().map(|(from, to)| text(from, to)).collect();
    let jobs = vec![
        entry("actionNames", Value::Pairs(names)),
        plain("longRunningAfter", format_duration(config.long_running_after)),
    ];
    entries.push(section("jobs", jobs));
    entries
}

fn per_name(rules: &collectors::NameFilterConfig) -> Vec<Entry> {
    vec![
        plain("enabled", rules.enabled),
        entry("allowlist", Value::Texts(rules.allowlist.clone())),
        entry("denylist", Value::Texts(rules.denylist.clone())),
        plain("limit", rules.limit),
        plain("forgetAfter", rules.forget_after.map_or("never".into(), format_duration)),
    ]
}

fn state(config: &crate::state::Config) -> Vec<Entry> {
    let directory = config.directory.as_deref();
    directory.map(|path| text("directory", path.to_string_lossy())).into_iter().collect()
}

fn opentelemetry(config: Option<&telemetry::otlp::Config>) -> Vec<Entry> {
    let mut entries = vec![plain("enabled", config.is_some())];
    let Some(config) = config else { return entries };
    entries.extend(endpoints(config));
    let signals = [("metrics", config.metrics), ("traces", config.traces)];
    let signals = signals.iter().filter(|(_, on)| *on).map(|(name, _)| (*name).to_owned());
    let attributes = config.resource_attributes.iter().map(|(name, value)| text(name, value));
    entries.extend([
        plain("insecure", config.metrics_to.endpoint.scheme() == "http"),
        entry("signals", Value::Texts(signals.collect())),
        plain("samplingRate", format!("{:?}", config.sampling_rate)),
        plain("interval", format_duration(config.interval)),
        plain("temporality", name(TEMPORALITIES, &config.temporality)),
        plain("maxRequestBytes", config.max_request_bytes),
        entry("resourceAttributes", Value::Pairs(attributes.collect())),
    ]);
    entries.extend(both_signals(&config.metrics_to, &config.traces_to));
    entries
}

/// Settings that both signals have stand once. Where words differ, traces have their own; where headers or
/// files do, which are merged with those of both, each signal has.
fn both_signals(metrics: &SignalConfig, traces: &SignalConfig) -> Vec<Entry> {
    let mut shared = words(metrics);
    let differs = |entry: &Entry| !shared.iter().any(|other| other.same_word(entry));
    let mut of_traces: Vec<Entry> = words(traces).into_iter().filter(differs).collect();
    let mut of_metrics = Vec::new();
    if metrics.same_headers(traces) {
        shared.push(headers(metrics));
    } else {
        of_metrics.push(headers(metrics));
        of_traces.push(headers(traces));
    }
    let files = |config: &SignalConfig| {
        section("tls", tls(config.tls.ca.as_ref(), config.tls.identity.as_ref()))
    };
    if metrics.tls.same_as(&traces.tls) {
        shared.push(files(metrics));
    } else {
        of_metrics.push(files(metrics));
        of_traces.push(files(traces));
    }
    let sections = [("metrics", of_metrics), ("traces", of_traces)];
    let sections = sections.into_iter().filter(|(_, entries)| !entries.is_empty());
    shared.extend(sections.map(|(name, entries)| section(name, entries)));
    shared
}

fn words(config: &SignalConfig) -> Vec<Entry> {
    vec![
        plain("protocol", name(PROTOCOLS, &config.protocol)),
        plain("timeout", format_duration(config.timeout)),
        plain("compression", name(COMPRESSIONS, &config.compression)),
    ]
}

fn headers(config: &SignalConfig) -> Entry {
    let headers = config.headers.iter().map(|(name, value)| secret(name, value));
    entry("headers", Value::Pairs(headers.collect()))
}

/// One endpoint where it yields both, else one for each signal.
fn endpoints(config: &telemetry::otlp::Config) -> Vec<Entry> {
    let (metrics, traces) = (&config.metrics_to.endpoint, &config.traces_to.endpoint);
    let mut base = metrics.clone();
    base.set_path("");
    let expected = PATHS.map(|path| base.join(path).ok());
    if [Some(metrics.clone()), Some(traces.clone())] == expected {
        vec![text("endpoint", base.as_str())]
    } else if metrics == traces {
        vec![text("endpoint", metrics.as_str())]
    } else {
        vec![text("metricsEndpoint", metrics.as_str()), text("tracesEndpoint", traces.as_str())]
    }
}

fn name<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, candidate)| candidate == value).map_or("", |(name, _)| *name)
}
