//! Names in a support bundle, each with the pseudonym that stands for it in all files.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use crate::collectors::NameFilterConfig;
use crate::config::Config;

/// Labels of which the values are names, and the kinds of these.
const LABELS: [(&str, &str); 13] = [
    ("site", "site"),
    ("client", "client"),
    ("workload", "workload"),
    ("policy", "policy"),
    ("media_server", "media-server"),
    ("storage_server", "storage-server"),
    ("name", "storage-unit"),
    ("pool_name", "pool"),
    ("pool", "pool"),
    ("volume", "volume"),
    ("slp", "slp"),
    ("drive_name", "drive"),
    ("vault", "vault"),
];

/// Values of these labels that are words of the agent.
const WORDS: [&str; 3] = ["UNKNOWN", "other", "<multiple>"];

/// Names and their pseudonyms, such as `client-1`.
#[derive(Debug, Default)]
pub(super) struct Names {
    pseudonyms: HashMap<String, String>,
    /// Numbers of pseudonyms by kind.
    counts: BTreeMap<&'static str, usize>,
    /// Ends of the names of hosts, such as `.example.com`, lower case.
    domains: Vec<String>,
    /// Names as they may be written, by the word that they begin with, the longest first.
    spellings: HashMap<String, Vec<(String, String)>>,
}

impl Names {
    /// Adds the names in a configuration.
    pub(super) fn add_configuration(&mut self, config: &Config) {
        for server in &config.servers {
            self.add("site", &server.site);
            self.add_host("server", server.base_url.host_str().unwrap_or_default());
        }
        for site in &config.sites_elsewhere {
            self.add("site", site);
        }
        for (label, value) in config.metrics.drop.iter().flat_map(|rule| &rule.labels) {
            if let Some((_, kind)) = LABELS.iter().find(|(name, _)| name == label) {
                self.add(kind, value);
            }
        }
        if let Some(otlp) = &config.otlp {
            for to in [&otlp.metrics_to, &otlp.traces_to] {
                self.add_host("receiver", to.endpoint.host_str().unwrap_or_default());
            }
        }
        let collectors = &config.collectors;
        for (kind, filter) in [
            ("client", &collectors.per_client),
            ("policy", &collectors.per_policy),
            ("workload", &collectors.per_workload),
        ] {
            let NameFilterConfig { allowlist, denylist, .. } = filter;
            allowlist.iter().chain(denylist).for_each(|name| self.add(kind, name));
        }
    }

    /// Adds the names in the labels of an exposition.
    pub(super) fn add_series(&mut self, page: &str) {
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            for (label, value) in labels(line) {
                let kind = LABELS.iter().find(|(name, _)| *name == label);
                if let Some((_, kind)) = kind.filter(|_| !WORDS.contains(&value.as_str())) {
                    self.add(kind, &value);
                }
            }
        }
    }

    /// Adds the addresses in a text, and the hosts that share a domain with a server.
    pub(super) fn add_hosts_in(&mut self, text: &str) {
        let is_part =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        for word in text.split(|c| !is_part(c)) {
            let word = word.trim_matches(['.', '-']);
            let host = word.split(':').next().unwrap_or_default().trim_end_matches('.');
            let address = word.trim_end_matches(':');
            let address = address.parse().ok().or_else(|| host.parse().ok());
            let address = address.or_else(|| word.parse().ok().map(|at: SocketAddr| at.ip()));
            match address {
                Some(address) if is_public(address) => self.add("address", &address.to_string()),
                None if self.is_known_domain(host) => self.add("host", host),
                Some(_) | None => {}
            }
        }
    }

    fn is_known_domain(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.domains.iter().any(|domain| host.ends_with(domain))
    }

    /// Adds the host of a server, unless it is this machine.
    fn add_host(&mut self, kind: &'static str, host: &str) {
        let host = host.trim_matches(['[', ']']);
        match host.parse() {
            Ok(address) if is_public(address) => self.add(kind, host),
            Err(_) if !host.eq_ignore_ascii_case("localhost") => self.add(kind, host),
            _ => {}
        }
    }

    fn add(&mut self, kind: &'static str, name: &str) {
        if self.pseudonyms.contains_key(name) || !name.contains(char::is_alphanumeric) {
            return;
        }
        let is_number = name.chars().all(|c| c.is_ascii_digit());
        if is_number {
            // It would be found in every time and size.
            return;
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let pseudonym = format!("{kind}-{count}");
        if let Some((short, domain)) = name.split_once('.').filter(|_| is_in_a_domain(name)) {
            self.know(short, pseudonym.clone());
            let domain = format!(".{}", domain.to_ascii_lowercase());
            if !self.domains.contains(&domain) {
                self.domains.push(domain);
            }
        }
        self.know(name, pseudonym);
    }

    /// Notes how a name may be written: as it is, in quotes, in YAML, and in HTML.
    fn know(&mut self, name: &str, pseudonym: String) {
        if self.pseudonyms.contains_key(name) {
            return;
        }
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        let html = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let html = html.replace('"', "&quot;");
        let mut written = vec![name.to_owned(), quoted.replace('$', "$$"), quoted, html];
        written.sort();
        written.dedup();
        for spelling in written {
            let first = beginning(&spelling).to_ascii_lowercase();
            let all = self.spellings.entry(first).or_default();
            all.push((spelling, pseudonym.clone()));
            all.sort_by_key(|(spelling, _)| std::cmp::Reverse(spelling.len()));
        }
        self.pseudonyms.insert(name.to_owned(), pseudonym);
    }

    /// Returns a text with pseudonyms for all names. Where a name is a word of its own, it is replaced, whatever it
    /// means there: rather too often than too seldom.
    pub(super) fn hide(&self, text: &str) -> String {
        let mut hidden = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let word = beginning(rest);
            let known = self.spellings.get(&word.to_ascii_lowercase());
            let found = known.and_then(|known| known.iter().find(|(name, _)| begins(rest, name)));
            let (length, shown) = found.map_or((word.len(), word), |(name, it)| (name.len(), it));
            hidden.push_str(shown);
            rest = &rest[length..];
        }
        hidden
    }

    /// Returns how many pseudonyms of each kind there are, a line each.
    pub(super) fn summary(&self) -> String {
        self.counts.iter().fold(String::new(), |mut text, (kind, count)| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {kind:<15} {count}");
            text
        })
    }
}

/// Returns true for the name of a host in a domain of an organisation, such as `a.example.com`.
fn is_in_a_domain(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let parts: Vec<&str> = name.split('.').collect();
    parts.len() > 2 && parts.iter().all(|part| is_part(part)) && name.parse::<IpAddr>().is_err()
}

fn is_public(address: IpAddr) -> bool {
    !address.is_loopback() && !address.is_unspecified()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the word that a text begins with, or its first character.
fn beginning(text: &str) -> &str {
    let end = match text.chars().next() {
        Some(first) if is_word(first) => text.find(|c| !is_word(c)).unwrap_or(text.len()),
        Some(first) => first.len_utf8(),
        None => 0,
    };
    &text[..end]
}

/// Returns true if a text begins with a name, whatever the case, and that ends there.
fn begins(text: &str, name: &str) -> bool {
    let Some((start, rest)) = text.split_at_checked(name.len()) else { return false };
    let goes_on = name.ends_with(is_word) && rest.starts_with(is_word);
    start.eq_ignore_ascii_case(name) && !goes_on
}

/// Returns the labels of a line of the exposition.
fn labels(line: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut rest = line.split_once('{').map_or("", |(_, rest)| rest);
    while let Some((label, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next() {
                None => return found,
                Some((end, '"')) => break end,
                Some((_, '\\')) => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    escaped => value.extend(escaped.map(|(_, c)| c)),
                },
                Some((_, c)) => value.push(c),
            }
        };
        found.push((label.trim_start_matches(','), value));
        rest = &after[end + 1..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_as_whole_words_in_every_spelling() {
        let mut names = Names::default();
        names.add_host("server", "nbu-paris.corp.example.com");
        names.add("site", "paris");
        names.add_series(concat!(
            "nbu_x{client=\"web01\",policy=\"Daily \\\"full\\\" <a&b>\",site=\"paris\"} 1\n",
            "nbu_x{client=\"web01-db\",policy=\"$all\",status=\"84\",drive_name=\"7\"} 1\n",
            "nbu_x{client=\"db7.lan.example.org\",site=\"UNKNOWN\"} 1\nnbu_x{client=\"other\"} 1\n",
        ));
        names.add_hosts_in(
            "to 10.1.2.3:1556, [2001:db8::7]:1556 and 127.0.0.1 by mail.corp.example.com.",
        );
        names.add_hosts_in("db8.LAN.example.org: no route");
        for (text, expected) in [
            ("https://NBU-Paris.corp.example.com:1556/", "https://server-1:1556/"),
            ("nbu-paris, Paris, parisian, not_paris", "server-1, site-1, parisian, not_paris"),
            ("web01 web01-db web01-dbx web010", "client-1 client-2 client-1-dbx web010"),
            ("\"Daily \\\"full\\\" <a&b>\"", "\"policy-1\""),
            ("Daily &quot;full&quot; &lt;a&amp;b&gt;", "policy-1"),
            ("\"$$all\" $all", "\"policy-2\" policy-2"),
            ("status 84, drive 7, other UNKNOWN", "status 84, drive 7, other UNKNOWN"),
            ("10.1.2.3 10.1.2.30 2001:db8::7", "address-1 10.1.2.30 address-2"),
            ("127.0.0.1 mail.corp.example.com.", "127.0.0.1 host-1."),
            ("db7 db7.lan.example.org db8.lan.example.org", "client-3 client-3 host-2"),
        ] {
            assert_eq!(names.hide(text), expected);
        }
        assert!(names.summary().contains("client          3"), "{}", names.summary());
    }
}
