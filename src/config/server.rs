//! `server` and `metrics`: the endpoint, the log, the schedule, the limits.

use std::path::Path;
use std::time::Duration;

use super::logging::{self, Destination, Format};
use super::reader::Section;
use super::setting::{Found, Setting};
use super::values::{
    Parsed, any, boolean, choice, duration, host, interval, is_loopback, number, port,
};
use crate::{http, poller, telemetry};

/// What `server` configures.
pub(super) struct Server {
    pub(super) http: http::Config,
    pub(super) check_interval: Duration,
    pub(super) log: logging::Config,
    pub(super) polling: poller::Config,
}

/// Log formats by name.
pub(super) const FORMATS: &[(&str, Format)] = &[("text", Format::Text), ("json", Format::Json)];

/// Log levels by name.
pub(super) const LEVELS: &[(&str, tracing::Level)] = &[
    ("error", tracing::Level::ERROR),
    ("warn", tracing::Level::WARN),
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
    ("trace", tracing::Level::TRACE),
];

/// Reads `server`.
pub(super) fn read(root: &mut Section<'_>) -> Server {
    let mut server = root.section("server");
    let host = server.get("host", host).or("0.0.0.0".to_owned());
    let local = is_loopback(&host);
    let http = http::Config {
        host,
        port: server.get("port", port).or(9440),
        metrics_path: server.get("uri", metrics_path).or("/metrics".to_owned()),
        // Whom the network lets in is not known: from afar only where somebody said so.
        lifecycle: server.get("lifecycle", boolean).or(local),
    };
    let check_interval = server.get("configCheckInterval", seconds).or(Duration::from_secs(30));
    let log = logging::Config {
        destination: log_file(server.get("logName", destination)),
        format: server.get("logFormat", choice(FORMATS)).or(Format::Text),
        level: server.get("logLevel", choice(LEVELS)).or(tracing::Level::INFO),
    };
    Server { http, check_interval, log, polling: polling(&mut server) }
}

/// A duration of at least a second.
fn seconds(text: &str) -> Parsed<Duration> {
    match duration(text)? {
        short if short < Duration::from_secs(1) => Err("expected a duration of at least 1s".into()),
        duration => Ok(duration),
    }
}

/// Polling more often than this is more likely a slip of the unit than a wish.
const SHORT_INTERVAL: Duration = Duration::from_secs(1);

fn polling(server: &mut Section<'_>) -> poller::Config {
    let window = server.get("scrapingInterval", duration).or(Duration::from_secs(3600));
    let polls = server.get("collectionInterval", interval);
    if matches!(polls.found, Found::Given(time) if time < SHORT_INTERVAL) {
        polls.source.warn("very short: each poll asks the server for its jobs; minutes are usual");
    }
    let cache_ttl = server.get("cacheTTL", interval);
    if matches!(cache_ttl.found, Found::Given(time) if time < SHORT_INTERVAL) {
        let message = "very short: storage is asked for at each poll; minutes are usual";
        cache_ttl.source.warn(message);
    }
    let interval = polls.or(Duration::from_secs(300));
    let cache_ttl = cache_ttl.or(Duration::from_secs(300));
    let stale_after = server.get("staleAfter", duration);
    if matches!(stale_after.found, Found::Given(age) if age < interval.max(cache_ttl)) {
        let message = "shorter than collectionInterval or cacheTTL: samples are kept until they \
                       were asked for again";
        stale_after.source.warn(message);
    }
    let stale_after = stale_after.or(3 * interval.max(cache_ttl));
    poller::Config { interval, cache_ttl, window: window.max(interval), stale_after }
}

/// Reads `metrics`.
pub(super) fn metrics(root: &mut Section<'_>) -> telemetry::Config {
    let mut metrics = root.section("metrics");
    let limit = metrics.get("cardinalityLimit", number(1, 10_000_000)).or(200_000);
    telemetry::Config { cardinality_limit: limit }
}

/// A directory that is missing here may be there where the agent runs.
fn log_file(field: Setting<'_, Destination>) -> Destination {
    let source = field.source.clone();
    let destination = field.or(Destination::Stdout);
    if let Destination::File(path) = &destination {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            source
                .warn("its directory does not exist: the log goes to standard error until it does");
        }
    }
    destination
}

fn destination(text: &str) -> Parsed<Destination> {
    let path = match text.trim() {
        "" | "-" | "stdout" => return Ok(Destination::Stdout),
        path => Path::new(path),
    };
    if path.is_dir() {
        return Err("expected a file, and this is a directory".into());
    }
    Ok(Destination::File(path.to_owned()))
}

fn metrics_path(text: &str) -> Parsed<String> {
    let path = any(text)?.trim().to_owned();
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
