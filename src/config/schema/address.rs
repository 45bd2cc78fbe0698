//! Kinds of settings that make up the address of a server, and endpoints of OTLP.

use secrecy::ExposeSecret as _;
use url::Url;

use super::kinds::{Named, free_text, kinds, plain, text};
use crate::config::entries::{REDACTED, Value};
use crate::config::fingerprint::digest;
use crate::config::yaml::values::{self, Parsed, host, port};
use crate::http::display;
use crate::net::proxy::Proxy;
use crate::netbackup::version::ApiVersion;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Https,
    Http,
}

impl Named for Scheme {
    const NAMES: &'static [(&'static str, Self)] = &[("https", Self::Https), ("http", Self::Http)];
}

kinds! {
    /// The path before every resource: a leading slash, no trailing one; `/` means none.
    Prefix: String, prefix, text, free_text();
    /// A version that this agent knows, or `None` to detect it.
    Version: Option<ApiVersion>, api_version, |value: &Option<ApiVersion>| {
        value.map_or_else(|| plain("detect"), |version| text(version.to_string()))
    }, free_text();
    /// The address of a proxy, which may hold credentials.
    ProxyUrl(true): Proxy, proxy, show_proxy, free_text();
    EndpointAddress: Endpoint, endpoint, |value: &Endpoint| {
        text(value.url(false).map_or_else(String::new, Into::into))
    }, free_text();
}

fn prefix(text: &str) -> Parsed<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    match text.trim() {
        path if !path.chars().all(plain) || path.split('/').any(|part| part == "..") => {
            Err("expected a path of letters, digits, / - _ . and ~".into())
        }
        path => match path.trim_matches('/') {
            "" => Ok(String::new()),
            path => Ok(format!("/{path}")),
        },
    }
}

fn api_version(text: &str) -> Parsed<Option<ApiVersion>> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("detect") {
        return Ok(None);
    }
    match text.parse() {
        Ok(version) if ApiVersion::KNOWN.contains(&version) => Ok(Some(version)),
        _ => {
            let known = ApiVersion::KNOWN.map(|version| version.to_string()).join(", ");
            Err(format!("expected one of {known}, or detect").into())
        }
    }
}

fn proxy(given: &str) -> Parsed<Proxy> {
    Proxy::parse(&values::text(given)?).ok_or_else(|| {
        "expected the address of a proxy such as http://proxy.example.com:3128".into()
    })
}

fn show_proxy(proxy: &Proxy) -> Value {
    let url = proxy.url.expose_secret();
    let is_https = url.trim().to_ascii_lowercase().starts_with("https");
    let scheme = if is_https { "https" } else { "http" };
    let credentials = if url.contains('@') { format!("{REDACTED}@") } else { String::new() };
    let shown = format!("{scheme}://{credentials}{}", proxy.display);
    Value::Secret(shown, digest(url.as_bytes()))
}

/// An endpoint of OTLP as it is given: with a scheme, or without.
#[derive(Clone)]
pub(crate) enum Endpoint {
    Url(Url),
    HostAndPort(String),
}

impl Endpoint {
    pub(super) fn is_https(&self) -> bool {
        matches!(self, Self::Url(url) if url.scheme() == "https")
    }

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

fn endpoint(text: &str) -> Parsed<Endpoint> {
    const EXPECTED: &str = "expected host:port or a URL such as https://collector.example.com:4317";
    let text = text.trim();
    if !text.contains("://") {
        let endpoint = host_and_port(text).map(Endpoint::HostAndPort);
        return endpoint
            .filter(|endpoint| endpoint.url(true).is_some())
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
    Ok(Endpoint::Url(url))
}

fn host_and_port(text: &str) -> Option<String> {
    let (name, digits) = text.rsplit_once(':')?;
    let name = host(name).ok()?;
    // An IPv6 address without brackets would lose its last group to the port.
    if name.contains(':') && !text.starts_with('[') {
        return None;
    }
    Some(display(&name, port(digits).ok()?))
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
            let endpoint = endpoint(text).map_err(|_| ()).unwrap();
            assert_eq!(endpoint.url(insecure).unwrap().as_str(), expected, "{text}");
        }
        for text in
            ["collector", "::1:4317", "ftp://x", "http://", "a b:1", "http://u:p@x", "http://x?k=v"]
        {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }
}
