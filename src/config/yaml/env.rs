//! The environment that the configuration sees: the real one first, then `.env`. Nothing is ever
//! put into the process's own environment.

use super::diagnostics::Diagnostic;

/// Looks up environment variables. Closures are environments, so tests need not touch the process.
pub trait Environment {
    /// Returns the value of a variable, if it is set.
    fn get(&self, name: &str) -> Option<String>;

    /// Returns what keeps a variable from having a value, where it is named somewhere and has none.
    fn fault(&self, _name: &str) -> Option<Diagnostic> {
        None
    }
}

impl<F: Fn(&str) -> Option<String>> Environment for F {
    fn get(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// The environment of this process. A value that is not UTF-8 counts as not set.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}
