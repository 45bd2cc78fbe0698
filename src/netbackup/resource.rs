//! What is asked for: a resource of the API, and the question put to it.

use std::fmt::Write as _;

/// A list or document of the API.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// Stable short name, for metrics and logs.
    pub name: &'static str,
    /// Path below the base address, with a leading slash.
    pub path: &'static str,
    /// The RBAC namespace that reading it takes, such as `|MANAGE|JOBS|`; empty where none is.
    pub permission: &'static str,
    /// The most rows that the server gives in one page; 0 where it documents none or does not page.
    pub max_limit: u32,
}

/// What to ask of a list. Every part is percent-encoded when the request is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// OData-like filter (docs/netbackup-api.md#filters), not yet encoded.
    pub filter: Option<String>,
    /// Property to sort by, `-` before it for descending.
    pub sort: Option<&'static str>,
    /// Rows a page; the resource's maximum without it, and never more than that.
    pub limit: Option<u32>,
    /// Further parameters, such as `fieldset[storageServer]`.
    pub extra: Vec<(&'static str, String)>,
}

impl Query {
    /// Everything, in the server's own order.
    pub fn all() -> Self {
        Self::default()
    }

    /// What `filter` selects.
    pub fn filtered(filter: impl Into<String>) -> Self {
        Self { filter: Some(filter.into()), ..Self::default() }
    }

    /// The same, sorted by `property`.
    #[must_use]
    pub fn sorted(mut self, property: &'static str) -> Self {
        self.sort = Some(property);
        self
    }

    /// The same, with `rows` a page.
    #[must_use]
    pub fn limited(mut self, rows: u32) -> Self {
        self.limit = Some(rows);
        self
    }

    /// The same, with one more parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.extra.push((name, value.into()));
        self
    }

    /// Rows a page for `resource`; `None` where neither says anything.
    pub(super) fn page_limit(&self, resource: &Resource) -> Option<u32> {
        let most = Some(resource.max_limit).filter(|most| *most > 0);
        match (self.limit, most) {
            (Some(asked), Some(most)) => Some(asked.min(most)),
            (asked, most) => asked.or(most),
        }
    }

    /// Filter, sort and the further parameters, encoded; paging is the walk's.
    pub(super) fn encode(&self) -> String {
        let mut encoded = String::new();
        if let Some(filter) = &self.filter {
            append(&mut encoded, "filter", filter);
        }
        if let Some(sort) = self.sort {
            append(&mut encoded, "sort", sort);
        }
        for (name, value) in &self.extra {
            append(&mut encoded, name, value);
        }
        encoded
    }
}

/// Adds `name=value` to a query string, both encoded.
pub(super) fn append(query: &mut String, name: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    percent_encode(query, name);
    query.push('=');
    percent_encode(query, value);
}

/// Encodes everything but RFC 3986's unreserved characters: a space is `%20`, since a `+` means a
/// space only to readers of forms.
pub(super) fn percent_encode(into: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            into.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOBS: Resource =
        Resource { name: "jobs", path: "/admin/jobs", permission: "", max_limit: 100 };

    #[test]
    fn every_reserved_character_of_a_query_is_encoded() {
        let query = Query::filtered("name eq 'a+b & c/ü'").sorted("-x").with("fields[a]", "*");
        assert_eq!(
            query.encode(),
            "filter=name%20eq%20%27a%2Bb%20%26%20c%2F%C3%BC%27&sort=-x&fields%5Ba%5D=%2A"
        );
    }

    #[test]
    fn a_limit_never_exceeds_what_the_resource_allows() {
        assert_eq!(Query::all().page_limit(&JOBS), Some(100));
        assert_eq!(Query::all().limited(7).page_limit(&JOBS), Some(7));
        assert_eq!(Query::all().limited(999).page_limit(&JOBS), Some(100));
    }
}
