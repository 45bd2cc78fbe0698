//! The configuration in force as a file in its own schema: every default filled in, every secret
//! redacted. Apart from the secrets it loads again and means the same.

use std::fmt::Write as _;

use super::Config;
use super::entries::{Entry, Value};

/// Writes the configuration as YAML; no secret is in it.
pub fn effective(config: &Config) -> String {
    let mut out = Yaml::default();
    let mut site = None;
    let mut sections: Vec<&str> = Vec::new();
    for Entry { site: of, key, value } in &config.entries.0 {
        if of.as_ref() != site {
            if site.is_none() {
                out.indent = 0;
                out.line("nbuservers:");
            }
            (out.indent, out.item) = if of.is_some() { (4, true) } else { (0, false) };
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

/// A writer for the little YAML that is needed, with all free text in quotes.
#[derive(Default)]
struct Yaml {
    text: String,
    indent: usize,
    /// The next line begins an item of a list.
    item: bool,
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
        let indent = self.indent - if std::mem::take(&mut self.item) { 2 } else { 0 };
        let marker = if indent < self.indent { "- " } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:indent$}{marker}{content}", "");
    }
}

/// Returns a double-quoted scalar that is read back as `text`, dollar signs included.
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
