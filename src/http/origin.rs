//! Protection of requests that change something against pages of other origins in a browser.
//!
//! A page cannot choose the header Host: it is the name in its address. Only that header reveals a
//! foreign name that resolves to this machine (DNS rebinding).

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

/// The names by which an endpoint may be asked to change something.
#[derive(Debug)]
pub(super) struct Hosts(Name);

/// Reason for which a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is for a host that is not this one.
    Host,
    /// A browser sends it for a page of another origin.
    Origin,
}

#[derive(Debug, PartialEq, Eq)]
enum Name {
    Address(IpAddr),
    Text(String),
}

impl Hosts {
    /// Returns the names of an endpoint that listens at `host`, a name or an address.
    pub(super) fn new(host: &str) -> Self {
        Self(Name::new(host))
    }

    /// Checks the host and the origin of a request.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let mut sites = headers.get_all("sec-fetch-site").iter();
        let own_site = |site: &axum::http::HeaderValue| {
            site.to_str().is_ok_and(|site| {
                ["same-origin", "none"].iter().any(|own| site.eq_ignore_ascii_case(own))
            })
        };
        if !sites.all(own_site) {
            return Err(Refused::Origin);
        }
        let is_browser = headers.contains_key(header::ORIGIN)
            || headers.keys().any(|name| name.as_str().starts_with("sec-"));
        let mut hosts = Vec::new();
        for host in headers.get_all(header::HOST) {
            hosts.push(host.to_str().ok().and_then(authority).ok_or(Refused::Host)?);
        }
        hosts.extend(uri.authority().cloned());
        if hosts.iter().any(|host| !self.is_own(host, is_browser)) {
            return Err(Refused::Host);
        }
        for origin in headers.get_all(header::ORIGIN) {
            let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
            let own = |origin: &Uri| hosts.iter().all(|host| same_origin(origin, host));
            if hosts.is_empty() || !origin.as_ref().is_some_and(own) {
                return Err(Refused::Origin);
            }
        }
        Ok(())
    }

    fn is_own(&self, host: &Authority, is_browser: bool) -> bool {
        let name = Name::new(host.host());
        match &self.0 {
            _ if name.is_loopback() || name == self.0 => true,
            // An endpoint at all addresses has names that the agent does not know. An address cannot
            // be rebound, and a program other than a browser chooses its target itself.
            Name::Address(ip) if ip.is_unspecified() => {
                matches!(name, Name::Address(_)) || !is_browser
            }
            _ => false,
        }
    }
}

impl Name {
    fn new(host: &str) -> Self {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match bare.parse::<IpAddr>() {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) => Self::Text(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()),
        }
    }

    fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::Text(name) => name == "localhost",
        }
    }
}

fn authority(text: &str) -> Option<Authority> {
    text.trim().parse::<Authority>().ok().filter(|it| !it.host().is_empty() && !text.contains('@'))
}

fn same_origin(origin: &Uri, host: &Authority) -> bool {
    let Some(authority) = origin.authority() else { return false };
    // A proxy may speak TLS on behalf of this endpoint.
    let default = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let port = |of: &Authority| of.port_u16().unwrap_or(default);
    Name::new(authority.host()) == Name::new(host.host()) && port(authority) == port(host)
}

#[cfg(test)]
mod tests;
