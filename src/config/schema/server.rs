//! `server`: the endpoint, the log, the schedule.

use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::kinds::{
    Choice, Flag, Host, Interval, Named, Port, Time, free_text, kinds, plain, text,
};
use crate::config::logging::{self, Destination, Format};
use crate::config::yaml::context::Context;
use crate::config::yaml::key::Key;
use crate::config::yaml::lookup::{Lookup, Setting};
use crate::config::yaml::values::{Parsed, duration, is_loopback};
use crate::{http, poller};

/// The section.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Server {
    /// Address of the Prometheus endpoint: a name or an address, IPv6 with or without brackets.
    #[schemars(extend(
        "default" = "0.0.0.0",
        "x-change" = "the new listener is bound before the old one closes"
    ))]
    host: Key<Host>,
    /// Port of the endpoint, 1 to 65535.
    #[schemars(extend(
        "default" = 9440,
        "x-change" = "the new listener is bound before the old one closes"
    ))]
    port: Key<Port>,
    /// Path of the metrics; `/`, `/health`, `/-/healthy`, `/-/ready` and `/-/reload` are taken.
    #[schemars(extend("default" = "/metrics", "x-change" = "at the next scrape"))]
    uri: Key<MetricsPath>,
    /// Serve `POST /-/reload`, which reads this file again, to everyone who can reach the endpoint.
    #[schemars(extend(
        "x-default" = "true if `host` is localhost or a loopback address",
        "examples" = [true],
        "x-change" = "at once"
    ))]
    lifecycle: Key<Flag>,
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
    /// Time between two requests for storage and for the optional collectors, which change slowly; at least 10ms.
    #[serde(rename = "cacheTTL")]
    #[schemars(extend("default" = "5m", "x-change" = "kept"))]
    cache_ttl: Key<Interval>,
    /// Age at which the last samples of a failing collector are no longer exported.
    #[schemars(extend(
        "x-default" = "3 x the larger of `collectionInterval` and `cacheTTL`",
        "examples" = ["15m"],
        "x-change" = "kept"
    ))]
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
    config_check_interval: Key<Seconds>,
}

/// The settings of the section.
pub(super) struct Settings {
    pub(super) http: http::Config,
    pub(super) check_interval: Duration,
    pub(super) log: logging::Config,
    pub(super) polling: poller::Config,
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

/// Reads the section.
pub(super) fn read<'c>(context: &'c Context<'c>, server: &Server) -> Option<Settings> {
    let host = server.host.get(context).value();
    // The agent does not know who can reach the port: reloads from elsewhere must be asked for.
    let is_local = host.as_deref().is_some_and(is_loopback);
    let port = server.port.get(context).value();
    let metrics_path = server.uri.get(context).value();
    let lifecycle = server.lifecycle.get(context).or(is_local);
    let check_interval = server.config_check_interval.get(context).value();
    let log = logging::Config {
        destination: log_file(server.log_name.get(context))?,
        format: server.log_format.get(context).value()?,
        level: server.log_level.get(context).value()?,
    };
    let polling = polling(context, server)?;
    let http = http::Config { host: host?, port: port?, metrics_path: metrics_path?, lifecycle };
    Some(Settings { http, check_interval: check_interval?, log, polling })
}

/// A shorter time between polls is more likely the wrong unit than a wish.
const SHORT_INTERVAL: Duration = Duration::from_secs(1);

fn polling<'c>(context: &'c Context<'c>, server: &Server) -> Option<poller::Config> {
    let window = server.scraping_interval.get(context).value()?;
    let polls = server.collection_interval.get(context);
    if matches!(polls.found, Lookup::Valid(time) if time < SHORT_INTERVAL) {
        polls.source.warn("very short: each poll asks the server for its jobs; minutes are usual");
    }
    let cache_ttl = server.cache_ttl.get(context);
    if matches!(cache_ttl.found, Lookup::Valid(time) if time < SHORT_INTERVAL) {
        let message = "very short: storage is asked for at each poll; minutes are usual";
        cache_ttl.source.warn(message);
    }
    let interval = polls.value()?;
    let cache_ttl = cache_ttl.value()?;
    let stale_after = server.stale_after.get(context);
    if matches!(stale_after.found, Lookup::Valid(age) if age < interval.max(cache_ttl)) {
        let message = "shorter than collectionInterval or cacheTTL: samples are kept until they \
                       were asked for again";
        stale_after.source.warn(message);
    }
    let stale_after = stale_after.or(3 * interval.max(cache_ttl));
    let window = window.max(interval);
    server.scraping_interval.show(context, &window);
    Some(poller::Config { interval, cache_ttl, window, stale_after })
}

/// A directory that is missing here may exist where the agent runs.
fn log_file(setting: Setting<'_, Destination>) -> Option<Destination> {
    let source = setting.source.clone();
    let destination = setting.value()?;
    if let Destination::File(path) = &destination {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            source
                .warn("its directory does not exist: the log goes to standard error until it does");
        }
    }
    Some(destination)
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
