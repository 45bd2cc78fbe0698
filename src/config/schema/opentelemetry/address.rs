//! Addresses of OTLP receivers.

use url::Url;

use crate::config::schema::kinds::{free_text, kinds, text};
use crate::config::yaml::values::{Parsed, bracketed, host, port};

/// An endpoint as it is given: with a scheme, or without.
#[derive(Clone)]
pub(crate) enum Address {
    Url(Url),
    HostAndPort(String),
}

kinds! {
    /// `host:port` or a URL.
    EndpointAddress: Address, parse, |value: &Address| {
        text(value.url(false).map_or_else(String::new, Into::into))
    }, free_text();
}

impl Address {
    pub(super) fn url(&self, insecure: bool) -> Option<Url> {
        match self {
            Self::Url(url) => Some(url.clone()),
            Self::HostAndPort(address) => {
                let scheme = if insecure { "http" } else { "https" };
                Url::parse(&format!("{scheme}://{address}")).ok()
            }
        }
    }
}

pub(super) fn parse(text: &str) -> Parsed<Address> {
    const EXPECTED: &str = "expected host:port or a URL such as https://collector.example.com:4317";
    let text = text.trim();
    if !text.contains("://") {
        let address = host_and_port(text).map(Address::HostAndPort);
        return address
            .filter(|address| address.url(true).is_some())
            .ok_or_else(|| EXPECTED.into());
    }
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or(EXPECTED)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold credentials; opentelemetry.headers takes them".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not hold a query; opentelemetry.headers takes credentials".into());
    }
    Ok(Address::Url(url))
}

fn host_and_port(text: &str) -> Option<String> {
    let (name, digits) = text.rsplit_once(':')?;
    let name = host(name).ok()?;
    // An IPv6 address without brackets would lose its last group to the port.
    if name.contains(':') && !text.starts_with('[') {
        return None;
    }
    Some(format!("{}:{}", bracketed(&name), port(digits).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_addresses_or_urls() {
        for (text, insecure, expected) in [
            ("collector:4317", true, "http://collector:4317/"),
            ("collector:4317", false, "https://collector:4317/"),
            ("[::1]:4317", true, "http://[::1]:4317/"),
            ("http://collector:4318", false, "http://collector:4318/"),
            ("https://x.example.com/otlp", false, "https://x.example.com/otlp"),
        ] {
            let address = parse(text).map_err(|_| ()).unwrap();
            assert_eq!(address.url(insecure).unwrap().as_str(), expected, "{text}");
        }
        for text in
            ["collector", "::1:4317", "ftp://x", "http://", "a b:1", "http://u:p@x", "http://x?k=v"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
