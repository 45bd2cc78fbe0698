//! Collectors that a test runs one after the other, over HTTP, without the rest of an agent around them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nbu_otel_agent::collectors::{self, Collected, Collector, Part, Settings, TABLE};
use nbu_otel_agent::metric::{Family, Value};
use nbu_otel_agent::netbackup::{Client, Config, RetryPolicy};
use nbu_otel_agent::slp::Links;
use nbu_otel_agent::state::StateDir;
use secrecy::SecretString;

use super::exposition::{Series, key};

/// Time that a run may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Series of a run, in groups.
pub type Groups = Vec<Arc<Vec<Family>>>;

/// Returns a client of a simulated server at this address, `http://.../netbackup`.
pub fn client(site: &str, base: &str, key: &str) -> Client {
    // A second installation fails and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config {
        site: site.to_owned(),
        base_url: base.parse().expect("a URL"),
        api_key: SecretString::from(key),
        api_version: None,
        allow_plain_text: false,
        insecure_skip_verify: false,
        fingerprints: Vec::new(),
        ca: None,
        roots: None,
        identity: None,
        proxy: None,
        timeout: Duration::from_secs(30),
        max_concurrent_requests: 4,
    };
    Client::builder(config).retry_policy(RetryPolicy::default()).build().expect("a client")
}

/// A collector of a site.
pub struct Runs {
    collector: Box<dyn Collector>,
    client: Client,
}

impl Runs {
    /// The collector of this name.
    pub fn of(name: &str, client: &Client, settings: &Settings<'_>) -> Self {
        let row = TABLE.iter().find(|row| row.name == name).expect("a row of the table");
        Self { collector: (row.build)(settings), client: client.clone() }
    }

    /// The same with settings that matter to few.
    pub fn kept_in(name: &str, client: &Client, state: Option<&StateDir>) -> Self {
        let config = collectors::Config::default();
        let window = Duration::from_secs(24 * 3600);
        let links = Links::default();
        Self::of(name, client, &Settings { collectors: &config, window, state, links: &links })
    }

    /// Keeps what it remembers in this directory from now on.
    pub fn keep_in(&mut self, state: Option<&StateDir>) {
        let config = collectors::Config::default();
        let window = Duration::from_secs(24 * 3600);
        let links = Links::default();
        let settings = Settings { collectors: &config, window, state, links: &links };
        self.collector.reconfigure(&settings);
    }

    /// Runs it, which must succeed, until it has read everything.
    pub async fn run(&mut self) -> Groups {
        loop {
            let deadline = tokio::time::Instant::now() + DEADLINE;
            let collected = self.collector.collect(&self.client.with_deadline(deadline)).await;
            let collected = collected.unwrap_or_else(|error| panic!("{error}"));
            if !collected.unfinished {
                return groups(collected);
            }
        }
    }
}

fn groups(collected: Collected) -> Groups {
    let mut all = Vec::new();
    for (name, part) in collected.parts {
        match part {
            Part::Fresh(samples) => all.push(Arc::new(samples.finish().0)),
            Part::Groups(groups) | Part::Totals(groups, _) => all.extend(groups),
            Part::Failed(error) => panic!("{name}: {error}"),
            Part::Kept => panic!("{name}: nothing new"),
        }
    }
    all
}

/// Returns the numbers of a run as the series of a site; without distributions.
pub fn series(site: &str, groups: &Groups) -> BTreeMap<Series, f64> {
    let mut all = BTreeMap::new();
    for family in groups.iter().flat_map(|group| group.iter()) {
        let name = family.definition.prometheus_name();
        for point in &family.points {
            let Value::Number(number) = &point.value else { continue };
            let values = point.attributes.iter().map(AsRef::as_ref);
            let labels: Vec<(&str, &str)> = [("site", site)]
                .into_iter()
                .chain(family.definition.attributes.iter().copied().zip(values))
                .collect();
            all.insert(key(&name, &labels), *number);
        }
    }
    all
}
