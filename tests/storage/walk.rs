//! A site whose clock is moved from poll to poll, its collector of disk pools, and the oracle beside it.

use std::path::Path;
use std::time::Duration;

use nbu_otel_agent::netbackup::Client;
use nbu_otel_agent::state::StateDir;
use nbu_sim::{DiskPoolView, PoolScript, Settings, Simulator};

use crate::oracle::{Oracle, Reading};
use crate::quiet;
use crate::support::expected::differences;
use crate::support::runs::{Runs, client, series};
use crate::support::simulate;

pub const TIB: i64 = 1 << 40;

pub struct Walk {
    pub simulator: Simulator,
    pub oracle: Oracle,
    client: Client,
    state: Option<StateDir>,
    pools: Option<Runs>,
}

/// Pools of a site in a zone that follow scripts: one that saves 95 %, one that fills, one on an appliance with a
/// full a week.
pub fn site(zone: &str) -> Settings {
    let scripts = vec![
        PoolScript::of("dp-msdp-01").nightly(20 * TIB).varies(0.3).saving(0.95).cleaned(TIB),
        PoolScript::of("dp-advdisk-01").size(40 * TIB).used(24 * TIB).nightly(TIB).varies(0.5),
        PoolScript::of("dp-appliance-a-01")
            .used(70 * TIB)
            .nightly(TIB)
            .weekdays([1.0, 1.0, 1.0, 1.0, 9.0, 1.0, 1.0])
            .varies(0.1)
            .cleaned(15 * TIB / 7),
    ];
    Settings { time_zone: zone.parse().expect("a zone"), pool_scripts: scripts, ..quiet() }
}

fn is_of_forecast(name: &str) -> bool {
    let ends = ["headroom_bytes", "nights_left", "tonight_fits", "daily_change_bytes", "days_left"];
    name == "nbu_disk_pool_night_growth_bytes"
        || name.starts_with("nbu_disk_pool_") && ends.iter().any(|end| name.ends_with(end))
}

/// Returns what a poll sees of a pool; `None` for one without sizes.
fn reading(at: i64, pool: &DiskPoolView) -> Option<Reading> {
    let space = pool.space.filter(|space| space.raw > 0)?;
    let limit = i128::from(space.usable) * i128::from(pool.high) / 100;
    Some(Reading { at, used: space.used, limit: i64::try_from(limit).expect("less than it") })
}

impl Walk {
    /// Begins, with what is remembered in this directory if any.
    pub async fn begin(settings: Settings, state: Option<&Path>) -> Self {
        let zone = settings.time_zone.id();
        let simulator = simulate(settings).await;
        let key = simulator.settings().api_key.clone();
        let client = client("paris", &simulator.base_url(), &key);
        let state = state.map(|path| StateDir::open(path).expect("a directory"));
        let pools = Some(Runs::kept_in("disk_pools", &client, state.as_ref()));
        Self { simulator, oracle: Oracle::new(zone), client, state, pools }
    }

    /// Lets time pass without a poll.
    pub fn skip(&self, minutes: u64) {
        self.simulator.clock().advance(Duration::from_secs(60 * minutes));
    }

    /// Sets the server's clock ahead of the world's, ms.
    pub fn skew(&self, ms: i64) {
        self.simulator.clock().set_skew_ms(ms);
    }

    /// Polls without the oracle; returns the series of the forecast.
    pub async fn shown(
        &mut self,
    ) -> std::collections::BTreeMap<crate::support::exposition::Series, f64> {
        let mut shown = series("paris", &self.pools.as_mut().expect("a collector").run().await);
        shown.retain(|(name, _), _| is_of_forecast(name));
        shown
    }

    /// Polls; returns the series of the forecast and those that the oracle expects.
    pub async fn poll(
        &mut self,
    ) -> [std::collections::BTreeMap<crate::support::exposition::Series, f64>; 2] {
        let truth = self.simulator.truth();
        for pool in truth.disk_pools() {
            if let Some(reading) = reading(truth.server_time(), &pool) {
                self.oracle.observe((&pool.name, pool.category, pool.server_type), reading);
            }
        }
        let shown = self.shown().await;
        [shown, self.oracle.expected("paris")]
    }

    /// Lets time pass, polls, and compares.
    pub async fn step(&mut self, minutes: u64) {
        self.skip(minutes);
        let [shown, expected] = self.poll().await;
        let differences = differences(&shown, &expected);
        let at = self.simulator.truth().server_time();
        assert!(differences.is_empty(), "at {at}:\n{}", differences.join("\n"));
    }

    /// Steps for so many days.
    pub async fn days(&mut self, days: u64, minutes: u64) {
        for _ in 0..days * 24 * 60 / minutes {
            self.step(minutes).await;
        }
    }

    /// Ends the collector, and begins another one with what is in the state directory.
    pub fn restart(&mut self) {
        self.pools = None;
        self.pools = Some(Runs::kept_in("disk_pools", &self.client, self.state.as_ref()));
    }

    /// Remembers in another directory from now on.
    pub fn keep_in(&mut self, path: Option<&Path>) {
        self.state = path.map(|path| StateDir::open(path).expect("a directory"));
        self.pools.as_mut().expect("a collector").keep_in(self.state.as_ref());
    }

    /// Returns a metric of a pool, as the oracle expects it now.
    pub fn of(&self, metric: &str, pool: &str) -> Option<f64> {
        let expected = self.oracle.expected("paris");
        let is_it = |labels: &[(String, String)]| labels.iter().any(|(_, value)| value == pool);
        let mut all = expected.iter().filter(|((name, labels), _)| name == metric && is_it(labels));
        all.next().map(|(_, value)| *value)
    }
}
