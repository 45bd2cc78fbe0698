//! Keys and certificates that were rotated are taken whatever else keeps a configuration from being
//! put in force: a site must not fail because of a port, a log file or a line that concerns another.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::Instant;

use super::Supervisor;
use crate::config::{self, Config, Files, Loaded};
use crate::netbackup::{self, Connection};
use crate::poller::Rules;

/// Sites whose server stays, with what is new of them.
struct Rotated {
    connections: BTreeMap<String, Connection>,
    key_files: BTreeMap<String, PathBuf>,
    /// The files that were read for it.
    files: Files,
}

impl Supervisor {
    /// Puts in force what changed of the connections of sites whose server stays. `valid` is the
    /// configuration that could not be put in force as a whole; where it was wrong, the last valid
    /// one is read again, with the files that it names as they are now.
    pub(super) async fn take_credentials(&mut self, valid: Option<Loaded>, deadline: Instant) {
        let Some(current) = self.config() else { return };
        let (environment, last) = (Arc::clone(&self.environment), self.last_valid.clone());
        let now = Arc::clone(&current);
        let read = move || {
            let loaded = match (valid, last) {
                (Some(loaded), _) => loaded,
                (None, Some(last)) => config::reread(&last, environment.as_ref()).ok()?,
                (None, None) => return None,
            };
            Some(rotated(&now, loaded))
        };
        let Ok(Some(rotated)) = self.blocking.run(deadline, &self.ending, read).await else {
            return;
        };
        for (path, content) in &rotated.files {
            self.last_read.entry(path.clone()).or_insert(*content);
        }
        if rotated.connections.is_empty() {
            return;
        }
        let mut config = Config::clone(&current);
        for server in &mut config.servers {
            if let Some(connection) = rotated.connections.get(&server.site) {
                server.clone_from(connection.config());
                config.key_files.remove(&server.site);
            }
        }
        config.key_files.extend(rotated.key_files);
        let changes = config::diff(Some(&current), &config);
        let rules = Rules {
            polling: config.polling.clone(),
            collectors: Arc::new(config.collectors.clone()),
            state: self.running.state.clone(),
        };
        let updated = self.update_sites(&config, &rules, rotated.connections);
        self.put(Arc::new(config));
        updated.await;
        tracing::warn!(%changes, "reload rejected; applying only its changed connection settings");
    }
}

fn rotated(now: &Config, loaded: Loaded) -> Rotated {
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
            // The reload told why, or does so as soon as nothing else keeps it.
            Err(error) => tracing::debug!(%error, "keeping the current connection"),
        }
    }
    Rotated { connections, key_files, files: loaded.files }
}
