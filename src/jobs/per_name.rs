//! Which clients or policies have metrics of their own: what the configuration says.

/// Rules for names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerName {
    /// Off by default.
    pub enabled: bool,
    /// Who is admitted: exact names, or globs where an entry has `*` or `?`. Sorted, each once; an
    /// empty list admits nobody.
    pub allowlist: Vec<String>,
    /// Who is not, whatever `allowlist` says. Of the same form.
    pub denylist: Vec<String>,
    /// How many names have series of their own at one site.
    pub limit: usize,
}

impl PerName {
    /// The limit where the configuration names none.
    pub const LIMIT: usize = 1000;
}

impl Default for PerName {
    fn default() -> Self {
        Self { enabled: false, allowlist: Vec::new(), denylist: Vec::new(), limit: Self::LIMIT }
    }
}
