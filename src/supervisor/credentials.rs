//! Keys and certificates that were rotated are taken even if another part keeps a configuration from
//! being put in force: a site must not fail because of a port, a log file or a line that concerns
//! another.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::running::Running;
use super::sites;
use crate::config::{self, Config, Files, Loaded};
use crate::netbackup::{self, Connection};

/// New connections of sites whose server stays.
pub(super) struct Rotated {
    connections: BTreeMap<String, Connection>,
    key_files: BTreeMap<String, PathBuf>,
    /// The files that were read for it.
    pub(super) files: Files,
}

/// Puts the new connections in force.
pub(super) async fn apply(running: &mut Running, current: &Config, rotated: Rotated) {
    if rotated.connections.is_empty() {
        return;
    }
    let mut config = current.clone();
    for server in &mut config.servers {
        if let Some(connection) = rotated.connections.get(&server.site) {
            server.clone_from(connection.config());
            config.key_files.remove(&server.site);
        }
    }
    config.key_files.extend(rotated.key_files);
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
    let mut key_files = BTreeMap::new();
    for server in &now.servers {
        let same = |other: &&netbackup::Config| other.same_server(server);
        let Some(wanted) = loaded.config.servers.iter().find(same) else { continue };
        if wanted.same_as(server) {
            continue;
        }
        match Connection::new(wanted.clone()) {
            Ok(connection) => {
                if let Some(path) = loaded.config.key_files.get(&server.site) {
                    key_files.insert(server.site.clone(), path.clone());
                }
                connections.insert(server.site.clone(), connection);
            }
            // The reload reports it, now or once nothing else keeps it from that.
            Err(error) => tracing::debug!(%error, "keeping the current connection"),
        }
    }
    Rotated { connections, key_files, files: loaded.files }
}
