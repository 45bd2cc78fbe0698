//! The configuration in force as a flat list of keys with values, in the order of the schema. The readers of the
//! sections fill it while they resolve values, so a key that is read is printed ([`effective`](super::effective()))
//! and compared ([`diff`](super::diff())).

use std::fmt::{self, Write as _};

use super::fingerprint::Digest;

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

#[derive(Clone)]
pub(crate) enum Value {
    /// A number, a duration, a word of the schema.
    Plain(String),
    Text(String),
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
    /// Puts the keys of site files behind those of the other sites, and leaves out sites that are not this agent's.
    pub(crate) fn new(
        mut keys: Vec<Entry>,
        of_files: Vec<Entry>,
        is_own: impl Fn(&str) -> bool,
    ) -> Self {
        let last = keys.iter().rposition(|entry| entry.site.is_some());
        // Without sites, where they would be: behind the only section before them.
        let last = last.or_else(|| keys.iter().rposition(|entry| entry.key.starts_with("server.")));
        let at = last.map_or(0, |last| last + 1);
        keys.splice(at..at, of_files);
        keys.retain(|entry| entry.site.as_deref().is_none_or(&is_own));
        Self(keys)
    }

    /// Takes the keys of a site from another configuration, in place of its own.
    pub(crate) fn replace_site(&mut self, site: &str, other: &Self) {
        let is_of_site = |entry: &Entry| entry.site.as_deref() == Some(site);
        let at = self.0.iter().position(is_of_site).unwrap_or(self.0.len());
        self.0.retain(|entry| !is_of_site(entry));
        let taken = other.0.iter().filter(|entry| is_of_site(entry)).cloned();
        self.0.splice(at..at, taken);
    }

    /// Takes the keys outside of sites whose names begin so from another configuration, which has the same.
    pub(crate) fn replace_keys(&mut self, prefix: &str, other: &Self) {
        let is_meant = |entry: &Entry| entry.site.is_none() && entry.key.starts_with(prefix);
        for entry in self.0.iter_mut().filter(|entry| is_meant(entry)) {
            if let Some(taken) = other.0.iter().find(|it| is_meant(it) && it.key == entry.key) {
                entry.clone_from(taken);
            }
        }
    }

    /// Returns the path of the file that a key outside of sites names.
    pub(crate) fn file(&self, key: &str) -> Option<&str> {
        let entry = self.0.iter().find(|entry| entry.site.is_none() && entry.key == key)?;
        if let Value::File(path, _) = &entry.value { Some(path) } else { None }
    }

    pub(super) fn to_yaml(&self) -> String {
        let mut out = Yaml::default();
        let mut site = None;
        let mut sections: Vec<&str> = Vec::new();
        for Entry { site: of, key, value } in &self.0 {
            if of.as_ref() != site {
                if site.is_none() {
                    out.indent = 0;
                    out.line("nbuservers:");
                }
                (out.indent, out.begins_item) = if of.is_some() { (4, true) } else { (0, false) };
                site = of.as_ref();
                sections.clear();
            }
            let path: Vec<_> = key.split('.').collect();
            let Some((name, around)) = path.split_last() else { continue };
            let same = sections.iter().zip(around).take_while(|(a, b)| a == b).count();
            out.indent -= 2 * (sections.len() - same);
            for section in around.get(same..).unwrap_or_default() {
                out.line(&format!("{section}:"));
                out.indent += 2;
            }
            sections = around.to_vec();
            out.entry(name, value);
        }
        out.text
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").finish_non_exhaustive()
    }
}

/// A writer for the little YAML that is needed, with all free text in quotes.
#[derive(Default)]
struct Yaml {
    text: String,
    indent: usize,
    begins_item: bool,
}

impl Yaml {
    fn entry(&mut self, key: &str, value: &Value) {
        match value {
            Value::Plain(word) => self.line(&format!("{key}: {word}")),
            Value::Text(text) | Value::Secret(text, _) | Value::File(text, _) => {
                self.line(&format!("{key}: {}", quote(text)));
            }
            Value::Texts(texts) => {
                let texts: Vec<_> = texts.iter().map(|text| quote(text)).collect();
                self.line(&format!("{key}: [{}]", texts.join(", ")));
            }
            Value::Pairs(pairs) if pairs.is_empty() => self.line(&format!("{key}: {{}}")),
            Value::Pairs(pairs) => {
                self.line(&format!("{key}:"));
                self.indent += 2;
                for (key, value) in pairs {
                    // A dollar sign means something in values only.
                    self.entry(&quote(key).replace("$$", "$"), value);
                }
                self.indent -= 2;
            }
        }
    }

    fn line(&mut self, content: &str) {
        let indent = self.indent - if std::mem::take(&mut self.begins_item) { 2 } else { 0 };
        let marker = if indent < self.indent { "- " } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:indent$}{marker}{content}", "");
    }
}

/// Returns a double-quoted scalar that is read back as `text`, dollar signs included.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '$' => out.push_str("$$"),
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
