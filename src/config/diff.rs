//! Changes by a reload, key by key: ordinary values before and after; of secrets and contents
//! only that they differ.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::ser::{Serialize, SerializeSeq as _, Serializer};

use super::Config;
use super::entries::{Entry, REDACTED, Value};
use super::fingerprint::Digest;
use crate::netbackup;

/// Difference between two valid configurations. It contains no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    pub sites: Vec<SiteChange>,
    /// Keys outside of sites that changed.
    pub keys: Vec<KeyChange>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteChange {
    pub site: String,
    pub change: Change,
    /// It is now another server: cached data of the old one says nothing about it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub server_changed: bool,
    /// Of a site that changed, the keys that did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyChange>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeyChange {
    /// As people write it, such as `server.port` or `nbuservers[paris].port`.
    pub key: String,
    pub change: Change,
    /// The value before, where there was one that can be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The value now, where there is one that can be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    Added,
    Removed,
    Changed,
    /// The path is the same, what the file holds is not.
    #[serde(rename = "content changed")]
    Content,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As it is serialized.
        self.serialize(f)
    }
}

/// Compares two configurations. Where there was nothing before, all sites are added and no keys
/// are listed: every one of them would be.
pub fn diff(before: Option<&Config>, now: &Config) -> Diff {
    let mut sites = Vec::new();
    let (entries, entries_before) = (by_site(Some(now)), by_site(before));
    let servers_before: HashMap<&str, &netbackup::Config> =
        before.iter().flat_map(|it| &it.servers).map(|it| (it.site.as_str(), it)).collect();
    let keys_of =
        |site: Option<&str>| compare(&values(&entries_before, site), values(&entries, site));
    for server in &now.servers {
        let site = server.site.as_str();
        let Some(old) = servers_before.get(site) else {
            sites.push(added_or_removed(site, Change::Added));
            continue;
        };
        let keys = keys_of(Some(site));
        if !keys.is_empty() {
            let server_changed = !old.same_server(server);
            let site = site.to_owned();
            sites.push(SiteChange { site, change: Change::Changed, server_changed, keys });
        }
    }
    let Some(before) = before else { return Diff { sites, keys: Vec::new() } };
    // In the order of the old file.
    let stays: HashSet<&str> = now.servers.iter().map(|server| server.site.as_str()).collect();
    let is_gone = |site: &&str| !stays.contains(site);
    let gone = before.servers.iter().map(|server| server.site.as_str()).filter(is_gone);
    sites.extend(gone.map(|site| added_or_removed(site, Change::Removed)));
    Diff { sites, keys: keys_of(None) }
}

fn added_or_removed(site: &str, change: Change) -> SiteChange {
    SiteChange { site: site.to_owned(), change, server_changed: false, keys: Vec::new() }
}

impl Diff {
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty() && self.keys.is_empty()
    }
}

type Values<'e> = Vec<(String, &'e Value)>;

fn compare(before: &Values<'_>, now: Values<'_>) -> Vec<KeyChange> {
    let mut gone: HashMap<&str, &Value> =
        before.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let mut changes = Vec::new();
    for (key, value) in now {
        let old = gone.remove(key.as_str());
        changes.extend(key_change(key, old, Some(value)));
    }
    let gone = before.iter().filter(|(key, _)| gone.contains_key(key.as_str()));
    changes.extend(gone.filter_map(|(key, value)| key_change(key.clone(), Some(value), None)));
    changes
}

type BySite<'e> = HashMap<Option<&'e str>, Vec<&'e Entry>>;

/// Returns the keys by the site that they belong to: with a thousand sites, each would search through those of all.
fn by_site(config: Option<&Config>) -> BySite<'_> {
    let mut entries = BySite::new();
    for entry in config.iter().flat_map(|config| &config.entries.0) {
        entries.entry(entry.site.as_deref()).or_default().push(entry);
    }
    entries
}

/// Returns the values of a site, or those outside of sites, by the paths of their keys and in order.
fn values<'e>(entries: &BySite<'e>, site: Option<&str>) -> Values<'e> {
    let mut values = Vec::new();
    for Entry { key, value, .. } in entries.get(&site).into_iter().flatten().copied() {
        let path = match site {
            Some(site) => format!("nbuservers[{site}].{key}"),
            None => key.clone(),
        };
        match value {
            Value::Pairs(pairs) => {
                values.extend(pairs.iter().map(|(key, value)| (format!("{path}.{key}"), value)));
            }
            value => values.push((path, value)),
        }
    }
    values
}

fn key_change(key: String, old: Option<&Value>, new: Option<&Value>) -> Option<KeyChange> {
    let (before, now) = (old.and_then(Value::visible), new.and_then(Value::visible));
    let change = match (old, new) {
        (None, None) => return None,
        (None, Some(_)) => Change::Added,
        (Some(_), None) => Change::Removed,
        (Some(_), Some(_)) if before != now => Change::Changed,
        (Some(old), Some(new)) if old.hidden() == new.hidden() => return None,
        // What is shown is no change and would look like one.
        (Some(_), Some(new)) => {
            let change =
                if matches!(new, Value::File(..)) { Change::Content } else { Change::Changed };
            return Some(KeyChange { key, change, before: None, now: None });
        }
    };
    Some(KeyChange { key, change, before, now })
}

impl Value {
    fn visible(&self) -> Option<String> {
        match self {
            Self::Secret(text, _) if text == REDACTED => None,
            Self::Plain(text) | Self::Text(text) | Self::Secret(text, _) | Self::File(text, _) => {
                Some(text.clone())
            }
            Self::Texts(texts) => Some(format!("[{}]", texts.join(", "))),
            Self::Pairs(_) => None,
        }
    }

    fn hidden(&self) -> Option<&Digest> {
        match self {
            Self::Secret(_, digest) | Self::File(_, digest) => Some(digest),
            _ => None,
        }
    }
}

/// Number of changes that a log line names.
const NAMED: usize = 10;

/// Longest key or value in a log line, characters.
const SHOWN: usize = 80;

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing changed");
        }
        let sites = self.sites.iter().filter(|site| site.keys.is_empty());
        let sites = sites.map(|site| format!("site {} {}", line(&site.site), site.change));
        let keys = self.sites.iter().flat_map(|site| &site.keys).chain(&self.keys);
        let mut changes = sites.chain(keys.map(ToString::to_string));
        let named: Vec<_> = changes.by_ref().take(NAMED).collect();
        f.write_str(&named.join("; "))?;
        match changes.count() {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = line(&self.key);
        match (&self.before, &self.now) {
            (Some(before), Some(now)) => write!(f, "{key}: {} -> {}", line(before), line(now)),
            (None, Some(now)) => write!(f, "{key}: {} {}", self.change, line(now)),
            (_, None) => write!(f, "{key}: {}", self.change),
        }
    }
}

/// Returns text without line breaks and other controls, cut.
fn line(text: &str) -> String {
    let is_control = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let shown = |c: char| if is_control(c) { c.escape_default().to_string() } else { c.into() };
    let mut chars = text.chars();
    let line: String = chars.by_ref().take(SHOWN).map(shown).collect();
    if chars.next().is_some() { line + "…" } else { line }
}

/// A list: the sites, then the keys outside of them.
impl Serialize for Diff {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.sites.len() + self.keys.len()))?;
        for site in &self.sites {
            list.serialize_element(site)?;
        }
        for key in &self.keys {
            list.serialize_element(key)?;
        }
        list.end()
    }
}
