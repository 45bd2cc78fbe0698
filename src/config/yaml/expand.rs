//! `${NAME}`, `${NAME:-default}` and `$$` in the scalars of a tree. What is inserted stays text; it
//! is never read as YAML again, so no variable can bring a key of its own.

use std::collections::BTreeMap;

use super::diagnostics::{Cause, Diagnostic, Position, Problem};
use super::env::Environment;
use super::tree::{Node, Value};

/// Faults of an expansion.
#[derive(Default)]
pub(crate) struct Faults {
    missing: BTreeMap<String, Vec<Position>>,
    malformed: Vec<Problem>,
    /// Faults of variables where they are defined.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Faults {
    /// Returns a problem that names every missing variable, and one for each malformed reference.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.malformed;
        if let Some(position) = self.missing.values().flatten().min().copied() {
            let noun = if self.missing.len() == 1 { "variable" } else { "variables" };
            let names: Vec<_> = self.missing.iter().map(|(name, at)| named(name, at)).collect();
            let message = format!("environment {noun} not set: {}", names.join(", ")).into();
            problems.push(Problem { position, message });
        }
        problems
    }
}

fn named(name: &str, at: &[Position]) -> String {
    let mut lines: Vec<_> = at.iter().map(|position| position.line).collect();
    lines.sort_unstable();
    lines.dedup();
    let noun = if lines.len() == 1 { "line" } else { "lines" };
    let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
    format!("{name} ({noun} {})", lines.join(", "))
}

/// Expands every scalar value below `node`; keys stay as they are.
pub(crate) fn expand(node: &mut Node, env: &dyn Environment, faults: &mut Faults) {
    match &mut node.value {
        Value::Text { text, .. } => {
            if text.contains('$') {
                node.value = expanded(text, node.position, env, faults);
            }
        }
        Value::List(items) => {
            for item in items {
                expand(item, env, faults);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                expand(&mut entry.value, env, faults);
            }
        }
        Value::Null | Value::Unresolved => {}
    }
}

fn expanded(text: &str, at: Position, env: &dyn Environment, faults: &mut Faults) -> Value {
    match substitute(text, env) {
        Ok((text, literal)) => Value::Text { text, literal },
        Err(Fault::Missing(names)) => {
            for name in names {
                let positions = faults.missing.entry(name).or_default();
                positions.push(at);
            }
            Value::Unresolved
        }
        Err(Fault::Variable(fault)) => {
            faults.diagnostics.push(*fault);
            Value::Unresolved
        }
        Err(Fault::Malformed(message)) => {
            faults.malformed.push(Problem { position: at, message: message.into() });
            Value::Unresolved
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Missing(Vec<String>),
    Malformed(&'static str),
    /// The variable is defined, and its value cannot be read.
    Variable(Box<Diagnostic>),
}

/// A reference without its end.
pub(crate) const OPEN: &str = "\"${\" without \"}\"; write $$ for a dollar sign";

/// Returns the text with its references replaced, and true if there was none.
fn substitute(text: &str, env: &dyn Environment) -> Result<(String, bool), Fault> {
    let mut out = String::with_capacity(text.len());
    let mut missing = Vec::new();
    let mut literal = true;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(later) = after.strip_prefix('$') {
            out.push('$');
            rest = later;
        } else if let Some(reference) = after.strip_prefix('{') {
            let (inner, later) = reference.split_once('}').ok_or(Fault::Malformed(OPEN))?;
            literal = false;
            match lookup(inner, env)? {
                Ok(value) => out.push_str(&value),
                Err(name) => missing.push(name),
            }
            rest = later;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    if missing.is_empty() { Ok((out, literal)) } else { Err(Fault::Missing(missing)) }
}

/// Splits the text between the braces of a reference into its name and default.
pub(crate) fn reference(inner: &str) -> Result<(&str, Option<&str>), &'static str> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !valid {
        return Err("expected ${NAME} or ${NAME:-default}; write $$ for a dollar sign");
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err("a default inside ${...} cannot hold another ${...}");
    }
    Ok((name, default))
}

/// Returns the value of `NAME` or `NAME:-default`, or the name that is not set.
fn lookup(inner: &str, env: &dyn Environment) -> Result<Result<String, String>, Fault> {
    let (name, default) = reference(inner).map_err(Fault::Malformed)?;
    let value = env.get(name);
    if value.is_none()
        && let Some(fault) = env.fault(name)
        && (default.is_none() || fault.cause == Cause::Invalid)
    {
        return Err(Fault::Variable(Box::new(fault)));
    }
    Ok(match (value, default) {
        // As in the shell: `:-` also replaces what is set and empty.
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(name.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "A" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            "YAML" => Some("x: [1, 2] # ${A}".to_owned()),
            _ => None,
        }
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
            let (text, _) = substitute(given, &environment).unwrap();
            assert_eq!(text, expected, "{given}");
        }
    }

    #[test]
    fn faults_are_told_apart() {
        let missing = Fault::Missing(vec!["B".to_owned(), "C".to_owned()]);
        assert_eq!(substitute("${B}${C}${A}", &environment).unwrap_err(), missing);
        for malformed in ["${A", "${}", "${1A}", "${A B}", "${A:-${B}}", "${A-x}"] {
            let fault = substitute(malformed, &environment).unwrap_err();
            assert!(matches!(fault, Fault::Malformed(_)), "{malformed}");
        }
    }
}
