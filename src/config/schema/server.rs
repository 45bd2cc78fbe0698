//! `server`: the endpoint, the log, the schedule.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::kinds::{
    Choice, Flag, Host, Interval, Named, Port, Text, Time, free_text, kinds, plain, text,
};
use super::web::{self, Web};
use crate::config::yaml::context::Context;
use crate::config::yaml::setting::Key;
use crate::config::yaml::values::{Parsed, duration};
use crate::http::Address;
use crate::log::{self, Destination, Format};
use crate::net::address::is_loopback;
use crate::{http, poller};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Server {
    /// `false` means no endpoint at all: the agent listens nowhere, and only pushes what `opentelemetry` asks for.
    /// `healthcheck` goes on to work.
    #[schemars(extend("default" = true, "x-change" = "the listener opens or closes at once"))]
    enabled: Key<Flag>,
    /// Address of the Prometheus endpoint: a name or an address, IPv6 with or without brackets.
    #[schemars(extend("default" = "0.0.0.0"))]
    #[schemars(extend("x-change" = "the new listener is bound before the old one closes"))]
    host: Key<Host>,
    /// Port of the endpoint, 1 to 65535.
    #[schemars(extend("default" = 9440))]
    #[schemars(extend("x-change" = "the new listener is bound before the old one closes"))]
    port: Key<Port>,
    /// Path of the metrics; `/`, `/health`, `/-/healthy`, `/-/ready` and `/-/reload` are taken.
    #[schemars(extend("default" = "/metrics", "x-change" = "at the next scrape"))]
    uri: Key<MetricsPath>,
    /// Serve `POST /-/reload`, which reads this file again, to everyone who can reach the endpoint.
    #[schemars(extend("x-default" = "true if `host` is localhost or a loopback address"))]
    #[schemars(extend("examples" = [true], "x-change" = "at once"))]
    lifecycle: Key<Flag>,
    /// The rules about those who ask: TLS, certificates of clients, passwords, tokens.
    web: Web,
    /// A web configuration file of Prometheus exporters, in place of `web.tls`, `web.usersFile` and `web.headers`. Paths in
    /// it are relative to its directory, and it has no variables.
    #[schemars(extend("examples" = ["/etc/prometheus/web-config.yml"], "x-change" = "at the next handshake or request"))]
    web_config_file: Key<Text>,
    /// A second listener, for `/-/healthy` and `/-/ready` alone, in plain text and for everyone.
    health: Health,
    /// The job window: gauges count jobs that finished within it. At least `collectionInterval`.
    #[schemars(extend(
        "default" = "1h",
        "x-change" = "kept; a longer window is in force at once if the jobs in memory cover it, else the agent reads \
                      the missing jobs first and exports the old window until then"
    ))]
    scraping_interval: Key<Time>,
    /// Time between two polls of a server; at least 10ms. Each poll asks for jobs, so minutes are usual.
    #[schemars(extend("default" = "5m", "x-change" = "kept"))]
    collection_interval: Key<Interval>,
    /// Time between two requests for storage and for the optional collectors, which change slowly; at least 10ms. Long lists are asked for once in several of them, as docs/metrics.md says.
    #[serde(rename = "cacheTTL")]
    #[schemars(extend("default" = "5m", "x-change" = "kept"))]
    cache_ttl: Key<Interval>,
    /// Age at which the last samples of a failing collector are no longer exported.
    #[schemars(extend("x-default" = "3 x the larger of `collectionInterval` and `cacheTTL`"))]
    #[schemars(extend("examples" = ["15m"], "x-change" = "kept"))]
    stale_after: Key<Time>,
    /// Destination of the log: `stdout` (also `""` and `-`), or a file, relative to the working directory. While the file
    /// cannot be opened, the log goes to standard error.
    #[schemars(extend("default" = "stdout", "x-change" = "at once; SIGHUP opens the file again"))]
    log_name: Key<LogName>,
    /// `text` or `json`.
    #[schemars(extend("default" = "text", "x-change" = "at once"))]
    log_format: Key<Choice<Format>>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    #[schemars(extend("default" = "info", "x-change" = "at once"))]
    log_level: Key<Choice<tracing::Level>>,
    /// Time between two comparisons of the content of this file and of the files that it names, for file systems
    /// that do not report changes; at least 1s.
    #[schemars(extend("default" = "30s", "x-change" = "at once"))]
    pub(super) config_check_interval: Key<Seconds>,
}

#[derive(Deserialize, JsonSchema)]
struct Health {
    /// Address of the listener.
    #[schemars(extend("x-default" = "`server.host`"))]
    #[schemars(extend("examples" = ["127.0.0.1"], "x-change" = "the new listener is bound before the old one closes"))]
    host: Key<Host>,
    /// Port of the listener, 1 to 65535.
    #[schemars(extend("x-default" = "none: no such listener"))]
    #[schemars(extend("examples" = [9441], "x-change" = "the new listener is bound before the old one closes"))]
    port: Key<Port>,
}

impl Health {
    /// Returns the address, if there is a port.
    fn get(&self, context: &Context<'_>, endpoint: &Address) -> Option<Address> {
        let (host, port) = (self.host.get(context), self.port.get(context));
        if port.is_absent() {
            if host.is_set() {
                port.section_error("missing: a listener for health checks needs a port");
            }
            return None;
        }
        let address = Address { host: host.or(endpoint.host.clone()), port: port.option()? };
        let is_everywhere = |at: &Address| matches!(at.host.as_str(), "0.0.0.0" | "::");
        if address.port == endpoint.port
            && (address.host == endpoint.host || is_everywhere(&address) || is_everywhere(endpoint))
        {
            port.error("the same port as server.port; health needs one of its own");
        }
        Some(address)
    }
}

impl Named for Format {
    const NAMES: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl Named for tracing::Level {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("error", Self::ERROR),
        ("warn", Self::WARN),
        ("info", Self::INFO),
        ("debug", Self::DEBUG),
        ("trace", Self::TRACE),
    ];
}

/// A shorter time between polls is more likely the wrong unit than a wish.
const SHORT_INTERVAL: Duration = Duration::from_secs(1);

impl Server {
    pub(super) fn http(&self, context: &Context<'_>) -> Option<http::Config> {
        let host = self.host.get(context).value()?;
        // The agent does not know who can reach the port: reloads from elsewhere must be asked for.
        let lifecycle = self.lifecycle.get(context).or(is_loopback(&host));
        let port = self.port.get(context).value()?;
        let metrics_path = self.uri.get(context).value()?;
        let address = Address { host, port };
        let enabled = self.enabled.get(context).value()?;
        let health = self.health.get(context, &address);
        let web = Arc::new(web::read(context, &self.web, self.web_config_file)?);
        let config = http::Config { enabled, address, metrics_path, lifecycle, web, health };
        if config.is_exposed() {
            self.host.get(context).warn(
                "everybody who reaches the port reads names of clients, policies and servers, in plain text: \
                 set web.tls and web.usersFile or webConfigFile, or host: 127.0.0.1 for a proxy on this machine",
            );
        } else if enabled && config.web.tls.is_none() && !is_loopback(&config.address.host) {
            self.host.get(context).warn("passwords and tokens are sent in plain text: set web.tls");
        }
        Some(config)
    }

    /// Reports that there would be neither an endpoint nor a push.
    pub(super) fn refuse_silence(&self, context: &Context<'_>) {
        let message = "nobody would get a metric: enable opentelemetry with the signal metrics, or the endpoint";
        self.enabled.get(context).error(message);
    }

    pub(super) fn log(&self, context: &Context<'_>) -> Option<log::Config> {
        let name = self.log_name.get(context);
        let destination = name.value()?;
        if let Destination::File(path) = &destination {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            // A directory that is missing here may exist where the agent runs.
            if folder.is_some_and(|folder| !folder.is_dir()) {
                let message =
                    "its directory does not exist: the log goes to standard error until it does";
                name.warn(message);
            }
        }
        let format = self.log_format.get(context).value()?;
        Some(log::Config { destination, format, level: self.log_level.get(context).value()? })
    }

    pub(super) fn polling(&self, context: &Context<'_>) -> Option<poller::Config> {
        let window = self.scraping_interval.get(context).value()?;
        let polls = self.collection_interval.get(context);
        if polls.given().is_some_and(|time| time < SHORT_INTERVAL) {
            polls.warn("very short: each poll asks the server for its jobs; minutes are usual");
        }
        let cache_ttl = self.cache_ttl.get(context);
        if cache_ttl.given().is_some_and(|time| time < SHORT_INTERVAL) {
            cache_ttl.warn("very short: storage is asked for at each poll; minutes are usual");
        }
        let (interval, cache_ttl) = (polls.value()?, cache_ttl.value()?);
        let longest = interval.max(cache_ttl);
        let stale_after = self.stale_after.get(context);
        if stale_after.given().is_some_and(|age| age < longest) {
            let message = "shorter than collectionInterval or cacheTTL: samples are kept until they \
                           were asked for again";
            stale_after.warn(message);
        }
        let stale_after = stale_after.or(3 * longest);
        let window = window.max(interval);
        self.scraping_interval.show(context, &window);
        Some(poller::Config { interval, cache_ttl, window, stale_after })
    }
}

kinds! {
    /// Standard output or a file.
    LogName: Destination, log_name, |value: &Destination| match value {
        Destination::Stdout => plain("stdout"),
        Destination::File(path) => text(path.to_string_lossy()),
    }, free_text();
    /// A duration of at least a second.
    Seconds: Duration, seconds, Time::show, Time::schema();
    /// A path that the endpoint does not use for anything else.
    MetricsPath: String, metrics_path, text, free_text();
}

fn log_name(text: &str) -> Parsed<Destination> {
    let path = match text.trim() {
        "" | "-" | "stdout" => return Ok(Destination::Stdout),
        path => Path::new(path),
    };
    if path.is_dir() {
        return Err("expected a file, and this is a directory".into());
    }
    Ok(Destination::File(path.to_owned()))
}

fn seconds(text: &str) -> Parsed<Duration> {
    match duration(text)? {
        short if short < Duration::from_secs(1) => Err("expected a duration of at least 1s".into()),
        duration => Ok(duration),
    }
}

fn metrics_path(text: &str) -> Parsed<String> {
    let path = text.trim().to_owned();
    if !path.starts_with('/') {
        return Err("expected a path that begins with /".into());
    }
    let bare = path.trim_end_matches('/');
    let taken = http::RESERVED_PATHS.iter().any(|reserved| reserved.trim_end_matches('/') == bare);
    if taken {
        let reserved = http::RESERVED_PATHS.join(", ");
        return Err(format!("expected a path other than those in use: {reserved}").into());
    }
    // A router reads braces, and in places colons and stars, as patterns.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    if !path.chars().all(plain) || path.contains("//") {
        return Err("expected a path of letters, digits, / - _ . and ~".into());
    }
    Ok(path)
}
