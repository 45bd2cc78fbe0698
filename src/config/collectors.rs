//! `collectors`: what is collected.

use std::time::Duration;

use super::reader::Section;
use super::values::{Parsed, boolean, duration, number, text};
use crate::collectors::{Config, NameFilter, NameFilterConfig, Subject};

/// Reads `collectors`.
pub(super) fn read(root: &mut Section<'_>) -> Config {
    let mut section = root.section("collectors");
    let mut enabled = |name| section.section(name).get("enabled", boolean).or(false);
    let [alerts, malware, catalog, slo, tape] =
        ["alerts", "malware", "catalog", "slo", "tape"].map(&mut enabled);
    let [per_client, per_policy] = [("perClient", Subject::Client), ("perPolicy", Subject::Policy)]
        .map(|(name, subject)| per_name(&mut section.section(name), subject));
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

fn per_name(section: &mut Section<'_>, subject: Subject) -> NameFilterConfig {
    let enabled = section.get("enabled", boolean).or(false);
    let allowlist = section.list("allowlist", text);
    let source = allowlist.source.clone();
    let allowlist = set(allowlist.or(Vec::new()));
    if enabled && allowlist.is_empty() {
        source.warn("empty, so nothing is selected; \"*\" selects everything");
    }
    let denylist = set(section.list("denylist", text).or(Vec::new()));
    let limit = section.get("limit", number(1, MOST_NAMES)).or(NameFilterConfig::LIMIT);
    let forget_after =
        section.get("forgetAfter", duration_or_never).or(Some(NameFilterConfig::FORGET_AFTER));
    let rules = NameFilterConfig { enabled, allowlist, denylist, limit, forget_after };
    let literals = NameFilter::new(subject, &rules).literals().count();
    if literals > limit {
        source.error(&format!(
            "spells out {literals} names, and limit leaves room for {limit}: raise limit to at least \
             {literals}, or remove names"
        ));
    }
    rules
}

/// A duration, or `never`.
fn duration_or_never(text: &str) -> Parsed<Option<Duration>> {
    if text.trim().eq_ignore_ascii_case("never") {
        return Ok(None);
    }
    duration(text).map(Some).map_err(|message| format!("{message}, or never").into())
}

fn set(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}
