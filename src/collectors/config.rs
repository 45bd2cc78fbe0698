//! The configuration of all collectors.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::jobs::NameFilterConfig;

/// Configuration of the collectors, the same for all sites.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of the file")]
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
    /// Clients that have metrics of their own.
    pub per_client: NameFilterConfig,
    /// Policies that have metrics of their own.
    pub per_policy: NameFilterConfig,
    /// The time after which an active job is long-running.
    pub long_running_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            action_names: BTreeMap::new(),
            alerts: false,
            malware: false,
            catalog: false,
            slo: false,
            tape: false,
            per_client: NameFilterConfig::default(),
            per_policy: NameFilterConfig::default(),
            long_running_after: Self::LONG_RUNNING_AFTER,
        }
    }
}

impl Config {
    /// The default of `long_running_after`.
    pub const LONG_RUNNING_AFTER: Duration = Duration::from_secs(12 * 3600);
}
