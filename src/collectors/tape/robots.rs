//! Hosts that control robots, from NetBackup 10.5 on (docs/netbackup-api.md#tape-robots).

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::Deserialize;

use crate::collectors::collector::{Cadence, Collected, Collector, Row};
use crate::metric::{Metric, Samples};
use crate::netbackup::lenient;
use crate::netbackup::{ApiVersion, Error, Permission, Query, Resource, Session};

pub(in crate::collectors) const ROW: Row = Row {
    name: "tape_robots",
    resource: &ROBOT_HOSTS,
    also: &[],
    cadence: Cadence::Slow,
    requests: "1",
    core: false,
    metrics: || vec![HOSTS.definition()],
    switch: Some("tape"),
    build: |_| Box::new(TapeRobots),
    same: |_, _| true,
};

/// A single document: it does not page.
static ROBOT_HOSTS: Resource = Resource {
    name: "robots_device_hosts",
    path: "/storage/robots-device-hosts",
    permission: Some(Permission::view("|STORAGE|TAPE-DEVICES|")),
    max_limit: 0,
};

/// A record: it has an id, the host's name, and no attributes.
#[derive(Deserialize)]
struct Host {
    #[serde(deserialize_with = "lenient::required_text")]
    id: String,
}

static HOSTS: Metric<0> = Metric::gauge(
    "nbu.tape.robot.device_hosts",
    "{host}",
    &[],
    "Hosts that control tape robots. NetBackup 10.5 and later.",
);

struct TapeRobots;

#[async_trait]
impl Collector for TapeRobots {
    fn since(&self) -> Option<ApiVersion> {
        Some(ApiVersion::new(12, 0))
    }

    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        let body = session.get(&ROBOT_HOSTS, &Query::all()).await?;
        let hosts = body.list::<Host>()?;
        let names: BTreeSet<&str> = hosts.iter().map(|host| host.id.as_str()).collect();
        let mut samples = Samples::new();
        samples.record(&HOSTS, [], names.len() as f64);
        Ok(Collected::whole(samples))
    }
}
