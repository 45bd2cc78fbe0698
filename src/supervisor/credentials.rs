//! Keys and certificates that were rotated are taken even if another part keeps a configuration from
//! being put in force: a site must not fail because of a port, a log file or a line that concerns
//! another.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::running::Running;
use super::sites;
use crate::config::{self, Config, Fingerprints, Loaded};
use crate::netbackup::{self, Connection};

/// New connections of sites whose server stays.
pub(super) struct Rotated {
    connections: BTreeMap<String, Connection>,
    /// The configuration that they are from.
    config: Config,
    /// The files that were read for it.
    pub(super) files: Fingerprints,
}

/// Puts the new connections in force.
pub(super) async fn apply(running: &mut Running, current: &Config, rotated: Rotated) {
    if rotated.connections.is_empty() {
        return;
    }
    let mut config = current.clone();
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
    tracing::warn!(%changes, "reload rejected; applying only its changed connection settings");
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
    Rotated { connections, config: loaded.config, files: loaded.files }
}
