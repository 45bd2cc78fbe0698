//! The common context of all sections: origin, environment, places, errors and warnings.

use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::fingerprint::{self, Contents, Fingerprints};
use serde_json::Value as Json;

use super::diagnostics::{Cause, Diagnostic, Position, Problem};
use super::env::Environment;
use super::tree::Node;
use crate::config::entries::{self, Entry};
use crate::net::proxy::EnvironmentProxies;
use crate::net::roots::SystemRoots;

/// The place of a key or a section of the schema in the file, be it there or not.
pub(crate) struct Place {
    /// Such as `nbuservers[1].port`; empty for the root.
    pub(crate) path: String,
    /// Position of the key, or of the section around it where it is absent.
    pub(crate) key: Position,
    /// Position of the value, or of the section around it where it is absent.
    pub(crate) value: Position,
    /// Position of the section around it.
    pub(crate) section: Position,
    /// The key is there and holds something.
    pub(crate) is_set: bool,
    /// It is not of the kind that was expected, or below something that is not, which is reported already.
    pub(crate) is_lost: bool,
    /// The value, if there is one. That of a section is taken out when its keys are distributed.
    pub(crate) node: Option<Node>,
    /// Its JSON Schema.
    pub(crate) schema: &'static Json,
}

impl Place {
    /// Returns the place of a key that is absent, in a section.
    pub(crate) fn absent(path: String, section: Position, schema: &'static Json) -> Self {
        let (is_set, is_lost, node) = (false, false, None);
        Self { path, key: section, value: section, section, is_set, is_lost, node, schema }
    }

    /// Adds the value.
    pub(crate) fn with(self, key: Position, node: Node) -> Self {
        Self { key, value: node.position, is_set: !node.is_empty(), node: Some(node), ..self }
    }
}

/// Severity of what is reported.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    /// Right, and not to be had now.
    Unavailable,
    Warning,
}

/// The common context of all sections.
pub(crate) struct Context<'e> {
    pub(crate) origin: String,
    /// Fingerprints that the configuration names are relative to this directory.
    pub(crate) base: PathBuf,
    pub(crate) env: &'e dyn Environment,
    pub(crate) errors: RefCell<Vec<Diagnostic>>,
    pub(crate) warnings: RefCell<Vec<Diagnostic>>,
    pub(crate) files: RefCell<Fingerprints>,
    /// Content of the files that the configuration names.
    pub(crate) contents: RefCell<Contents>,
    /// Content in place of a file that cannot be read.
    pub(crate) fallback: Option<&'e Contents>,
    /// Every key of the schema, in its order, and every section.
    pub(crate) places: RefCell<Vec<Place>>,
    /// Values in force, by the numbers of their places.
    shown: RefCell<BTreeMap<usize, entries::Value>>,
    /// The first secret that is spelt out in the file itself.
    pub(crate) literal_secret: Cell<Option<Position>>,
    /// Fingerprints and directories that nobody names and that count all the same: the system's CAs.
    pub(crate) system: RefCell<Fingerprints>,
    /// The system's CA certificates, once a section needs them.
    pub(crate) system_roots: OnceCell<SystemRoots>,
    /// The environment's proxies, once a section needs them.
    proxies: OnceCell<EnvironmentProxies>,
}

impl<'e> Context<'e> {
    pub(crate) fn new(origin: String, base: PathBuf, env: &'e dyn Environment) -> Self {
        Self {
            origin,
            base,
            env,
            errors: RefCell::default(),
            warnings: RefCell::default(),
            files: RefCell::default(),
            contents: RefCell::default(),
            fallback: None,
            places: RefCell::default(),
            shown: RefCell::default(),
            literal_secret: Cell::new(None),
            system: RefCell::default(),
            system_roots: OnceCell::new(),
            proxies: OnceCell::new(),
        }
    }

    pub(crate) fn error(&self, at: Position, path: &str, message: impl Into<String>) {
        self.report(Level::Error, at, path, message);
    }

    pub(crate) fn warn(&self, at: Position, path: &str, message: impl Into<String>) {
        self.report(Level::Warning, at, path, message);
    }

    /// Reports something at a place of the file.
    pub(crate) fn report(
        &self,
        level: Level,
        at: Position,
        path: &str,
        message: impl Into<String>,
    ) {
        self.add(level, self.origin.clone(), Some(at), path, message.into());
    }

    /// Reports an error that concerns the file as a whole.
    pub(crate) fn file_error(&self, message: impl Into<String>) {
        self.add(Level::Error, self.origin.clone(), None, "", message.into());
    }

    pub(crate) fn problem(&self, problem: Problem) {
        self.error(problem.position, "", problem.message);
    }

    pub(crate) fn variable_error(&self, name: &str, message: &str) {
        self.report_variable(Level::Error, name, message);
    }

    pub(crate) fn variable_warning(&self, name: &str, message: &str) {
        self.report_variable(Level::Warning, name, message);
    }

    /// Reports something about a variable of the environment.
    pub(crate) fn report_variable(&self, level: Level, name: &str, message: &str) {
        self.add(level, "environment".to_owned(), None, name, message.to_owned());
    }

    fn add(
        &self,
        level: Level,
        origin: String,
        position: Option<Position>,
        path: &str,
        message: String,
    ) {
        let is_unavailable = level == Level::Unavailable;
        let cause = if is_unavailable { Cause::Unavailable } else { Cause::Invalid };
        let diagnostic = Diagnostic { origin, position, path: path.to_owned(), message, cause };
        push(if level == Level::Warning { &self.warnings } else { &self.errors }, diagnostic);
    }

    /// Reports a fault, once.
    pub(crate) fn push(&self, fault: Diagnostic) {
        push(&self.errors, fault);
    }

    /// Returns a variable that is set and not empty; the specification treats empty as not set.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
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
    pub(crate) fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        let read = fingerprint::read_noted(path, &mut self.files.borrow_mut());
        let bytes = match (read, self.fallback.and_then(|contents| contents.get(path))) {
            (Err(_), Some(before)) => before.clone(),
            (read, _) => read?,
        };
        self.contents.borrow_mut().insert(path.to_owned(), bytes.clone());
        Ok(bytes)
    }

    /// Returns the proxies that the environment names. A variable that names none that can be used is
    /// told once.
    pub(crate) fn proxies(&self) -> &EnvironmentProxies {
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

    /// Adds a place and returns its number.
    pub(crate) fn add_place(&self, place: Place) -> usize {
        let mut places = self.places.borrow_mut();
        places.push(place);
        places.len() - 1
    }

    /// Returns the place of a section, whose keys have been distributed.
    pub(crate) fn section(&self, path: &str) -> Option<Ref<'_, Place>> {
        Ref::filter_map(self.places.borrow(), |places| places.iter().find(|it| it.path == path))
            .ok()
    }

    /// Sets the value that is in force at a place.
    pub(crate) fn show(&self, slot: usize, value: entries::Value) {
        self.shown.borrow_mut().insert(slot, value);
    }

    /// Shows a section as empty.
    pub(crate) fn show_empty(&self, path: &str) {
        let slot = self.places.borrow().iter().position(|place| place.path == path);
        if let Some(slot) = slot {
            self.show(slot, entries::Value::Pairs(Vec::new()));
        }
    }

    /// Shows nothing of the keys whose path begins so.
    pub(crate) fn hide(&self, prefix: &str) {
        let places = self.places.borrow();
        let is_hidden =
            |slot: usize| places.get(slot).is_some_and(|it| it.path.starts_with(prefix));
        self.shown.borrow_mut().retain(|slot, _| !is_hidden(*slot));
    }

    /// Returns the keys in force with their values. `sites` has the sites of those servers that are polled by
    /// the path of their section; others are not shown.
    pub(crate) fn entries(&self, sites: &BTreeMap<String, String>) -> Vec<Entry> {
        let places = self.places.borrow();
        let shown = self.shown.take().into_iter();
        let entry = |(slot, value): (usize, entries::Value)| {
            let path = &places.get(slot)?.path;
            let (section, key) = path.split_once('.').unwrap_or((path, ""));
            let (site, key) = if section.starts_with("nbuserver") {
                (Some(sites.get(section)?.clone()), key)
            } else {
                (None, path.as_str())
            };
            Some(Entry { site, key: key.to_owned(), value })
        };
        shown.filter_map(entry).collect()
    }

    /// Remembers that a secret stands in the file itself.
    pub(crate) fn note_literal(&self, at: Position) {
        if self.literal_secret.get().is_none() {
            self.literal_secret.set(Some(at));
        }
    }
}

/// Adds what was not said yet: two signals may have one setting.
fn push(list: &RefCell<Vec<Diagnostic>>, diagnostic: Diagnostic) {
    let mut list = list.borrow_mut();
    if !list.contains(&diagnostic) {
        list.push(diagnostic);
    }
}
