//! The configuration in force as a flat list of keys with values, in the order of the schema.
//! [`effective`](super::effective()) prints it, [`diff`](super::diff()) compares it. The readers of the sections fill it
//! while they resolve values, so a key that is read is in both.

use std::fmt;

use super::fingerprint::Digest;

/// Text that stands for a secret.
pub(crate) const REDACTED: &str = "<redacted>";

/// A key with its value. No `Debug`: digests of short secrets give them away.
#[derive(Clone)]
pub(crate) struct Entry {
    /// The site that the key belongs to, where it is one of a server.
    pub(crate) site: Option<String>,
    /// Relative to the server or to the whole file, such as `port` or `server.port`.
    pub(crate) key: String,
    pub(crate) value: Value,
}

/// The value of a key.
#[derive(Clone)]
pub(crate) enum Value {
    /// A number, a duration, a word of the schema.
    Plain(String),
    /// Free text.
    Text(String),
    /// A list of free texts.
    Texts(Vec<String>),
    /// The visible part of a secret, and the digest of all of it.
    Secret(String, Digest),
    /// The path of a file, and the digest of its content.
    File(String, Digest),
    /// Keys of the user's own. Without any, it stands for an empty section, too.
    Pairs(Vec<(String, Value)>),
}

/// Every key in force with its value; no secret is in it.
#[derive(Clone, Default)]
pub(crate) struct Entries(pub(crate) Vec<Entry>);

impl Entries {
    /// Takes the keys of a site from another configuration, in place of its own.
    pub(crate) fn replace_site(&mut self, site: &str, other: &Self) {
        let is_of_site = |entry: &Entry| entry.site.as_deref() == Some(site);
        let at = self.0.iter().position(is_of_site).unwrap_or(self.0.len());
        self.0.retain(|entry| !is_of_site(entry));
        let taken = other.0.iter().filter(|entry| is_of_site(entry)).cloned();
        self.0.splice(at..at, taken);
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").finish_non_exhaustive()
    }
}
