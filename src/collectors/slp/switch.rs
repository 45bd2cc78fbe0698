//! The switch of the rows.

use crate::collectors::collector::Config;

/// Returns whether a configuration collects the backlog, so that sizes of backups are of use.
pub(in crate::collectors) fn is_on(config: &Config) -> bool {
    config.is_on("slp")
}
