//! Series in one form, whichever way they took.

use std::collections::BTreeMap;

use crate::support::Page;
use crate::support::exposition::Series;

/// All series of a source.
pub type Everything = BTreeMap<Series, f64>;

/// Labels that a Collector or a Prometheus adds.
const ADDED: [&str; 2] = ["job", "instance"];

/// The series of sites on a page, without the labels that were added on their way, with `le` in one
/// spelling. Those of the agent itself move between a scrape and an export.
pub fn of_sites(page: &Page) -> Everything {
    normalized(page.series().iter().map(|(series, value)| (series.clone(), *value)))
}

/// The same, from any series.
pub fn normalized(series: impl IntoIterator<Item = (Series, f64)>) -> Everything {
    let mut found = BTreeMap::new();
    for ((name, mut labels), value) in series {
        if !labels.iter().any(|(key, _)| key == "site") {
            continue;
        }
        labels.retain(|(key, _)| !ADDED.contains(&key.as_str()));
        for (key, bound) in &mut labels {
            if key == "le" && bound != "+Inf" {
                *bound = bound.parse::<f64>().expect("a bound is a number").to_string();
            }
        }
        labels.sort();
        let twice = found.insert((name.clone(), labels), value);
        assert!(twice.is_none(), "{name}: two series that differ by nothing of ours");
    }
    found
}
