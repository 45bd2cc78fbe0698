//! Addresses as logs and messages show them.

use std::net::IpAddr;

use url::Url;

/// Returns an address without user, password, query, fragment and trailing slash.
pub(crate) fn without_credentials(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path().trim_end_matches('/'))
}

/// Returns true if a host is this machine alone: what is sent there stays here, and only from here comes what
/// is received.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_shown_without_credentials() {
        for (address, shown) in [
            (
                "https://me:secret@collector:4318/v1/metrics?key=secret#secret",
                "https://collector:4318/v1/metrics",
            ),
            ("http://[::1]:4317", "http://[::1]:4317"),
        ] {
            assert_eq!(without_credentials(&address.parse().unwrap()), shown);
        }
    }
}
