//! The environment that the configuration sees: the real one first, then `.env`. Nothing is ever
//! put into the process's own environment.

use std::path::{Path, PathBuf};

use super::diagnostics::Diagnostic;
use super::dotenv::Dotenv;

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

/// `.env` below the real environment. No `Debug`: it holds secrets.
pub(crate) struct Layered<'e> {
    pub(crate) real: &'e dyn Environment,
    pub(crate) dotenv: Dotenv,
}

impl Environment for Layered<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.real.get(name).or_else(|| self.dotenv.get(name, self.real)?.ok())
    }

    fn fault(&self, name: &str) -> Option<Diagnostic> {
        if self.real.get(name).is_some() {
            return None;
        }
        match self.dotenv.get(name, self.real) {
            Some(found) => found.err(),
            None => self.dotenv.missing(name),
        }
    }
}

/// Returns where `.env` may be: beside the configuration. The working directory is anybody's.
pub(crate) fn dotenv_path(config: &Path) -> PathBuf {
    config.with_file_name(".env")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_environment_wins() {
        let real = |name: &str| (name == "A").then(|| "real".to_owned());
        let dotenv = Dotenv::parse(Path::new(".env"), b"A=file\nB=file\nC=has space\n");
        let layered = Layered { real: &real, dotenv };
        assert_eq!(layered.get("A").as_deref(), Some("real"));
        assert_eq!(layered.get("B").as_deref(), Some("file"));
        assert_eq!(layered.get("C"), None);
        assert_eq!(layered.get("D"), None);
        let faults = ["A", "B", "C", "D"].map(|name| layered.fault(name).is_some());
        assert_eq!(faults, [false, false, true, false]);
    }
}
