//! The configuration in force as a file in its own schema: every default filled in, every secret
//! redacted. Apart from the secrets it loads again and means the same.

use std::fmt::Write as _;

use super::Config;
use super::outline::{Entry, Value, outline};

/// Writes the configuration as YAML; no secret is in it.
pub fn effective(config: &Config) -> String {
    let mut out = Yaml::default();
    out.entries(&outline(config));
    out.text
}

/// A writer for the little YAML that is needed, with all free text in quotes.
#[derive(Default)]
struct Yaml {
    text: String,
    indent: usize,
    /// The next line begins an item of a list.
    item: bool,
}

impl Yaml {
    fn entries(&mut self, entries: &[Entry]) {
        for Entry { key, value } in entries {
            self.entry(key, value);
        }
    }

    fn entry(&mut self, key: &str, value: &Value) {
        match value {
            Value::Plain(word) => self.scalar(key, word),
            Value::Text(text) | Value::Secret(text, _) | Value::File(text, _) => {
                self.scalar(key, &quote(text));
            }
            Value::Texts(texts) => {
                let texts: Vec<_> = texts.iter().map(|text| quote(text)).collect();
                self.scalar(key, &format!("[{}]", texts.join(", ")));
            }
            Value::Section(entries) | Value::Pairs(entries) if entries.is_empty() => {
                self.scalar(key, "{}");
            }
            Value::Section(entries) => self.nested(key, 2, |out| out.entries(entries)),
            Value::Pairs(entries) => self.nested(key, 2, |out| {
                for Entry { key, value } in entries {
                    // A dollar sign means something in values only.
                    out.entry(&quote(key).replace("$$", "$"), value);
                }
            }),
            Value::Sites(sites) => self.nested(key, 4, |out| {
                for (_, entries) in sites {
                    out.item = true;
                    out.entries(entries);
                }
            }),
        }
    }

    fn nested(&mut self, key: &str, by: usize, body: impl FnOnce(&mut Self)) {
        self.line(&format!("{key}:"));
        self.indent += by;
        body(self);
        self.indent -= by;
    }

    fn scalar(&mut self, key: &str, value: &str) {
        self.line(&format!("{key}: {value}"));
    }

    fn line(&mut self, content: &str) {
        let indent = self.indent - if std::mem::take(&mut self.item) { 2 } else { 0 };
        let marker = if indent < self.indent { "- " } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:indent$}{marker}{content}", "");
    }
}

/// A double-quoted scalar that is read back as `text`, dollar signs included.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '$' => out.push_str("$$"),
            '\u{feff}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
