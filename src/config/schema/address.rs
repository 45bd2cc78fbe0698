//! The address of a server, and the kinds of settings that it is made of.

use secrecy::ExposeSecret as _;
use url::Url;

use super::kinds::{Named, free_text, kinds, plain, text};
use crate::config::entries::{REDACTED, Value};
use crate::config::fingerprint::digest;
use crate::config::yaml::values::{self, Parsed};
use crate::net::proxy::Proxy;
use crate::netbackup::version::ApiVersion;

/// A scheme of URLs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Https,
    Http,
}

impl Named for Scheme {
    const NAMES: &'static [(&'static str, Self)] = &[("https", Self::Https), ("http", Self::Http)];
}

/// Returns true if there is TLS on the way to the server, or to its proxy.
pub(super) fn speaks_tls(address: Option<&Address>, proxy: Option<&Proxy>) -> bool {
    address.is_some_and(|address| address.url.scheme() == "https")
        || proxy.is_some_and(Proxy::speaks_tls)
}

/// Address of a server.
pub(super) struct Address {
    /// As the file spells it; a URL would change its case.
    pub(super) host: String,
    pub(super) url: Url,
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

/// Shows the address of a proxy, with what may be credentials redacted.
fn show_proxy(proxy: &Proxy) -> Value {
    let url = proxy.url.expose_secret();
    let is_https = url.trim().to_ascii_lowercase().starts_with("https");
    let scheme = if is_https { "https" } else { "http" };
    let credentials = if url.contains('@') { format!("{REDACTED}@") } else { String::new() };
    let shown = format!("{scheme}://{credentials}{}", proxy.display);
    Value::Secret(shown, digest(url.as_bytes()))
}
