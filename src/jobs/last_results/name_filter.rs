//! The choice of names that have series of their own.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use wildmatch::WildMatch;

use super::subject::Subject;

/// The configured choice of clients or policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFilterConfig {
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
    pub const LIMIT: usize = 1000;

    /// A quarter of a year, so that a missed monthly or quarterly backup is alerted on for weeks before
    /// the name is taken for gone.
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

/// A compiled allowlist and denylist.
///
/// Clients are hosts, whose names have no case: `WEB*` admits `web1`, and both spellings of a client
/// are one. Case matters in names of policies: `Daily` and `daily` are two. Only ASCII letters have case
/// here, as in host names.
#[derive(Debug, Clone, Default)]
pub struct NameFilter {
    allowed: List,
    denied: List,
    /// Names that are spelt out and not denied: as they are compared, and as they are spelt.
    pub(super) literals: BTreeMap<Box<str>, Box<str>>,
}

/// A list of exact names and globs.
#[derive(Debug, Clone, Default)]
struct List {
    exact: HashSet<Box<str>>,
    globs: Vec<WildMatch>,
}

impl List {
    fn new(subject: Subject, entries: &[String]) -> Self {
        let (globs, exact): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| is_glob(entry));
        Self {
            exact: exact.into_iter().map(|entry| subject.key(entry).into()).collect(),
            globs: globs.into_iter().map(|entry| WildMatch::new(&subject.key(entry))).collect(),
        }
    }

    fn has(&self, key: &str) -> bool {
        self.exact.contains(key) || self.globs.iter().any(|glob| glob.matches(key))
    }
}

fn is_glob(entry: &str) -> bool {
    entry.contains(['*', '?'])
}

impl NameFilter {
    /// Compiles a configuration; one that is not enabled selects nothing.
    pub fn new(subject: Subject, rules: &NameFilterConfig) -> Self {
        let nobody = NameFilterConfig::default();
        let rules = if rules.enabled { rules } else { &nobody };
        let (allowed, denied) =
            (List::new(subject, &rules.allowlist), List::new(subject, &rules.denylist));
        let mut literals = BTreeMap::new();
        for entry in rules.allowlist.iter().filter(|entry| !is_glob(entry)) {
            let key = subject.key(entry);
            if !denied.has(&key) {
                literals.entry(key.into()).or_insert_with(|| entry.as_str().into());
            }
        }
        Self { allowed, denied, literals }
    }

    /// Returns whether a name is selected, by its key: allowed and not denied. An empty one never is.
    pub(super) fn admits(&self, key: &str) -> bool {
        !key.is_empty() && self.allowed.has(key) && !self.denied.has(key)
    }

    /// Returns the names that are spelt out in the allowlist and not denied, each once.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.literals.values().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> NameFilterConfig {
        let list = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
        NameFilterConfig {
            enabled: true,
            allowlist: list(allow),
            denylist: list(deny),
            ..NameFilterConfig::default()
        }
    }

    fn admitted<'n>(
        subject: Subject,
        allow: &[&str],
        deny: &[&str],
        names: &[&'n str],
    ) -> Vec<&'n str> {
        let filter = NameFilter::new(subject, &rules(allow, deny));
        names.iter().copied().filter(|name| filter.admits(&subject.key(name))).collect()
    }

    #[test]
    fn nobody_is_selected_without_rules() {
        let off = NameFilterConfig { enabled: false, ..rules(&["*"], &[]) };
        for rules in [NameFilterConfig::default(), off, rules(&[], &[])] {
            for subject in [Subject::Client, Subject::Policy] {
                let filter = NameFilter::new(subject, &rules);
                assert!(!filter.admits("a") && !filter.admits(""));
                assert_eq!(filter.literals().count(), 0);
            }
        }
    }

    #[test]
    fn names_are_exact_unless_they_have_a_wildcard() {
        let names = ["web1", "web12", "web", "xweb1", "db", "", "web.example.com"];
        for (allow, deny, expected) in [
            (&["web1"][..], &[][..], &["web1"][..]),
            (&["web?"], &[], &["web1"]),
            (&["web*"], &[], &["web1", "web12", "web", "web.example.com"]),
            (&["*"], &[], &["web1", "web12", "web", "xweb1", "db", "web.example.com"]),
            (&["*"], &["*web*"], &["db"]),
            (&["web1", "db"], &["web1"], &["db"]),
            (&["web1"], &["*"], &[]),
            (&["db", "web*"], &["web", "web?"], &["web12", "db", "web.example.com"]),
        ] {
            for subject in [Subject::Client, Subject::Policy] {
                assert_eq!(admitted(subject, allow, deny, &names), expected, "{allow:?} {deny:?}");
            }
        }
    }

    #[test]
    fn characters_special_in_other_globs_are_literal() {
        let names = ["a[b]", "ab", "{a,b}", "a.b", "axb", r"a\b", "a/b/c", "ä?"];
        for name in names {
            assert_eq!(admitted(Subject::Policy, &[name], &[], &names), [name]);
        }
        assert_eq!(admitted(Subject::Policy, &["a*c", "ä*", "[?*"], &[], &names), ["a/b/c", "ä?"]);
    }

    #[test]
    fn case_matters_for_policies_and_not_for_clients() {
        let names = ["Web1", "web1", "WEB1", "DB"];
        for allow in ["WEB1", "w?b1", "WEB*"] {
            assert_eq!(admitted(Subject::Client, &[allow], &[], &names), ["Web1", "web1", "WEB1"]);
        }
        assert_eq!(admitted(Subject::Client, &["*"], &["web*"], &names), ["DB"]);
        assert_eq!(admitted(Subject::Policy, &["WEB1"], &[], &names), ["WEB1"]);
        assert_eq!(admitted(Subject::Policy, &["W*"], &["WEB*"], &names), ["Web1"]);
    }

    #[test]
    fn literals_are_those_that_are_spelt_out_and_not_denied() {
        let rules = rules(&["B", "a", "b", "c*", "d"], &["D", "x"]);
        let literals = |subject| -> Vec<String> {
            NameFilter::new(subject, &rules).literals().map(String::from).collect()
        };
        assert_eq!(literals(Subject::Client), ["a", "B"]);
        assert_eq!(literals(Subject::Policy), ["B", "a", "b", "d"]);
    }

    /// Matches by the definition of a glob.
    fn matches(glob: &[char], name: &[char]) -> bool {
        match (glob, name) {
            ([], []) => true,
            (['*', rest @ ..], _) => {
                matches(rest, name) || (!name.is_empty() && matches(glob, &name[1..]))
            }
            (['?', rest @ ..], [_, after @ ..]) => matches(rest, after),
            ([one, rest @ ..], [other, after @ ..]) => one == other && matches(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn star_and_question_mark_match_as_documented(glob in "[ab*?]{0,7}[*?]", name in "[abé]{1,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = matches(&chars(&glob), &chars(&name));
            let filter = NameFilter::new(Subject::Policy, &rules(&[&glob], &[]));
            prop_assert_eq!(filter.admits(&name), expected);
        }

        #[test]
        fn deny_wins_over_allow(entry in "[abA*?]{1,4}", name in "[abA]{1,4}") {
            for subject in [Subject::Client, Subject::Policy] {
                let both = NameFilter::new(subject, &rules(&[&entry, &name], &[&entry]));
                let key = subject.key(&name);
                let denied = NameFilter::new(subject, &rules(&[&entry], &[])).admits(&key);
                prop_assert_eq!(both.admits(&key), !denied);
            }
        }
    }
}
