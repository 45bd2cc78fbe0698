//! What the sections of one configuration share: its origin, the environment, what is wrong with it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::content::{self, Contents, Files};
use super::diagnostics::{Cause, Diagnostic, Position, Problem};
use super::env::Environment;
use crate::net::proxy::EnvironmentProxies;
use crate::net::roots::SystemRoots;

/// What all sections share: where the configuration comes from and what was found wrong with it.
pub(super) struct Context<'e> {
    pub(super) origin: String,
    /// Files that the configuration names are relative to this directory.
    pub(super) base: PathBuf,
    pub(super) env: &'e dyn Environment,
    pub(super) errors: RefCell<Vec<Diagnostic>>,
    pub(super) warnings: RefCell<Vec<Diagnostic>>,
    pub(super) files: RefCell<Files>,
    /// What was read of the files that the configuration names.
    pub(super) contents: RefCell<Contents>,
    /// What stands in for a file that cannot be read.
    pub(super) fallback: Option<&'e Contents>,
    /// Every key that was asked for, such as `nbuservers[].port`.
    pub(super) keys: RefCell<BTreeSet<String>>,
    /// The first secret that is spelt out in the file itself.
    pub(super) literal_secret: Cell<Option<Position>>,
    /// Files and directories that nobody names and that count all the same: the system's CAs.
    pub(super) places: RefCell<Files>,
    /// The system's CA certificates, once a section needs them.
    pub(super) system_roots: OnceCell<SystemRoots>,
    /// The environment's proxies, once a section needs them.
    proxies: OnceCell<EnvironmentProxies>,
}

impl<'e> Context<'e> {
    pub(super) fn new(origin: String, base: PathBuf, env: &'e dyn Environment) -> Self {
        Self {
            origin,
            base,
            env,
            errors: RefCell::default(),
            warnings: RefCell::default(),
            files: RefCell::default(),
            contents: RefCell::default(),
            fallback: None,
            keys: RefCell::default(),
            literal_secret: Cell::new(None),
            places: RefCell::default(),
            system_roots: OnceCell::new(),
            proxies: OnceCell::new(),
        }
    }

    pub(super) fn error(&self, at: Position, path: &str, message: impl Into<String>) {
        add(&self.errors, self.diagnostic(Some(at), path, message.into()));
    }

    /// Reports what is right and cannot be had now.
    pub(super) fn unavailable(&self, at: Position, path: &str, message: impl Into<String>) {
        let found = self.diagnostic(Some(at), path, message.into());
        self.push(Diagnostic { cause: Cause::Unavailable, ..found });
    }

    /// Reports a fault, once.
    pub(super) fn push(&self, fault: Diagnostic) {
        let mut errors = self.errors.borrow_mut();
        if !errors.contains(&fault) {
            errors.push(fault);
        }
    }

    pub(super) fn warn(&self, at: Position, path: &str, message: impl Into<String>) {
        add(&self.warnings, self.diagnostic(Some(at), path, message.into()));
    }

    /// An error that concerns the file as a whole.
    pub(super) fn file_error(&self, message: impl Into<String>) {
        self.errors.borrow_mut().push(self.diagnostic(None, "", message.into()));
    }

    pub(super) fn problem(&self, problem: Problem) {
        self.error(problem.position, "", problem.message);
    }

    pub(super) fn variable_error(&self, name: &str, message: &str) {
        add(&self.errors, environment(name, message));
    }

    /// Reports that what a variable names cannot be had now.
    pub(super) fn variable_unavailable(&self, name: &str, message: &str) {
        self.push(Diagnostic { cause: Cause::Unavailable, ..environment(name, message) });
    }

    pub(super) fn variable_warning(&self, name: &str, message: &str) {
        add(&self.warnings, environment(name, message));
    }

    /// A variable that is set and not empty; the specification treats empty as not set.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let value = self.env.get(name);
        if value.is_none() {
            // A file that cannot be read may hold any variable: nobody says that it holds this one.
            let fault = self.env.fault(name).filter(|fault| fault.cause == Cause::Invalid);
            if let Some(fault) = fault {
                self.push(fault);
            }
        }
        value.filter(|value| !value.trim().is_empty())
    }

    /// Reads a file that the configuration names, or takes what was read of it before.
    pub(super) fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        let read = content::read_noted(path, &mut self.files.borrow_mut());
        let bytes = match (read, self.fallback.and_then(|contents| contents.get(path))) {
            (Err(_), Some(before)) => before.clone(),
            (read, _) => read?,
        };
        self.contents.borrow_mut().insert(path.to_owned(), bytes.clone());
        Ok(bytes)
    }

    /// Returns the proxies that the environment names. A variable that names none that can be used is
    /// told once.
    pub(super) fn proxies(&self) -> &EnvironmentProxies {
        self.proxies.get_or_init(|| {
            let proxies = EnvironmentProxies::read(|name| self.env.get(name));
            for name in proxies.unusable() {
                let message = "ignored: expected the address of a proxy such as \
                               http://proxy.example.com:3128 (SOCKS is not supported)";
                self.variable_warning(name, message);
            }
            proxies
        })
    }

    /// Remembers that a secret stands in the file itself.
    pub(super) fn note_literal(&self, at: Position) {
        if self.literal_secret.get().is_none() {
            self.literal_secret.set(Some(at));
        }
    }

    fn diagnostic(&self, position: Option<Position>, path: &str, message: String) -> Diagnostic {
        Diagnostic {
            origin: self.origin.clone(),
            position,
            path: path.to_owned(),
            message,
            cause: Cause::Invalid,
        }
    }
}

/// Adds what was not said yet: two signals may have one setting.
fn add(list: &RefCell<Vec<Diagnostic>>, diagnostic: Diagnostic) {
    let mut list = list.borrow_mut();
    if !list.contains(&diagnostic) {
        list.push(diagnostic);
    }
}

fn environment(name: &str, message: &str) -> Diagnostic {
    Diagnostic {
        origin: "environment".to_owned(),
        position: None,
        path: name.to_owned(),
        message: message.to_owned(),
        cause: Cause::Invalid,
    }
}
