//! The configuration file: read, expanded, parsed, validated; every error at once.
//!
//! Text becomes a tree with positions, variables are inserted, and the tree is distributed over the structs of
//! the schema (`yaml`). Each section reads its settings and checks them (`schema`). A setting is one field there: its
//! doc comment is the documentation, from which `reference` prints the JSON Schema, the example and the reference.
//! ADR 18 says why.

mod diff;
mod effective;
mod entries;
mod fingerprint;
mod load;
pub mod logging;
mod reference;
mod safe;
mod schema;
mod yaml;

use std::sync::Arc;
use std::time::Duration;

pub use self::diff::{Change, Diff, KeyChange, SiteChange, diff};
pub use self::effective::effective;
pub use self::fingerprint::{Digest, Fingerprints, Kept, all_match, fingerprint};
pub use self::load::{from_text, load, reread};
pub use self::reference::{example, json_schema, keys, reference};
pub use self::safe::SafeConfig;
pub use self::yaml::diagnostics::{Cause, Diagnostic, Errors, Position};
pub use self::yaml::env::{Environment, ProcessEnvironment};

use crate::{http, netbackup, poller, telemetry};
use entries::Entries;

/// The whole configuration, validated. Modules own their parts; this composes them.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the Prometheus endpoint.
    pub http: http::Config,
    /// Time between two comparisons of the files that make up the configuration, for file systems
    /// that tell nobody of changes.
    pub check_interval: Duration,
    /// The agent's own log.
    pub log: logging::Config,
    /// Schedule of the polls.
    pub polling: poller::Config,
    /// The primary servers that are enabled, in the order of the file.
    pub servers: Vec<netbackup::Config>,
    /// Collectors and their settings.
    pub collectors: crate::collectors::Config,
    /// Limits of the export.
    pub metrics: telemetry::Config,
    /// Directory of the state, if there is one.
    pub state: crate::state::Config,
    /// The OTLP push, where it is enabled.
    pub otlp: Option<telemetry::otlp::Config>,
    /// The same as keys with values.
    pub(crate) entries: Entries,
}

/// A configuration that is valid, and what was learnt on the way.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
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
