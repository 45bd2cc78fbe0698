//! The sites of a commit: kept as they are, updated in place, started, or ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::running::{Running, Site, end};
use crate::collectors::TABLE;
use crate::config::Config;
use crate::http;
use crate::netbackup::{self, Client, Connection};
use crate::poller::{Poller, Rules, Setup, Update};
use crate::snapshot::Snapshot;
use crate::state::StateDir;

/// Time within which many sites start to poll, spread evenly.
const START_SPREAD: Duration = Duration::from_millis(500);

/// A configuration, and those of its servers that are to be polled: none by a standby.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) config: &'a Config,
    pub(super) servers: &'a [netbackup::Config],
}

/// Updates sites whose server stays in place. Samples of the others are no longer served when it
/// returns; their pollers end without being waited for.
pub(super) async fn replace(
    running: &mut Running,
    services: &http::State,
    Wanted { config, servers }: Wanted<'_>,
    state: Option<StateDir>,
    clients: Vec<Client>,
    connections: BTreeMap<String, Connection>,
) {
    end_unwanted(running, servers, &clients);
    let rules = rules(config, state);
    let handed_over = handed_over(running, config, rules.state.as_ref());
    let updated = update(running, config, &rules, connections);
    running.keep_state(rules.state.clone(), services.agent.otlp());
    let store = &services.store;
    let count = clients.len();
    let servers: BTreeMap<&str, _> =
        servers.iter().map(|server| (server.site.as_str(), server)).collect();
    for (position, client) in clients.into_iter().enumerate() {
        let name = client.site().to_owned();
        let Some(&server) = servers.get(name.as_str()) else { continue };
        let (publisher, latest) = store.publisher(Snapshot::unpolled(&name, client.base()));
        let (tracer, first_delay) = (running.tracer.clone(), spread(position, count));
        let (rules, exchange) = (rules.clone(), running.exchange.clone());
        let tenure = services.tenure.load_full();
        let setup = Setup { client, rules, table: TABLE, tracer, exchange, tenure, first_delay };
        let poller = Poller::spawn(setup, publisher);
        running.sites.insert(Arc::from(name), Site { config: server.clone(), poller, latest });
    }
    let sites = running.sites.iter().map(|(name, site)| (Arc::clone(name), site.latest.clone()));
    store.set_sites(sites.collect());
    updated.await;
    if let Some(state) = running.state.clone().filter(|_| !handed_over.is_empty()) {
        tokio::spawn(hand_over(state, handed_over));
    }
}

/// Returns the sites whose files in this directory are of no use any more, since another agent has them now. Where
/// agents share the directory, the files go with the site.
fn handed_over(running: &Running, config: &Config, state: Option<&StateDir>) -> Vec<String> {
    if state.is_none_or(|state| state.member().is_some()) {
        return Vec::new();
    }
    let before = running.config().filter(|_| running.state.as_ref() == state);
    let known: BTreeSet<&String> = before.iter().flat_map(|it| &it.sites_elsewhere).collect();
    config.sites_elsewhere.iter().filter(|site| !known.contains(site)).cloned().collect()
}

async fn hand_over(state: StateDir, sites: Vec<String>) {
    for site in sites {
        if let Err(error) = state.hand_over(&site).await {
            tracing::warn!(site, %error, "cannot set the job ledger aside of a site that another agent has now");
        }
    }
}

pub(super) fn rules(config: &Config, state: Option<StateDir>) -> Rules {
    Rules {
        polling: config.polling.clone(),
        collectors: Arc::new(config.collectors.clone()),
        state,
    }
}

/// Ends the sites that are not wanted any more, or that get another client.
fn end_unwanted(running: &mut Running, servers: &[netbackup::Config], clients: &[Client]) {
    let wanted: BTreeSet<&str> = servers.iter().map(|s| s.site.as_str()).collect();
    let replaced: BTreeSet<&str> = clients.iter().map(Client::site).collect();
    let goes_on = |site: &str| wanted.contains(site) && !replaced.contains(site);
    let sites = std::mem::take(&mut running.sites).into_iter();
    let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = sites.partition(|(site, _)| goes_on(site));
    running.sites = kept;
    let ending: Vec<Site> = gone.into_values().collect();
    if !ending.is_empty() {
        for site in &ending {
            site.poller.cancel();
        }
        tokio::spawn(end(ending));
    }
}

/// Hands each site that goes on its changes, if there are any. The returned future ends when they
/// are in force.
pub(super) fn update(
    running: &mut Running,
    config: &Config,
    rules: &Rules,
    mut connections: BTreeMap<String, Connection>,
) -> impl Future + use<> {
    let same_rules = running.state == rules.state
        && running.config().is_none_or(|before| {
            before.polling == config.polling && before.collectors == config.collectors
        });
    let count = running.sites.len();
    let mut updates = Vec::new();
    for (position, (name, site)) in running.sites.iter_mut().enumerate() {
        let connection = connections.remove(name.as_ref());
        if same_rules && connection.is_none() {
            continue;
        }
        if let Some(connection) = &connection {
            site.config = connection.config.clone();
        }
        let delay = spread(position, count);
        updates.push(site.poller.update(Update { connection, rules: rules.clone(), delay }));
    }
    futures_util::future::join_all(updates)
}

/// Returns the wait of the site at `position` among `count` that start to poll together.
fn spread(position: usize, count: usize) -> Duration {
    START_SPREAD.mul_f64(position as f64 / count.max(20) as f64)
}
