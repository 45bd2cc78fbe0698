//! Resources of the API, and queries on their lists.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::key_tag::KEY_TAG;

/// All but RFC 3986's unreserved characters. A space becomes `%20`, because only form decoders read
/// `+` as a space.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A permission of a role: an operation on a namespace of the server (docs/netbackup-api.md#permissions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    pub namespace: &'static str,
    pub operation: &'static str,
}

impl Permission {
    const VIEW: &'static str = "|OPERATIONS|VIEW|";

    pub(crate) const fn view(namespace: &'static str) -> Self {
        Self { namespace, operation: Self::VIEW }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = self.operation.trim_end_matches('|').rsplit('|').next();
        write!(f, "{} ({})", self.namespace, operation.unwrap_or_default())
    }
}

/// A list or document of the API.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// Stable short name, for metrics and logs.
    pub name: &'static str,
    /// Path below the base address, with a leading slash. The tag of the key takes the place of `{apiKeyTag}`.
    pub path: &'static str,
    /// The permission that the key's role needs, if it needs one.
    pub permission: Option<Permission>,
    /// The maximum of rows per page; 0 if the resource documents none or does not page.
    pub max_limit: u32,
}

impl Resource {
    /// Returns true if it is about the key in force, so that another key means another resource.
    pub(crate) fn is_of_key(&self) -> bool {
        self.path.ends_with(KEY_TAG)
    }
}

/// The ping; it carries no key.
pub(crate) static PING: Resource =
    Resource { name: "ping", path: "/ping", permission: None, max_limit: 0 };

/// A query on a list. Every part is percent-encoded when the request is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// OData-like filter (docs/netbackup-api.md#filters), not yet encoded.
    pub filter: Option<String>,
    /// Property to sort by, `-` before it for descending.
    pub sort: Option<&'static str>,
    /// Rows per page, capped by the resource's maximum, which is the default.
    pub limit: Option<u32>,
}

impl Query {
    /// Selects everything, in the server's own order.
    pub fn all() -> Self {
        Self::default()
    }

    /// Selects the rows that match `filter`.
    pub fn filtered(filter: impl Into<String>) -> Self {
        Self { filter: Some(filter.into()), ..Self::default() }
    }

    #[must_use]
    pub fn sorted(mut self, property: &'static str) -> Self {
        self.sort = Some(property);
        self
    }

    #[must_use]
    pub fn limited(mut self, rows: u32) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Returns the rows per page of `resource`; `None` if neither sets a limit.
    pub(crate) fn page_limit(&self, resource: &Resource) -> Option<u32> {
        let max = Some(resource.max_limit).filter(|max| *max > 0);
        match (self.limit, max) {
            (Some(limit), Some(max)) => Some(limit.min(max)),
            (limit, max) => limit.or(max),
        }
    }

    /// Encodes filter and sort; pagers add the limit and the position.
    pub(crate) fn encode(&self) -> String {
        let mut encoded = String::new();
        if let Some(filter) = &self.filter {
            append(&mut encoded, "filter", filter);
        }
        if let Some(sort) = self.sort {
            append(&mut encoded, "sort", sort);
        }
        encoded
    }
}

/// Encodes a text as one segment of a path.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Appends `name=value` to a query string, both encoded.
pub(crate) fn append(query: &mut String, name: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    query.extend(utf8_percent_encode(name, RESERVED));
    query.push('=');
    query.extend(utf8_percent_encode(value, RESERVED));
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOBS: Resource =
        Resource { name: "jobs", path: "/admin/jobs", permission: None, max_limit: 100 };

    #[test]
    fn query_with_reserved_characters_is_encoded() {
        let mut query = Query::filtered("name eq 'a+b & c/ü'").sorted("-x").encode();
        append(&mut query, "fields[a]", "*");
        assert_eq!(
            query,
            "filter=name%20eq%20%27a%2Bb%20%26%20c%2F%C3%BC%27&sort=-x&fields%5Ba%5D=%2A"
        );
        let mut query = Query::all().encode();
        append(&mut query, "id", "../a/b:c d?e");
        assert_eq!(query, "id=..%2Fa%2Fb%3Ac%20d%3Fe");
    }

    #[test]
    fn page_limit_never_exceeds_the_maximum_of_the_resource() {
        assert_eq!(Query::all().page_limit(&JOBS), Some(100));
        assert_eq!(Query::all().limited(7).page_limit(&JOBS), Some(7));
        assert_eq!(Query::all().limited(999).page_limit(&JOBS), Some(100));
    }
}
