//! Hosts that control robots, from NetBackup 10.5 on (contract, section 2.1).

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::{Cadence, Collected, Collector, Row};
use crate::metric::{Definition, Metric, Samples};
use crate::netbackup::{ApiVersion, Error, Query, Resource, Session};

pub(super) const ROW: Row = Row {
    name: "tape_robots",
    resource: &ROBOT_HOSTS,
    cadence: Cadence::Slow,
    core: false,
    metrics: || vec![HOSTS.definition()] as Vec<&'static Definition>,
    enabled: |config| config.tape,
    build: |_| Box::new(TapeRobots),
    same: |_, _| true,
};

/// One document: it does not page.
static ROBOT_HOSTS: Resource = Resource {
    name: "robots_device_hosts",
    path: "/storage/robots-device-hosts",
    permission: "|STORAGE|TAPE-DEVICES|",
    max_limit: 0,
};

/// Its records have an id, the host's name, and no attributes.
#[derive(Deserialize)]
struct Hosts {
    #[serde(default)]
    data: Option<Vec<Value>>,
}

static HOSTS: Metric<0> = Metric::gauge(
    "nbu.tape.robot.device_hosts",
    "{host}",
    &[],
    "Hosts that control tape robots. From NetBackup 10.5 on.",
);

struct TapeRobots;

#[async_trait]
impl Collector for TapeRobots {
    fn since(&self) -> Option<ApiVersion> {
        Some(ApiVersion::new(12, 0))
    }

    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let body = session.get(&ROBOT_HOSTS, &Query::all()).await?;
        let hosts = body.read::<Hosts>()?.data.unwrap_or_default();
        let mut unreadable = 0;
        let mut names = BTreeSet::new();
        for host in &hosts {
            match host["id"].as_str().filter(|name| !name.is_empty()) {
                Some(name) => _ = names.insert(name),
                None => unreadable += 1,
            }
        }
        let mut samples = Samples::new();
        samples.record(&HOSTS, [], names.len() as f64);
        Ok(Collected::whole(samples, unreadable))
    }
}
