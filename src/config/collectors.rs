//! `collectors`: what is collected.

use super::reader::Section;
use super::values::{boolean, text};
use crate::collectors::{Config, PerClient};

/// Reads `collectors`.
pub(super) fn read(root: &mut Section<'_>) -> Config {
    let mut section = root.section("collectors");
    let mut enabled = |name| section.section(name).get("enabled", boolean).or(false);
    let [alerts, malware, catalog, slo, tape] =
        ["alerts", "malware", "catalog", "slo", "tape"].map(&mut enabled);
    let per_client = per_client(&mut section);
    let action_names = section.section("jobs").pairs("actionNames", text);
    let action_names = action_names.into_iter().map(|pair| (pair.name, pair.value)).collect();
    Config { action_names, alerts, malware, catalog, slo, tape, per_client }
}

fn per_client(section: &mut Section<'_>) -> PerClient {
    let mut section = section.section("perClient");
    let switch = section.get("enabled", boolean);
    let source = switch.source.clone();
    let enabled = switch.or(false);
    if enabled {
        source.warn("accepted, but this version does not collect it yet");
    }
    let mut allowlist = section.list("allowlist", text).or(Vec::new());
    allowlist.sort_unstable();
    allowlist.dedup();
    PerClient { enabled, allowlist }
}
