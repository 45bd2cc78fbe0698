//! `docs`: references, printed from the tables and types that they describe.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::collectors::TABLE;
use crate::config;
use crate::metric::{Definition, Kind, Scope};

/// The documents that can be printed.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(super) enum Document {
    /// docs/metrics.md: all metrics.
    #[default]
    Metrics,
    /// docs/configuration.md: all settings.
    Config,
    /// config.example.yaml: all settings with their defaults, to begin with.
    Example,
    /// config.schema.json: the JSON Schema of the configuration, for editors.
    Schema,
    /// The man page, of all commands.
    Man,
}

/// Prints a document; `agent` is the command line, for the man page.
pub(super) fn run(document: Document, agent: clap::Command) -> ExitCode {
    super::output::print(&match document {
        Document::Metrics => metrics(),
        Document::Config => config::reference(),
        Document::Example => config::example(),
        Document::Schema => config::json_schema(),
        Document::Man => super::manual::man_page(agent),
    })
}

/// Text before the table of collectors.
const COLLECTORS: &str = "
## Collectors

What each collector asks for, how often, and the permission that it needs. One that is `tried` is on unless the
file says otherwise, and is left out without an alert where the role of the key never permitted it. A request is made again
if it fails, three times at most.

| collector | default | permission | every | requests of a run |
|---|---|---|---|---|
";

const HEAD: &str = "\
# Metrics

<!-- Printed by `nbu-otel-agent docs`; a test keeps it current. Change the declarations instead. -->

Every metric of a site has the label `site`. OTLP uses the OpenTelemetry names, `/metrics` the
Prometheus names. Unknown or stale values are absent, never zero. Totals of a site start at 0 when
the agent first polls it, totals of the agent when it starts.
";

/// Predicate of a section over metrics.
type Belongs = fn(&Definition) -> bool;

fn metrics() -> String {
    let catalog = crate::catalog::catalog();
    let mut page = String::from(HEAD);
    let sections: [(&str, Belongs); 4] = [
        ("NetBackup", |d| d.scope == Scope::Site && !d.name.starts_with("nbu.agent.")),
        ("The agent's work at a site", |d| {
            d.scope == Scope::Site && d.name.starts_with("nbu.agent.")
        }),
        ("The agent itself", |d| d.scope == Scope::Agent && d.name.starts_with("nbu.")),
        ("The process", |d| d.scope == Scope::Agent && !d.name.starts_with("nbu.")),
    ];
    for (title, belongs) in sections {
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "\n## {title}\n\n| Prometheus | OpenTelemetry | kind | unit | labels | meaning |\n|---|---|---|---|---|---|\n"
        );
        for definition in catalog.iter().filter(|d| belongs(d)) {
            row(&mut page, definition);
        }
    }
    collectors(&mut page);
    page
}

fn collectors(page: &mut String) {
    let tried = config::tried_switches();
    page.push_str(COLLECTORS);
    for row in TABLE {
        let default = match row.switch {
            None => "on",
            Some(switch) if tried.iter().any(|tried| tried == switch) => "tried",
            Some(_) => "off",
        };
        let permission = match row.resource.permission {
            Some(permission) => format!("`{}`", permission.to_string().replace('|', "\\|")),
            None => "-".to_owned(),
        };
        let (name, every, requests) = (row.name, row.cadence.described(), row.requests);
        let _ = writeln!(page, "| {name} | {default} | {permission} | {every} | {requests} |");
    }
}

fn row(page: &mut String, definition: &Definition) {
    let kind = match definition.kind {
        Kind::Gauge => "gauge".to_owned(),
        Kind::Counter => "counter".to_owned(),
        Kind::Histogram(bounds) => {
            let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
            format!("histogram ({})", bounds.join(" "))
        }
    };
    let mut labels: Vec<&str> = definition.attributes.to_vec();
    if definition.scope == Scope::Site {
        labels.insert(0, "site");
    }
    let _ = writeln!(
        page,
        "| `{}` | `{}` | {kind} | {} | {} | {} |",
        definition.prometheus_name(),
        definition.name,
        if definition.unit.is_empty() { "-" } else { definition.unit },
        if labels.is_empty() { "-".to_owned() } else { labels.join(", ") },
        definition.help.replace('|', "\\|"),
    );
}

#[cfg(test)]
mod tests {
    #[test]
    fn documents_in_the_tree_are_current() {
        for (file, printed, name) in [
            ("docs/metrics.md", super::metrics(), "metrics"),
            ("docs/configuration.md", crate::config::reference(), "config"),
            ("config.example.yaml", crate::config::example(), "example"),
            ("config.schema.json", crate::config::json_schema(), "schema"),
        ] {
            let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
            let kept = std::fs::read_to_string(path).unwrap_or_default();
            assert!(kept == printed, "run `cargo run -- docs {name} > {file}`");
        }
    }
}
