//! One server: schedule, collect, publish.

use std::time::Duration;

/// When servers are polled and for how long samples live. The same for all sites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Time between two polls of a server.
    pub interval: Duration,
    /// How long slowly changing resources are reused.
    pub cache_ttl: Duration,
    /// The job window: the larger of `scrapingInterval` and the interval.
    pub window: Duration,
    /// Age at which the samples of a failing collector vanish.
    pub stale_after: Duration,
}
