//! The part of the exposition that a scrape asks for: all of it, or with `?site=NAME` that of one site.

use std::sync::Arc;

use crate::snapshot::Store;

/// Most names in the answer to a request for an unknown site.
const SUGGESTIONS: usize = 5;

/// Most characters of a name that are compared.
const COMPARED: usize = 64;

/// The part of the exposition that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    All,
    /// The metrics of the agent itself.
    Agent,
    Site(Arc<str>),
}

/// The reason why there is no such part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoTarget {
    Several,
    Unknown {
        /// Names of sites, the most similar first.
        nearest: Vec<Arc<str>>,
    },
}

impl Target {
    /// Reads the query of a request. Parameters that are not ours are ignored.
    pub(super) fn of(query: &str, store: &Store) -> Result<Self, NoTarget> {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let mut sites = pairs.filter(|(key, _)| key == "site").map(|(_, value)| value);
        let Some(site) = sites.next() else { return Ok(Self::All) };
        if sites.next().is_some() {
            return Err(NoTarget::Several);
        }
        if site.is_empty() {
            return Ok(Self::Agent);
        }
        let mut names = store.names();
        if let Some(known) = names.iter().find(|name| ***name == *site) {
            return Ok(Self::Site(Arc::clone(known)));
        }
        let lower: String = site.to_lowercase().chars().take(COMPARED).collect();
        names.sort_by_cached_key(|name| strsim::damerau_levenshtein(&lower, &name.to_lowercase()));
        names.truncate(SUGGESTIONS);
        Err(NoTarget::Unknown { nearest: names })
    }
}

impl NoTarget {
    pub(super) fn message(&self) -> String {
        match self {
            Self::Several => "400: give one site, and scrape each by itself\n".to_owned(),
            Self::Unknown { nearest } => {
                let names: Vec<_> = nearest.iter().map(|name| format!("{name:?}")).collect();
                format!("404: there is no such site; the nearest: {}\n", names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::snapshot::Snapshot;

    #[test]
    fn target_is_read_from_the_query() {
        let store = Store::new();
        let names = ["Oslo", "paris", "Paris Süd", "tokyo-1", "tokyo-2", "tokyo-3"];
        let site = |name: &str| (Arc::from(name), store.publisher(Snapshot::unpolled(name, "")).1);
        store.set_sites(names.into_iter().map(site).collect::<BTreeMap<_, _>>());
        let of = |query| Target::of(query, &store);
        for query in ["", "x=1", "sites=paris"] {
            assert_eq!(of(query), Ok(Target::All), "{query}");
        }
        assert_eq!(of("site="), Ok(Target::Agent));
        for (query, name) in [
            ("site=paris", "paris"),
            ("a=b&site=Oslo&c", "Oslo"),
            ("site=Paris+S%C3%BCd", "Paris Süd"),
            ("site=Paris%20S%C3%BCd", "Paris Süd"),
        ] {
            assert_eq!(of(query), Ok(Target::Site(name.into())), "{query}");
        }
        assert_eq!(of("site=paris&site=paris"), Err(NoTarget::Several));
        let Err(unknown) = of("site=tokio-2") else { panic!("it is none") };
        let expected =
            "404: there is no such site; the nearest: \"tokyo-2\", \"tokyo-1\", \"tokyo-3\", ";
        assert!(unknown.message().starts_with(expected), "{}", unknown.message());
        assert_eq!(unknown.message().matches('"').count(), 2 * SUGGESTIONS);
    }
}
