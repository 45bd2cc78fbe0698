//! `${NAME}`, `${NAME:-default}` and `$$` in a text. What is inserted stays text; it is never read as YAML
//! again, so no variable can bring a key of its own.

use super::diagnostics::{Cause, Diagnostic};

/// Longest text that variables may make, bytes: lines of `.env` that refer to each other double it again and again.
const MAX_LENGTH: usize = 1 << 20;

/// Returns the value of a variable, `None` if it is not set, or what keeps it from having a value.
pub(super) type Lookup<'l> = dyn FnMut(&str) -> Result<Option<String>, Diagnostic> + 'l;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// These variables are not set.
    Missing(Vec<String>),
    Malformed(&'static str),
    /// The variable is defined, and its value cannot be read.
    Variable(Box<Diagnostic>),
}

/// Returns the text with its references replaced, and true if there was none.
pub(super) fn substitute(text: &str, lookup: &mut Lookup<'_>) -> Result<(String, bool), Fault> {
    let mut expansion = Expansion::new(lookup);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expansion.text.push_str(before);
        let length = expansion.dollar(after, false)?;
        rest = &after[length..];
    }
    expansion.text.push_str(rest);
    let is_literal = expansion.is_literal;
    expansion.finish().map(|text| (text, is_literal))
}

/// A text in the making.
pub(super) struct Expansion<'l> {
    pub(super) text: String,
    is_literal: bool,
    missing: Vec<String>,
    lookup: &'l mut Lookup<'l>,
}

impl<'l> Expansion<'l> {
    pub(super) fn new(lookup: &'l mut Lookup<'l>) -> Self {
        Self { text: String::new(), is_literal: true, missing: Vec::new(), lookup }
    }

    /// Adds what a dollar sign before `rest` stands for, and returns the length of that. `$NAME` is a
    /// reference only if `is_bare` says so.
    pub(super) fn dollar(&mut self, rest: &str, is_bare: bool) -> Result<usize, Fault> {
        if rest.starts_with('$') {
            self.text.push('$');
            return Ok(1);
        }
        if let Some(reference) = rest.strip_prefix('{') {
            const OPEN: &str = "\"${\" without \"}\"; write $$ for a dollar sign";
            let (inner, _) = reference.split_once('}').ok_or(Fault::Malformed(OPEN))?;
            let (name, default) = reference_parts(inner).map_err(Fault::Malformed)?;
            self.insert(name, default)?;
            return Ok(inner.len() + 2);
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &rest[..end.unwrap_or(rest.len())];
        if is_bare && is_name(name) {
            self.insert(name, None)?;
            return Ok(name.len());
        }
        self.text.push('$');
        Ok(0)
    }

    fn insert(&mut self, name: &str, default: Option<&str>) -> Result<(), Fault> {
        self.is_literal = false;
        match ((self.lookup)(name), default) {
            // As in the shell: `:-` also replaces what is set and empty.
            (Ok(Some(value)), Some(default)) if value.is_empty() => self.text.push_str(default),
            (Ok(Some(value)), _) => self.text.push_str(&value),
            (Err(fault), None) => return Err(Fault::Variable(Box::new(fault))),
            (Err(fault), _) if fault.cause == Cause::Invalid => {
                return Err(Fault::Variable(Box::new(fault)));
            }
            (Ok(None) | Err(_), Some(default)) => self.text.push_str(default),
            (Ok(None), None) => self.missing.push(name.to_owned()),
        }
        if self.text.len() > MAX_LENGTH {
            return Err(Fault::Malformed("longer than 1 MiB with the variables inserted"));
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<String, Fault> {
        if self.missing.is_empty() { Ok(self.text) } else { Err(Fault::Missing(self.missing)) }
    }
}

/// Splits the text between the braces of a reference into its name and default.
fn reference_parts(inner: &str) -> Result<(&str, Option<&str>), &'static str> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_name(name) {
        return Err("expected ${NAME} or ${NAME:-default}; write $$ for a dollar sign");
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err("a default inside ${...} cannot hold another ${...}");
    }
    Ok((name, default))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<(String, bool), Fault> {
        substitute(text, &mut |name| {
            let value = match name {
                "A" => Some("value"),
                "EMPTY" => Some(""),
                "YAML" => Some("x: [1, 2] # ${A}"),
                _ => None,
            };
            Ok(value.map(ToOwned::to_owned))
        })
    }

    #[test]
    fn references_become_text() {
        for (given, expected) in [
            ("${A}", "value"),
            ("<${A}-${A}>", "<value-value>"),
            ("${B:-b c}", "b c"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${A:-x}", "value"),
            ("${B:-}", ""),
            ("$$", "$"),
            ("$${A}", "${A}"),
            ("$$$$", "$$"),
            ("$A costs 5$", "$A costs 5$"),
            ("${YAML}", "x: [1, 2] # ${A}"),
        ] {
            let (text, _) = expand(given).unwrap();
            assert_eq!(text, expected, "{given}");
        }
    }

    #[test]
    fn faults_are_told_apart() {
        let missing = Fault::Missing(vec!["B".to_owned(), "C".to_owned()]);
        assert_eq!(expand("${B}${C}${A}").unwrap_err(), missing);
        for malformed in ["${A", "${}", "${1A}", "${A B}", "${A:-${B}}", "${A-x}"] {
            let fault = expand(malformed).unwrap_err();
            assert!(matches!(fault, Fault::Malformed(_)), "{malformed}");
        }
    }
}
