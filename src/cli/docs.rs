//! `docs`: the reference of all metrics, printed from the table that makes them.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::metric::{Definition, Kind, Scope};

pub(super) fn run() -> ExitCode {
    super::print(&metrics())
}

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
    page
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
    fn the_page_in_the_tree_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == super::metrics(),
            "docs/metrics.md is not what the table prints: run `cargo run -- docs > docs/metrics.md`"
        );
    }
}
