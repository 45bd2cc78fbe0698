//! Which clients or policies have metrics of their own: what the configuration says.

use std::time::Duration;

/// Rules for names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFilterConfig {
    /// Off by default.
    pub enabled: bool,
    /// Who is admitted: exact names, or globs where an entry has `*` or `?`. Sorted, each once; an
    /// empty list admits nobody.
    pub allowlist: Vec<String>,
    /// Who is not, whatever `allowlist` says. Of the same form.
    pub denylist: Vec<String>,
    /// How many names have series of their own at one site.
    pub limit: usize,
    /// How long after its last job a name that is not spelt out loses its place; never without.
    pub forget_after: Option<Duration>,
}

impl NameFilterConfig {
    /// The limit where the configuration names none.
    pub const LIMIT: usize = 1000;

    /// Time to forget where the configuration gives none: a quarter of a year, so that a missed monthly
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
