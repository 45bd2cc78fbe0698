//! Everything that the agent can export, in one table: collectors, sites, the agent itself.

use crate::metric::Definition;
use crate::{collectors, poller, telemetry};

/// The catalog of all metrics, each declared once, in the order of the tables they come from.
pub fn catalog() -> Vec<&'static Definition> {
    let mut all = poller::definitions();
    all.extend(collectors::definitions());
    all.extend(telemetry::self_metrics::definitions());
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::metric::Kind;

    fn is_name(text: &str) -> bool {
        text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    }

    #[test]
    fn no_two_metrics_share_a_name_in_prometheus() {
        let mut seen: HashMap<String, &Definition> = HashMap::new();
        for definition in catalog() {
            let name = definition.prometheus_name();
            let names = match definition.kind {
                Kind::Histogram(_) => ["", "_bucket", "_sum", "_count"]
                    .iter()
                    .map(|suffix| format!("{name}{suffix}"))
                    .collect(),
                _ => vec![name],
            };
            for name in names {
                assert!(is_name(&name), "{name}");
                let other = seen.insert(name.clone(), definition);
                assert!(other.is_none(), "{name} is declared twice");
            }
        }
    }

    #[test]
    fn every_metric_is_well_declared() {
        for definition in catalog() {
            let name = definition.name;
            let keys = definition.sorted_keys();
            assert!(keys.iter().all(|key| is_name(key)), "{name}: {keys:?}");
            assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{name}: a key occurs twice");
            assert!(!keys.contains(&"le"), "{name}: `le` is the histogram's own");
            assert_ne!(definition.unit, "1", "{name}: becomes _ratio");
            assert!(definition.help.ends_with('.'), "{name}: help is a sentence");
            if let Kind::Histogram(bounds) = definition.kind {
                assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "{name}: bounds ascend");
            }
            if definition.kind == Kind::Counter {
                assert!(!name.ends_with("total"), "{name}: the suffix is added");
            }
        }
    }
}
