//! A request as the resources see it: decoded, its body read.

use std::fmt::Write as _;

use axum::http::HeaderMap;

use super::negotiate::release_of;
use crate::settings::Release;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    /// Path under `/netbackup`.
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Vec<u8>,
    /// The API version that is served.
    served: String,
}

impl Request {
    /// `None` where the query is not valid percent encoding.
    pub(crate) fn new(
        method: &str,
        path: &str,
        query: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Option<Self> {
        let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        });
        Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.collect::<Option<_>>()?,
            headers,
            body,
            served: String::new(),
        })
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The path without percent encoding; as it is where that is not valid.
    pub(crate) fn decoded_path(&self) -> String {
        // A plus is itself in a path.
        decode(&self.path.replace('+', "%2B")).unwrap_or_else(|| self.path.clone())
    }

    pub(crate) fn query(&self) -> &[(String, String)] {
        &self.query
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// A parameter's value; the first where there are several.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Changes a parameter that is there, for faults that answer another page than the one asked for.
    pub(crate) fn set_parameter(&mut self, name: &str, to: &str) {
        for (_, value) in self.query.iter_mut().filter(|(known, _)| known == name) {
            to.clone_into(value);
        }
    }

    /// A header that is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Fixes the version that is served.
    pub(crate) fn serve(&mut self, version: String) {
        self.served = version;
    }

    /// The version that is served.
    pub(crate) fn served(&self) -> &str {
        &self.served
    }

    /// The release whose shape is served.
    pub(crate) fn release(&self) -> Release {
        release_of(&self.served)
    }

    /// The query, encoded anew.
    pub(crate) fn encoded_query(&self) -> String {
        let pairs =
            self.query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// Percent-decodes a part of a query; a plus is a space, as servlet containers read it.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encodes all but the unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // A String takes everything.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_round_trips_through_encoding() {
        let request = Request::new(
            "GET",
            "/x",
            "page%5Blimit%5D=5&filter=a+eq%20'b%26'",
            HeaderMap::new(),
            vec![],
        )
        .unwrap();
        assert_eq!(request.parameter("page[limit]"), Some("5"));
        assert_eq!(request.parameter("filter"), Some("a eq 'b&'"));
        assert_eq!(request.encoded_query(), "page%5Blimit%5D=5&filter=a%20eq%20%27b%26%27");
        assert!(Request::new("GET", "/x", "a=%zz", HeaderMap::new(), vec![]).is_none());
    }
}
