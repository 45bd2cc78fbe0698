//! The configuration file: read, expanded, parsed, validated; every error at once.
//!
//! Text becomes a tree with places (`tree`), variables are inserted (`expand`), and each section asks
//! the tree for its keys (`reader`). To add a key, ask for it in the file of its section, name it in
//! `outline` (which `effective` prints and `diff` compares), and document it in
//! `config.example.yaml`; tests hold the three together.

mod collectors;
mod content;
mod context;
mod diagnostics;
mod diff;
mod dotenv;
mod effective;
mod endpoint;
mod env;
mod expand;
mod files;
mod load;
pub mod logging;
mod opentelemetry;
mod outline;
mod reader;
mod safe;
mod server;
mod servers;
mod setting;
mod signal;
mod state;
mod syntax;
mod tree;
mod values;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use self::content::{Digest, Files, Kept, look, unchanged};
pub use self::diagnostics::{Cause, Diagnostic, Errors, Position};
pub use self::diff::{Change, Diff, KeyChange, SiteChange, diff};
pub use self::effective::effective;
pub use self::env::{Environment, ProcessEnvironment};
pub use self::load::{from_text, load, reread};
pub use self::safe::SafeConfig;

use self::context::Context;
use self::expand::Faults;
use self::reader::Section;
use self::tree::Document;
use crate::{http, netbackup, poller, telemetry};

/// The whole configuration, validated. Modules own their parts; this composes them.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the Prometheus endpoint listens.
    pub http: http::Config,
    /// How often the content of the files that make up the configuration is compared, for file systems
    /// that tell nobody of changes.
    pub check_interval: Duration,
    /// The agent's own log.
    pub log: logging::Config,
    /// When servers are polled.
    pub polling: poller::Config,
    /// The primary servers that are enabled, in the order of the file.
    pub servers: Vec<netbackup::Config>,
    /// Site to the file that holds its API key, where the key is not in the configuration itself.
    pub key_files: BTreeMap<String, PathBuf>,
    /// What is collected.
    pub collectors: crate::collectors::Config,
    /// Limits of the export.
    pub metrics: telemetry::Config,
    /// Where state is kept, if anywhere.
    pub state: crate::state::Config,
    /// The OTLP push, where it is enabled.
    pub otlp: Option<telemetry::otlp::Config>,
}

/// A configuration that is valid, and what was learnt on the way.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed and unwise.
    pub warnings: Vec<Diagnostic>,
    /// SHA-256 of the configuration file as it was read, hexadecimal.
    pub sha256: String,
    /// Every file that was read: the configuration, keys, CAs, `.env`. A `.env` that is not there and
    /// would be read is among them.
    pub files: Files,
    /// What was read, to be read again.
    pub kept: Arc<Kept>,
    /// What of the system the configuration depends on: where its CA certificates are.
    pub places: Files,
}

impl Loaded {
    /// Returns all that must be the same for the configuration to be the same.
    pub fn watched(&self) -> Files {
        watched(&self.files, &self.places)
    }
}

fn watched(files: &Files, places: &Files) -> Files {
    files.iter().chain(places).map(|(path, seen)| (path.clone(), *seen)).collect()
}

/// Every key that the schema knows, such as `nbuservers[].port`, sorted.
pub fn keys() -> Vec<String> {
    let env = |_: &str| None;
    let context = Context::new(String::new(), PathBuf::new(), &env);
    if let Ok(Document { root: Some(root), .. }) = tree::parse("nbuservers: [{}]\nnbuserver: {}") {
        read(Section::root(&context, &root));
    }
    context.keys.into_inner().into_iter().collect()
}

/// The configuration in `text`; errors are in the context.
fn parse(text: &str, context: &Context<'_>) -> Option<Config> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Document { root, problems } = match tree::parse(text) {
        Ok(document) => document,
        Err(problem) => {
            context.problem(problem);
            return None;
        }
    };
    let empty = |root: &tree::Node| matches!(root.value, tree::Value::Null);
    let Some(mut root) = root.filter(|root| !empty(root)) else {
        context.file_error("the file is empty; it takes at least nbuservers");
        return None;
    };
    let mut faults = Faults::default();
    expand::expand(&mut root, context.env, &mut faults);
    faults.diagnostics.drain(..).for_each(|fault| context.push(fault));
    problems.into_iter().chain(faults.into_problems()).for_each(|problem| context.problem(problem));
    if !matches!(root.value, tree::Value::Map(_)) {
        let message = "expected a mapping of sections (server, nbuservers, ...)";
        context.error(root.position, "", message);
        return None;
    }
    Some(read(Section::root(context, &root)))
}

/// Asks for every key.
fn read(mut root: Section<'_>) -> Config {
    let server::Server { http, check_interval, log, polling } = server::read(&mut root);
    let servers::Servers { enabled, key_files } = servers::read(&mut root);
    Config {
        http,
        check_interval,
        log,
        polling,
        servers: enabled,
        key_files,
        collectors: collectors::read(&mut root),
        metrics: server::metrics(&mut root),
        state: state::read(&mut root),
        otlp: opentelemetry::read(&mut root),
    }
}
