//! `server` and `metrics`: the endpoint, the log, the schedule, the limits.

use std::time::Duration;

use super::logging::{self, Destination, Format};
use super::reader::Section;
use super::setting::Found;
use super::values::{Parsed, any, choice, duration, host, number, port};
use crate::{http, poller, telemetry};

/// What `server` configures.
pub(super) struct Server {
    pub(super) http: http::Config,
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
    let http = http::Config {
        host: server.get("host", host).or("0.0.0.0".to_owned()),
        port: server.get("port", port).or(9440),
        metrics_path: server.get("uri", metrics_path).or("/metrics".to_owned()),
    };
    let log = logging::Config {
        destination: server.get("logName", destination).or(Destination::Stdout),
        format: server.get("logFormat", choice(FORMATS)).or(Format::Text),
        level: server.get("logLevel", choice(LEVELS)).or(tracing::Level::INFO),
    };
    Server { http, log, polling: polling(&mut server) }
}

fn polling(server: &mut Section<'_>) -> poller::Config {
    let window = server.get("scrapingInterval", duration).or(Duration::from_secs(3600));
    let interval = server.get("collectionInterval", duration).or(Duration::from_secs(300));
    let cache_ttl = server.get("cacheTTL", duration).or(Duration::from_secs(300));
    let stale_after = server.get("staleAfter", duration);
    if matches!(stale_after.found, Found::Given(age) if age < interval) {
        stale_after
            .source
            .warn("shorter than collectionInterval: samples vanish between two polls");
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

#[expect(clippy::unnecessary_wraps, reason = "parsers have one shape")]
fn destination(text: &str) -> Parsed<Destination> {
    Ok(match text.trim() {
        "" | "-" | "stdout" => Destination::Stdout,
        path => Destination::File(path.into()),
    })
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
