//! The one table of NetBackup resources. One file a resource, one row each.

use std::collections::BTreeMap;

/// What is collected, the same for all sites.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one switch for each optional resource")]
pub struct Config {
    /// Renames job types on the way out (`DUPLICATE` to `DUPLICATION`, say).
    pub action_names: BTreeMap<String, String>,
    /// `/manage/alerts`.
    pub alerts: bool,
    /// Malware scan results.
    pub malware: bool,
    /// Catalogue images by malware and anomaly status.
    pub catalog: bool,
    /// Service level objectives.
    pub slo: bool,
    /// Tape drives, media, robots, pools, and volumes of disk pools.
    pub tape: bool,
    /// Metrics per client.
    pub per_client: PerClient,
}

/// Which clients have metrics of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PerClient {
    /// Off by default.
    pub enabled: bool,
    /// Exact names, or globs where an entry has `*` or `?`; sorted, each once. Empty means none.
    pub allowlist: Vec<String>,
}
