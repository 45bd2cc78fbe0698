//! Errors of a configuration, with their positions. Messages name keys, never values: a value, or the
//! line that holds it, may be a secret.

use std::{fmt, io};

use crate::config::fingerprint::{Fingerprints, joined};
use crate::http;

/// A place in a file, both counted from 1; columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// An error or a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, or `environment`.
    pub origin: String,
    pub position: Option<Position>,
    /// The key, such as `nbuservers[1].port`, or the name of a variable; may be empty.
    pub path: String,
    /// Text for people; it says what was expected.
    pub message: String,
    pub cause: Cause,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It is wrong until somebody changes it.
    Invalid,
    /// It is right and cannot be had now: a file that is missing, a disk that fails.
    Unavailable,
    /// It is allowed and unwise: a warning.
    Unwise,
}

impl Cause {
    /// Returns the cause of a failure to read a file: what can be no file of ours is wrong for good.
    pub(crate) fn of(error: &io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, InvalidInput, IsADirectory};
        match error.kind() {
            IsADirectory | InvalidInput | FileTooLarge => Self::Invalid,
            _ => Self::Unavailable,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Every error of a configuration, in the order of the file; one line each when displayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.diagnostics))]
pub struct Errors {
    /// At least one.
    pub diagnostics: Vec<Diagnostic>,
    /// Every file that was read or should have been, so that a watcher sees it being put right.
    pub files: Fingerprints,
    /// Parts of the system that the configuration depends on: the places of its CA certificates.
    pub places: Box<Fingerprints>,
    /// The endpoint to ask for health as the file has it, where it can be read so far: who asks a running agent for its
    /// health must not take a bad file for a bad agent.
    pub endpoint: Option<http::Probe>,
}

impl Errors {
    /// Returns true if the same configuration may be valid later, without a change to it.
    pub fn may_pass(&self) -> bool {
        self.diagnostics.iter().all(|fault| fault.cause == Cause::Unavailable)
    }

    /// Returns all that must be the same for the errors to be the same.
    pub fn watched(&self) -> Fingerprints {
        joined(&self.files, &self.places)
    }
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A value that is wrong, which is reported already.
#[derive(Clone, Copy)]
pub(crate) struct Reported;

/// Returns the candidate that `name` most probably stands for, if any is near.
pub(crate) fn nearest<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (1 + candidate.len() / 4).min(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns the name of a key in quotes, where it can be shown. A slip can make a key of what was meant as a
/// value (`{apiKey: abc,def}` has the key `def`), so a name is not shown that looks like a credential
/// (digits, signs, long) or has no value.
pub(crate) fn quoted(name: &str, is_near: bool, is_bare: bool) -> String {
    let plain = !is_bare
        && name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '-'));
    // Near a key of ours means at most three characters away from it.
    let shown = plain || (is_near && name.chars().all(|c| c.is_ascii_graphic()));
    if shown { format!(" \"{name}\"") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_names_are_suggested() {
        let keys = ["collectors", "server", "nbuservers", "nbuserver", "uri"];
        for (given, expected) in [
            ("colectors", Some("collectors")),
            ("Server", Some("server")),
            ("nbuServers", Some("nbuservers")),
            ("url", Some("uri")),
            ("something", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, keys), expected, "{given}");
        }
    }

    #[test]
    fn name_that_may_be_a_credential_is_hidden() {
        assert_eq!(quoted("apiKeey", true, true), " \"apiKeey\"");
        assert_eq!(quoted("apiKey2", true, false), " \"apiKey2\"");
        assert_eq!(quoted("something", false, false), " \"something\"");
        assert_eq!(quoted("something", false, true), "");
        for hidden in ["A7x9kQ", "pass word", "abc=", "x\u{1b}[2J", &"a".repeat(33)] {
            assert_eq!(quoted(hidden, false, false), "", "{hidden}");
        }
    }
}
