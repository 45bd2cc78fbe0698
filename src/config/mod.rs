//! The configuration file: read, expanded, parsed, validated; every error at once.
//!
//! Text becomes a tree with positions, variables are inserted, and the tree is distributed over the structs of
//! the schema (`yaml`). Each section reads its settings and checks them (`schema`). A setting is one field there: its
//! doc comment is the documentation, from which `reference` prints the JSON Schema, the example and the reference.
//! ADR 18 says why.

mod diff;
mod entries;
mod fingerprint;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod load;
mod reference;
mod schema;
mod yaml;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use self::diff::{Change, Diff, KeyChange, SiteChange, diff};
pub use self::fingerprint::{Digest, Fingerprints, Kept, all_match, fingerprint};
pub use self::load::{from_text, load, reread};
pub use self::reference::{example, json_schema, keys, reference, switches, tried_switches};
pub use self::yaml::diagnostics::{Cause, Diagnostic, Errors, Position};
pub use self::yaml::dotenv::{Environment, ProcessEnvironment};

use crate::{http, log, netbackup, poller, telemetry};
use entries::Entries;

/// The whole configuration, validated. Modules own their parts; this composes them.
#[derive(Debug, Clone)]
pub struct Config {
    pub http: http::Config,
    /// Time between two comparisons of the files that make up the configuration, for file systems
    /// that tell nobody of changes.
    pub check_interval: Duration,
    pub log: log::Config,
    pub polling: poller::Config,
    /// The primary servers that are enabled, in the order of the file.
    pub servers: Vec<netbackup::Config>,
    /// The part of the sites that is this agent's, where they are shared out; the servers are its own alone.
    pub sharding: Option<crate::sharding::Config>,
    /// The enabled sites of the other agents.
    pub(crate) sites_elsewhere: Vec<String>,
    /// The election of one of several agents, where they take turns.
    pub election: Option<crate::election::Config>,
    pub collectors: crate::collectors::Config,
    pub metrics: telemetry::Config,
    pub state: crate::state::Config,
    /// The OTLP push, where it is enabled.
    pub otlp: Option<telemetry::otlp::Config>,
    /// The same as keys with values.
    pub(crate) entries: Entries,
}

/// A configuration that is valid, and what was learnt on the way.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    /// Settings that are allowed and unwise.
    pub warnings: Vec<Diagnostic>,
    /// SHA-256 of the configuration file as it was read, hexadecimal.
    pub sha256: String,
    /// Every file that was read: the configuration, keys, CAs, `.env`. A `.env` that is not there and
    /// would be read is among them.
    pub files: Fingerprints,
    /// Text and files, to be read again.
    pub kept: Arc<Kept>,
    /// Parts of the system that the configuration depends on: the places of its CA certificates.
    pub places: Fingerprints,
}

impl Loaded {
    /// Returns all that must be the same for the configuration to be the same.
    pub fn watched(&self) -> Fingerprints {
        fingerprint::joined(&self.files, &self.places)
    }
}

/// Writes the configuration in force as a file in its own schema: every default filled in, every secret
/// redacted. Apart from the secrets it loads again and means the same.
pub fn effective(config: &Config) -> String {
    config.entries.to_yaml()
}

/// The configuration in force, once there is one. The supervisor swaps it; everybody else takes a handle on it. A
/// configuration is validated before it gets here, and the lock is held for as long as it takes to copy a pointer.
#[derive(Debug, Default)]
pub struct SafeConfig(RwLock<Option<Arc<Config>>>);

impl SafeConfig {
    /// Returns the configuration in force. A later swap does not change what was handed out.
    pub fn get(&self) -> Option<Arc<Config>> {
        // A panic elsewhere cannot have left half a pointer behind: go on with what is there.
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts `config` in force and returns the one before it.
    pub fn swap(&self, config: Arc<Config>) -> Option<Arc<Config>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).replace(config)
    }
}

impl http::Settings for SafeConfig {
    fn endpoint(&self) -> Option<http::Config> {
        self.get().map(|config| config.http.clone())
    }
}
