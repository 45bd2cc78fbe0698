//! The error of a file that is not PEM.

use std::fmt;

/// The error of a file that cannot be used. It shows nothing of the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PemError {
    /// The line at fault, from 1; `None` if no single line is.
    pub(super) line: Option<usize>,
    pub(super) problem: String,
}

impl PemError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { line: None, problem: problem.into() }
    }
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}
