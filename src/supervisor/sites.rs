//! The sites of a commit: which go on as they are, which are updated in place, which are new, which end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Supervisor;
use super::running::{Site, end};
use crate::collectors::TABLE;
use crate::config::Config;
use crate::netbackup::{self, Client, Connection};
use crate::poller::{Poller, Rules, Setup, Update};
use crate::snapshot::{Snapshot, Store};
use crate::state::StateDir;
use crate::telemetry::traces::Tracer;

/// Sites start to poll within this time, spread evenly, where there are many.
const START_SPREAD: Duration = Duration::from_millis(500);

impl Supervisor {
    /// Sites whose server stays are updated in place. What the others had cached is served to nobody
    /// from here on; their pollers end without being waited for.
    pub(super) async fn replace_sites(
        &mut self,
        config: &Config,
        state: Option<StateDir>,
        clients: Vec<Client>,
        connections: BTreeMap<String, Connection>,
    ) {
        let rules = Rules {
            polling: config.polling.clone(),
            collectors: Arc::new(config.collectors.clone()),
            state,
        };
        self.end_sites(config, &clients);
        let updated = self.update_sites(config, &rules, connections);
        self.running.keep_state(rules.state.clone());
        let count = clients.len();
        for (position, client) in clients.into_iter().enumerate() {
            let name = client.site().to_owned();
            let Some(server) = config.servers.iter().find(|server| server.site == name) else {
                continue;
            };
            let tracer = self.running.tracer.clone();
            let delay = spread(position, count);
            let site = start_site(&self.store, server, client, rules.clone(), tracer, delay);
            self.running.sites.insert(Arc::from(name), site);
        }
        let sites =
            self.running.sites.iter().map(|(name, site)| (Arc::clone(name), site.latest.clone()));
        self.store.set_sites(sites.collect());
        updated.await;
    }

    /// Ends the sites that are not wanted any more, or that get another client.
    fn end_sites(&mut self, config: &Config, clients: &[Client]) {
        let wanted: BTreeSet<&str> = config.servers.iter().map(|s| s.site.as_str()).collect();
        let replaced: BTreeSet<&str> = clients.iter().map(Client::site).collect();
        let goes_on = |site: &str| wanted.contains(site) && !replaced.contains(site);
        let sites = std::mem::take(&mut self.running.sites).into_iter();
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            sites.partition(|(site, _)| goes_on(site));
        self.running.sites = kept;
        let ending: Vec<Site> = gone.into_values().collect();
        if !ending.is_empty() {
            for site in &ending {
                site.poller.cancel();
            }
            tokio::spawn(end(ending));
        }
    }

    /// Hands each site that goes on what changed for it, if anything did.
    pub(super) fn update_sites(
        &mut self,
        config: &Config,
        rules: &Rules,
        mut connections: BTreeMap<String, Connection>,
    ) -> impl Future + use<> {
        let before = self.running.config.as_deref();
        let same_rules = self.running.state == rules.state
            && before.is_none_or(|before| {
                before.polling == config.polling && before.collectors == config.collectors
            });
        let count = self.running.sites.len();
        let mut updates = Vec::new();
        for (position, (name, site)) in self.running.sites.iter_mut().enumerate() {
            let connection = connections.remove(name.as_ref());
            if same_rules && connection.is_none() {
                continue;
            }
            if let Some(connection) = &connection {
                site.config = connection.config().clone();
            }
            let delay = spread(position, count);
            updates.push(site.poller.update(Update { connection, rules: rules.clone(), delay }));
        }
        futures_util::future::join_all(updates)
    }
}

/// The wait of the site at `position` among `count` that start to poll together.
fn spread(position: usize, count: usize) -> Duration {
    START_SPREAD.mul_f64(position as f64 / count.max(20) as f64)
}

fn start_site(
    store: &Store,
    server: &netbackup::Config,
    client: Client,
    rules: Rules,
    tracer: Tracer,
    first_delay: Duration,
) -> Site {
    let (publisher, latest) = store.publisher(Snapshot::unpolled(client.site(), client.base()));
    let setup = Setup { client, rules, table: TABLE, tracer, first_delay };
    Site { config: server.clone(), poller: Poller::spawn(setup, publisher), latest }
}
