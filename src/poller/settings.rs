//! The settings of a site's poller, and what a reload changes of them.

use std::sync::Arc;
use std::time::Duration;

use crate::collectors::{self, Row, Settings};
use crate::netbackup::{Client, Connection};
use crate::slp::{Exchange, Links};
use crate::state::StateDir;
use crate::telemetry::traces::Tracer;
use crate::tenure::Tenure;

/// Times of polling and lifetimes of samples. The same for all sites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub interval: Duration,
    /// Time for which slowly changing resources are reused.
    pub cache_ttl: Duration,
    /// The job window: the larger of `scrapingInterval` and the interval.
    pub window: Duration,
    /// Age at which the samples of a failing collector vanish.
    pub stale_after: Duration,
}

impl Config {
    /// Returns the deadline of one run of a collector: the interval, 60 s at least, and a little
    /// less, so that a run that needs all of it does not cost the next cycle too.
    pub fn deadline(&self) -> Duration {
        self.interval.max(Duration::from_secs(60)).saturating_sub(Duration::from_secs(2))
    }
}

/// Rules for one site: when it is polled, and what is collected there.
#[derive(Debug, Clone)]
pub struct Rules {
    pub polling: Config,
    pub collectors: Arc<collectors::Config>,
    pub state: Option<StateDir>,
}

impl Rules {
    /// Returns the settings of the collectors of the site that has these links.
    pub fn settings<'s>(&'s self, links: &'s Links) -> Settings<'s> {
        Settings {
            collectors: &self.collectors,
            window: self.polling.window,
            state: self.state.as_ref(),
            links,
        }
    }
}

/// Parts of a poller that starts.
pub struct Setup {
    pub client: Client,
    pub rules: Rules,
    /// All collectors; the rules say which of them are enabled.
    pub table: &'static [Row],
    /// Receiver of spans; a reload may change it under a running poller.
    pub tracer: Tracer,
    /// Meeting place of the sites of this process.
    pub exchange: Exchange,
    /// The time for which this agent may poll.
    pub tenure: Arc<Tenure>,
    /// Wait before the first poll, so that hundreds of sites do not start in one instant.
    pub first_delay: Duration,
}

/// Changes for a site whose server stays the same.
#[derive(Debug)]
pub struct Update {
    /// Another key, CA, proxy and the like. The site is then polled at once.
    pub connection: Option<Connection>,
    pub rules: Rules,
    /// Wait before a poll that is due at once, so that hundreds of sites do not start in one instant.
    pub delay: Duration,
}
