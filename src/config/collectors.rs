//! `collectors`: what is collected.

use super::reader::Section;
use super::values::{boolean, duration, number, text};
use crate::collectors::{Config, PerName};

/// Reads `collectors`.
pub(super) fn read(root: &mut Section<'_>) -> Config {
    let mut section = root.section("collectors");
    let mut enabled = |name| section.section(name).get("enabled", boolean).or(false);
    let [alerts, malware, catalog, slo, tape] =
        ["alerts", "malware", "catalog", "slo", "tape"].map(&mut enabled);
    let [per_client, per_policy] =
        ["perClient", "perPolicy"].map(|name| per_name(&mut section.section(name)));
    let mut jobs = section.section("jobs");
    let action_names = jobs.pairs("actionNames", text);
    let action_names = action_names.into_iter().map(|pair| (pair.name, pair.value)).collect();
    let long_running_after = jobs.get("longRunningAfter", duration).or(Config::LONG_RUNNING_AFTER);
    Config {
        action_names,
        alerts,
        malware,
        catalog,
        slo,
        tape,
        per_client,
        per_policy,
        long_running_after,
    }
}

/// The most names that may have series of their own at one site.
const MOST_NAMES: usize = 100_000;

fn per_name(section: &mut Section<'_>) -> PerName {
    let enabled = section.get("enabled", boolean).or(false);
    let allowlist = section.list("allowlist", text);
    let source = allowlist.source.clone();
    let allowlist = set(allowlist.or(Vec::new()));
    if enabled && allowlist.is_empty() {
        source.warn("empty, so nothing is selected; \"*\" selects everything");
    }
    let denylist = set(section.list("denylist", text).or(Vec::new()));
    let limit = section.get("limit", number(1, MOST_NAMES)).or(PerName::LIMIT);
    PerName { enabled, allowlist, denylist, limit }
}

fn set(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}
