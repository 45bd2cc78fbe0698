//! `NO_PROXY`, by the rules of curl, and with a port.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Host;

/// The servers that are reached without a proxy.
#[derive(Debug, Clone, Default)]
pub(super) struct Exceptions(Vec<Exception>);

#[derive(Debug, Clone)]
struct Exception {
    server: Server,
    /// Any port if absent.
    port: Option<u16>,
}

#[derive(Debug, Clone)]
enum Server {
    All,
    Address(IpAddr),
    Network(IpNet),
    /// A domain and all below it; lower case, no dots around it.
    Domain(String),
    /// All below a domain.
    Below(String),
}

impl Exceptions {
    /// Reads entries with commas or blanks between.
    pub(super) fn parse(list: &str) -> Self {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace());
        Self(entries.filter(|entry| !entry.is_empty()).map(Exception::parse).collect())
    }

    /// Returns true if one of them is this server.
    pub(super) fn have(&self, host: &Host<&str>, port: u16) -> bool {
        self.0.iter().any(|exception| exception.is(host, port))
    }
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

    fn is(&self, host: &Host<&str>, port: u16) -> bool {
        self.port.is_none_or(|wanted| wanted == port) && self.server.is(host)
    }
}

impl Server {
    fn parse(text: &str) -> Self {
        let bare = text.replace(['[', ']'], "");
        if let Ok(network) = bare.parse::<IpNet>() {
            return Self::Network(network);
        }
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Self::Address(address.to_canonical());
        }
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        match (name.as_str(), name.strip_prefix("*.")) {
            ("*", _) => Self::All,
            (_, Some(domain)) => Self::Below(domain.to_owned()),
            (name, None) => Self::Domain(name.trim_start_matches('.').to_owned()),
        }
    }

    fn is(&self, host: &Host<&str>) -> bool {
        let address = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address).to_canonical()),
            Host::Domain(_) => None,
        };
        let name = match host {
            Host::Domain(name) => name.trim_end_matches('.').to_ascii_lowercase(),
            _ => String::new(),
        };
        let is_below = |domain: &str| {
            let above = name.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
            above.is_some_and(|rest| !rest.is_empty())
        };
        match self {
            Self::All => true,
            Self::Address(wanted) => address == Some(*wanted),
            Self::Network(network) => address.is_some_and(|address| network.contains(&address)),
            Self::Domain(domain) => !domain.is_empty() && (name == *domain || is_below(domain)),
            Self::Below(domain) => is_below(domain),
        }
    }
}
