//! `NO_PROXY`, by the rules of curl, and with a port.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Host;

/// Servers that are reached without a proxy.
#[derive(Debug, Clone)]
pub(super) struct Exception {
    server: Server,
    /// Any port if absent.
    port: Option<u16>,
}

#[derive(Debug, Clone)]
enum Server {
    All,
    /// A network; that of an address has no other.
    Network(IpNet),
    /// A domain and all below it; lower case, no dots around it.
    Domain(String),
    /// All below a domain.
    Below(String),
}

/// Reads entries with commas or blanks between.
pub(super) fn parse(list: &str) -> Vec<Exception> {
    let entries = list.split(|c: char| c == ',' || c.is_whitespace());
    entries.filter(|entry| !entry.is_empty()).map(Exception::parse).collect()
}

impl Exception {
    fn parse(entry: &str) -> Self {
        // An IPv6 address has colons of its own, unless in brackets.
        let (server, port) = match entry.rsplit_once(':') {
            Some((server, port)) if !server.contains(':') || server.ends_with(']') => {
                (server, port.parse().ok())
            }
            _ => (entry, None),
        };
        let server = if port.is_some() { server } else { entry };
        Self { server: Server::parse(server), port }
    }

    /// Returns true if this server is one of them.
    pub(super) fn has(&self, host: &Host<&str>, port: u16) -> bool {
        self.port.is_none_or(|wanted| wanted == port) && self.server.has(host)
    }
}

impl Server {
    fn parse(text: &str) -> Self {
        let bare = text.replace(['[', ']'], "");
        if let Ok(network) = bare.parse() {
            return Self::Network(network);
        }
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Self::Network(address.to_canonical().into());
        }
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        match (name.as_str(), name.strip_prefix("*.")) {
            ("*", _) => Self::All,
            (_, Some(domain)) => Self::Below(domain.to_owned()),
            (name, None) => Self::Domain(name.trim_start_matches('.').to_owned()),
        }
    }

    fn has(&self, host: &Host<&str>) -> bool {
        let (address, name) = match host {
            Host::Ipv4(address) => (Some(IpAddr::V4(*address)), String::new()),
            Host::Ipv6(address) => (Some(IpAddr::V6(*address).to_canonical()), String::new()),
            Host::Domain(name) => (None, name.trim_end_matches('.').to_ascii_lowercase()),
        };
        let is_below = |domain: &str| {
            let above = name.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
            above.is_some_and(|rest| !rest.is_empty())
        };
        match self {
            Self::All => true,
            Self::Network(network) => address.is_some_and(|address| network.contains(&address)),
            Self::Domain(domain) => !domain.is_empty() && (name == *domain || is_below(domain)),
            Self::Below(domain) => is_below(domain),
        }
    }
}
