//! The configuration in force as a file in its own schema: every default filled in, every secret
//! redacted. Apart from the secrets it loads again and means the same.

use std::fmt::Write as _;

use super::Config;
use super::endpoint::PATHS;
use super::logging::Destination;
use super::opentelemetry::{COMPRESSIONS, PROTOCOLS, TEMPORALITIES};
use super::server::{FORMATS, LEVELS};
use super::values::format_duration;
use crate::netbackup::config::{Identity, PemFile, Proxy};
use crate::{collectors, netbackup, telemetry};

/// What stands for a secret.
const REDACTED: &str = "<redacted>";

/// Writes the configuration as YAML; no secret is in it.
pub fn effective(config: &Config) -> String {
    let mut out = Yaml::default();
    server(&mut out, config);
    out.list("nbuservers", &config.servers, |out, server| nbuserver(out, server, config));
    out.section("collectors", |out| collectors(out, &config.collectors));
    out.section("metrics", |out| {
        out.plain("cardinalityLimit", config.metrics.cardinality_limit);
    });
    out.section("opentelemetry", |out| {
        out.plain("enabled", config.otlp.is_some());
        if let Some(otlp) = &config.otlp {
            opentelemetry(out, otlp);
        }
    });
    out.text
}

fn server(out: &mut Yaml, config: &Config) {
    out.section("server", |out| {
        out.quoted("host", &config.http.host);
        out.plain("port", config.http.port);
        out.quoted("uri", &config.http.metrics_path);
        out.plain("scrapingInterval", format_duration(config.polling.window));
        out.plain("collectionInterval", format_duration(config.polling.interval));
        out.plain("cacheTTL", format_duration(config.polling.cache_ttl));
        out.plain("staleAfter", format_duration(config.polling.stale_after));
        match &config.log.destination {
            Destination::Stdout => out.plain("logName", "stdout"),
            Destination::File(path) => out.quoted("logName", &path.to_string_lossy()),
        }
        out.plain("logFormat", name(FORMATS, &config.log.format));
        out.plain("logLevel", name(LEVELS, &config.log.level));
    });
}

fn nbuserver(out: &mut Yaml, server: &netbackup::Config, config: &Config) {
    let url = &server.base_url;
    out.quoted("site", &server.site);
    out.plain("enabled", true);
    out.plain("scheme", url.scheme());
    out.quoted("host", url.host_str().unwrap_or_default());
    out.plain("port", url.port_or_known_default().unwrap_or_default());
    out.quoted("uri", url.path());
    match config.key_files.get(&server.site) {
        Some(path) => out.quoted("apiKeyFile", &path.to_string_lossy()),
        None => out.quoted("apiKey", REDACTED),
    }
    match server.api_version {
        Some(version) => out.quoted("apiVersion", &version.to_string()),
        None => out.plain("apiVersion", "detect"),
    }
    out.plain("insecureSkipVerify", server.insecure_skip_verify);
    tls(out, server.ca.as_ref(), server.identity.as_ref());
    if let Some(proxy) = &server.proxy {
        out.quoted("proxyUrl", &proxy_url(proxy));
    }
    out.plain("timeout", format_duration(server.timeout));
    out.plain("maxConcurrentRequests", server.max_concurrent_requests);
}

/// The address of a proxy, with what may be credentials redacted.
fn proxy_url(proxy: &Proxy) -> String {
    use secrecy::ExposeSecret as _;
    let url = proxy.url.expose_secret();
    let scheme =
        if url.trim().to_ascii_lowercase().starts_with("https") { "https" } else { "http" };
    let credentials = if url.contains('@') { format!("{REDACTED}@") } else { String::new() };
    format!("{scheme}://{credentials}{}", proxy.display)
}

fn tls(out: &mut Yaml, ca: Option<&PemFile>, identity: Option<&Identity>) {
    if let Some(ca) = ca {
        out.quoted("caFile", &ca.path.to_string_lossy());
    }
    if let Some(identity) = identity {
        out.quoted("certFile", &identity.certificate.path.to_string_lossy());
        out.quoted("keyFile", &identity.key_path.to_string_lossy());
    }
}

fn collectors(out: &mut Yaml, config: &collectors::Config) {
    let switches = [
        ("alerts", config.alerts),
        ("malware", config.malware),
        ("catalog", config.catalog),
        ("slo", config.slo),
        ("tape", config.tape),
    ];
    for (name, enabled) in switches {
        out.section(name, |out| out.plain("enabled", enabled));
    }
    out.section("perClient", |out| {
        out.plain("enabled", config.per_client.enabled);
        out.texts("allowlist", config.per_client.allowlist.iter().map(String::as_str));
    });
    out.section("jobs", |out| {
        let names = config.action_names.iter();
        out.map("actionNames", names.map(|(from, to)| (from.as_str(), to.as_str())));
    });
}

fn opentelemetry(out: &mut Yaml, config: &telemetry::otlp::Config) {
    endpoints(out, config);
    out.plain("insecure", config.metrics_endpoint.scheme() == "http");
    out.plain("protocol", name(PROTOCOLS, &config.protocol));
    let signals = [("metrics", config.metrics), ("traces", config.traces)];
    out.texts("signals", signals.iter().filter(|(_, on)| *on).map(|(name, _)| *name));
    out.plain("samplingRate", format!("{:?}", config.sampling_rate));
    out.plain("interval", format_duration(config.interval));
    out.plain("timeout", format_duration(config.timeout));
    out.plain("compression", name(COMPRESSIONS, &config.compression));
    out.plain("temporality", name(TEMPORALITIES, &config.temporality));
    out.plain("maxRequestBytes", config.max_request_bytes);
    out.map("headers", config.headers.iter().map(|(name, _)| (name.as_str(), REDACTED)));
    let attributes = config.resource_attributes.iter();
    out.map("resourceAttributes", attributes.map(|(name, value)| (name.as_str(), value.as_str())));
    let (ca, identity) = (config.tls.ca.as_ref(), config.tls.identity.as_ref());
    if ca.is_some() || identity.is_some() {
        out.section("tls", |out| tls(out, ca, identity));
    } else {
        out.plain("tls", "{}");
    }
}

/// One endpoint where it yields both, else one for each signal.
fn endpoints(out: &mut Yaml, config: &telemetry::otlp::Config) {
    let (metrics, traces) = (&config.metrics_endpoint, &config.traces_endpoint);
    let mut base = metrics.clone();
    base.set_path("");
    let expected = PATHS.map(|path| base.join(path).ok());
    if [Some(metrics.clone()), Some(traces.clone())] == expected {
        out.quoted("endpoint", base.as_str());
    } else if metrics == traces {
        out.quoted("endpoint", metrics.as_str());
    } else {
        out.quoted("metricsEndpoint", metrics.as_str());
        out.quoted("tracesEndpoint", traces.as_str());
    }
}

fn name<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, candidate)| candidate == value).map_or("", |(name, _)| *name)
}

/// A writer for the little YAML that is needed, with all free text in quotes.
#[derive(Default)]
struct Yaml {
    text: String,
    indent: usize,
    /// The next line begins an item of a list.
    item: bool,
}

impl Yaml {
    fn line(&mut self, content: &str) {
        let indent = self.indent - if std::mem::take(&mut self.item) { 2 } else { 0 };
        let marker = if indent < self.indent { "- " } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:indent$}{marker}{content}", "");
    }

    fn plain(&mut self, key: &str, value: impl std::fmt::Display) {
        self.line(&format!("{key}: {value}"));
    }

    fn quoted(&mut self, key: &str, value: &str) {
        self.plain(key, quote(value));
    }

    fn section(&mut self, key: &str, body: impl FnOnce(&mut Self)) {
        self.line(&format!("{key}:"));
        self.indent += 2;
        body(self);
        self.indent -= 2;
    }

    fn list<T>(&mut self, key: &str, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.line(&format!("{key}:"));
        self.indent += 4;
        for item in items {
            self.item = true;
            each(self, item);
        }
        self.indent -= 4;
    }

    fn texts<'t>(&mut self, key: &str, texts: impl Iterator<Item = &'t str>) {
        let texts: Vec<_> = texts.map(quote).collect();
        self.plain(key, format!("[{}]", texts.join(", ")));
    }

    fn map<'t>(&mut self, key: &str, entries: impl Iterator<Item = (&'t str, &'t str)>) {
        let mut entries = entries.peekable();
        if entries.peek().is_none() {
            return self.plain(key, "{}");
        }
        self.section(key, |out| {
            for (name, value) in entries {
                // A dollar sign means something in values only.
                out.plain(&quote(name).replace("$$", "$"), quote(value));
            }
        });
    }
}

/// A double-quoted scalar that is read back as `text`, dollar signs included.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '$' => out.push_str("$$"),
            '\u{feff}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
