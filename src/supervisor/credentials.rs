//! Keys and certificates that were rotated are taken even if another part keeps a configuration from
//! being put in force: a site, or the endpoint, must not fail because of a port, a log file or a line that
//! concerns another.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::running::Running;
use super::sites;
use crate::config::{self, Change, Config, Fingerprints, Loaded};
use crate::http;
use crate::netbackup::{self, Connection};

/// The keys of the endpoint's rules.
const WEB: &str = "server.web";

/// New connections of sites whose server stays, and new content of the endpoint's files.
pub(super) struct Rotated {
    connections: BTreeMap<String, Connection>,
    /// The endpoint's rules, where nothing but the content of their files differs.
    web: Option<Arc<http::Web>>,
    /// The configuration that they are from.
    config: Config,
    /// The files that were read for it.
    pub(super) files: Fingerprints,
}

/// Puts the new connections in force.
pub(super) async fn apply(running: &mut Running, current: &Config, rotated: Rotated) {
    if rotated.connections.is_empty() && rotated.web.is_none() {
        return;
    }
    let mut config = current.clone();
    if let Some(web) = rotated.web {
        config.http.web = web;
        config.entries.replace_keys(WEB, &rotated.config.entries);
    }
    for server in &mut config.servers {
        if let Some(connection) = rotated.connections.get(&server.site) {
            server.clone_from(&connection.config);
            config.entries.replace_site(&server.site, &rotated.config.entries);
        }
    }
    let changes = config::diff(Some(current), &config);
    let rules = sites::rules(&config, running.state.clone());
    let updated = sites::update(running, &config, &rules, rotated.connections);
    running.set_config(Arc::new(config));
    updated.await;
    tracing::warn!(%changes, "reload rejected; applying only its changed connection settings and certificates");
}

/// Makes the connections of `loaded` that differ from those in force. Blocks.
pub(super) fn rotated(now: &Config, loaded: Loaded) -> Rotated {
    let mut connections = BTreeMap::new();
    for server in &now.servers {
        let same = |other: &&netbackup::Config| other.same_server(server);
        let Some(wanted) = loaded.config.servers.iter().find(same) else { continue };
        if wanted.same_as(server) {
            continue;
        }
        match Connection::new(wanted.clone()) {
            Ok(connection) => {
                connections.insert(server.site.clone(), connection);
            }
            // The reload reports it, now or once nothing else keeps it from that.
            Err(error) => tracing::debug!(%error, "keeping the current connection"),
        }
    }
    let changes = config::diff(Some(now), &loaded.config);
    let mut of_web = changes.keys.iter().filter(|change| change.key.starts_with(WEB)).peekable();
    let is_rotated =
        of_web.peek().is_some() && of_web.all(|change| change.change == Change::Content);
    let web = is_rotated.then(|| Arc::clone(&loaded.config.http.web));
    Rotated { connections, web, config: loaded.config, files: loaded.files }
}
