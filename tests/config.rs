//! The configuration: what loads, what it becomes, what is said about what does not load.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

#[path = "config/diff.rs"]
mod diff;
#[path = "config/effective.rs"]
mod effective;
#[path = "config/election.rs"]
mod election;
#[path = "config/errors.rs"]
mod errors;
#[path = "config/files.rs"]
mod files;
#[path = "config/opentelemetry.rs"]
mod opentelemetry;
#[path = "config/schema.rs"]
mod schema;
#[path = "config/secrets.rs"]
mod secrets;
#[path = "config/site_files.rs"]
mod site_files;
#[path = "config/valid.rs"]
mod valid;

use std::path::Path;

use nbu_otel_agent::config::{Errors, Loaded, from_text};

/// Loads text as `config.yaml` with these variables and no others. Whatever is valid is so by the JSON
/// Schema, too.
fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Errors> {
    let env = |name: &str| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    };
    let loaded = from_text(text, Path::new("config.yaml"), &env);
    if loaded.is_ok() {
        schema::accepts(text);
    }
    loaded
}

fn load(text: &str) -> Result<Loaded, Errors> {
    load_with(text, &[])
}

/// The errors of a text, one a line.
fn errors(text: &str) -> String {
    match load(text) {
        Ok(_) => "no error".to_owned(),
        Err(errors) => errors.to_string(),
    }
}

/// A valid file with one server, followed by `rest`.
fn with_server(rest: &str) -> String {
    format!("nbuservers:\n  - site: a\n    host: h\n    apiKey: k\n{rest}")
}

/// The warnings, one a line, but for that of an endpoint that everybody can read: the texts leave it at its
/// default, and tests/web has that one.
fn warnings(loaded: &Loaded) -> String {
    let told = loaded.warnings.iter().filter(|warning| warning.path != "server.host");
    told.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
