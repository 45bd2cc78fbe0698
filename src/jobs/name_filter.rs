//! The configured choice of clients or policies that have metrics of their own.

use std::time::Duration;

/// Choice of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFilterConfig {
    /// Off by default.
    pub enabled: bool,
    /// Names that are selected: exact names, or globs if an entry has `*` or `?`. Sorted, each once; an
    /// empty list selects nothing.
    pub allowlist: Vec<String>,
    /// Names that are not, even if `allowlist` matches. Of the same form.
    pub denylist: Vec<String>,
    /// Names of one site that have series of their own, at most.
    pub limit: usize,
    /// The time after its last job at which a name that is not spelt out loses its place; `None` is never.
    pub forget_after: Option<Duration>,
}

impl NameFilterConfig {
    /// The default of `limit`.
    pub const LIMIT: usize = 1000;

    /// The default of `forget_after`: a quarter of a year, so that a missed monthly
    /// or quarterly backup is alerted on for weeks before the name is taken for gone.
    pub const FORGET_AFTER: Duration = Duration::from_secs(90 * 86_400);
}

impl Default for NameFilterConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            allowlist: Vec::new(),
            denylist: Vec::new(),
            limit: Self::LIMIT,
            forget_after: Some(Self::FORGET_AFTER),
        }
    }
}
