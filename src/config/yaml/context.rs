//! The common context of all sections: origin, environment, places, faults.

use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value as Json;

use super::diagnostics::{Cause, Diagnostic, Position, Reported};
use super::dotenv::{Environment, Variables};
use super::tree::{Node, Value};
use crate::config::entries::{self, Entry};
use crate::config::fingerprint::{self, Contents, Fingerprints};
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
    pub(crate) schema: &'static Json,
    shown: Option<entries::Value>,
}

impl Place {
    /// Returns a place in a section; `found` has the position of the key, and its value.
    pub(crate) fn new(
        path: String,
        section: Position,
        schema: &'static Json,
        found: Option<(Position, Node)>,
    ) -> Self {
        let (key, node) = found.unzip();
        Self {
            path,
            key: key.unwrap_or(section),
            value: node.as_ref().map_or(section, |node| node.position),
            section,
            is_set: node.as_ref().is_some_and(|node| !node.is_empty()),
            is_lost: false,
            node,
            schema,
            shown: None,
        }
    }

    pub(crate) fn text(&self, keyword: &str) -> &'static str {
        self.schema.get(keyword).and_then(Json::as_str).unwrap_or_default()
    }

    /// Returns the variables that stand in for the key.
    pub(crate) fn variables(&self) -> String {
        let signal = match self.path.split('.').nth(1) {
            Some("metrics") => "METRICS_",
            Some("traces") => "TRACES_",
            _ => "",
        };
        self.text("x-variable").replace("{}", signal)
    }
}

/// The files that are parts of a configuration, each with a server.
#[derive(Default)]
pub(crate) enum Parts {
    /// None but those of a directory that the configuration names: it is a text, and has no place.
    #[default]
    Named,
    /// Those that are in the directory now.
    Listed,
    /// These, as they were read before.
    Known(Vec<PathBuf>),
}

pub(crate) struct Context<'e> {
    origin: String,
    /// Files that the configuration names are relative to this directory.
    pub(crate) base: PathBuf,
    pub(crate) env: Rc<Variables<'e>>,
    pub(crate) faults: RefCell<Vec<Diagnostic>>,
    pub(crate) files: RefCell<Fingerprints>,
    /// Content of the files that the configuration names, and before they are read what stands in for those
    /// that cannot be.
    pub(crate) contents: RefCell<Contents>,
    pub(crate) parts: RefCell<Parts>,
    /// Every key of the schema, in its order, and every section.
    pub(crate) places: RefCell<Vec<Place>>,
    /// The next secret that is spelt out in the file itself is a warning.
    pub(crate) warns_of_literal: Cell<bool>,
    /// Files and directories that nobody names and that count all the same: the system's CAs.
    pub(crate) system: RefCell<Fingerprints>,
    /// The system's CA certificates, once a section needs them.
    pub(crate) system_roots: OnceCell<SystemRoots>,
    /// The environment's proxies, once a section needs them.
    proxies: OnceCell<EnvironmentProxies>,
}

impl<'e> Context<'e> {
    /// Returns the context of a file, which messages call `origin`.
    pub(crate) fn new(origin: &Path, real: &'e dyn Environment) -> Self {
        Self::with(origin, Rc::new(Variables::new(real)))
    }

    fn with(origin: &Path, env: Rc<Variables<'e>>) -> Self {
        let base = origin.parent().filter(|parent| !parent.as_os_str().is_empty());
        Self {
            origin: origin.display().to_string(),
            base: fingerprint::absolute(base.unwrap_or(Path::new("."))),
            env,
            faults: RefCell::default(),
            files: RefCell::default(),
            contents: RefCell::default(),
            parts: RefCell::default(),
            places: RefCell::default(),
            warns_of_literal: Cell::default(),
            system: RefCell::default(),
            system_roots: OnceCell::new(),
            proxies: OnceCell::new(),
        }
    }

    /// Adds the variables of `.env`. Only before another context shares them.
    pub(crate) fn add_dotenv(&mut self, path: &Path, content: io::Result<Vec<u8>>) {
        if let Some(env) = Rc::get_mut(&mut self.env) {
            env.add_file(path, content);
        }
    }

    /// Returns the context of another file that the configuration names, which has no variables. It is to be
    /// absorbed before anything else is read.
    pub(crate) fn of_file(&self, path: &Path) -> Context<'static> {
        const EMPTY: fn(&str) -> Option<String> = |_| None;
        self.lend(Context::new(path, &EMPTY))
    }

    /// Returns the context of another file that is a part of the configuration, with the same variables. It is to be
    /// absorbed before anything else is read.
    pub(crate) fn of_part(&self, path: &Path) -> Self {
        self.lend(Context::with(path, Rc::clone(&self.env)))
    }

    /// Hands on what was read and need not be read again.
    fn lend<'o>(&self, other: Context<'o>) -> Context<'o> {
        other.contents.replace(self.contents.take());
        if let Some(roots) = self.system_roots.get() {
            let _ = other.system_roots.set(roots.clone());
        }
        other
    }

    /// Takes back what was lent, with the faults and files of another context.
    pub(crate) fn absorb(&self, other: Context<'_>) {
        other.faults.into_inner().into_iter().for_each(|fault| self.push(fault));
        self.files.borrow_mut().extend(other.files.into_inner());
        self.contents.replace(other.contents.into_inner());
        self.system.borrow_mut().extend(other.system.into_inner());
        if let Some(roots) = other.system_roots.into_inner() {
            let _ = self.system_roots.set(roots);
        }
    }

    pub(crate) fn error(&self, at: Position, path: &str, message: impl Into<String>) {
        self.report(Cause::Invalid, Some(at), path, message);
    }

    pub(crate) fn mismatch(
        &self,
        at: Position,
        path: &str,
        expected: &str,
        value: &Value,
    ) -> Reported {
        if !matches!(value, Value::Unresolved) {
            self.error(at, path, format!("expected {expected}, found {}", value.kind()));
        }
        Reported
    }

    /// Reports something at a place of the file, or about all of it.
    pub(crate) fn report(
        &self,
        cause: Cause,
        position: Option<Position>,
        path: &str,
        message: impl Into<String>,
    ) {
        let (origin, path) = (self.origin.clone(), path.to_owned());
        self.push(Diagnostic { origin, position, path, message: message.into(), cause });
    }

    pub(crate) fn report_variable(&self, cause: Cause, name: &str, message: &str) {
        let (origin, path) = ("environment".to_owned(), name.to_owned());
        self.push(Diagnostic { origin, position: None, path, message: message.to_owned(), cause });
    }

    /// Reports a fault that was not reported yet: two signals may have one setting.
    pub(crate) fn push(&self, fault: Diagnostic) {
        let mut faults = self.faults.borrow_mut();
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }

    /// Returns a variable that is set and not empty; the specification treats empty as not set.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        match self.env.get(name) {
            Ok(value) => value.filter(|value| !value.trim().is_empty()),
            // A file that cannot be read may hold any variable: nobody says that it holds this one.
            Err(fault) if fault.cause == Cause::Unavailable => None,
            Err(fault) => {
                self.push(fault);
                None
            }
        }
    }

    /// Reads a file that the configuration names, or takes what was read of it before.
    pub(crate) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut contents = self.contents.borrow_mut();
        match fingerprint::read_noted(path, &mut self.files.borrow_mut()) {
            Ok(bytes) => {
                contents.insert(path.to_owned(), bytes.clone());
                Ok(bytes)
            }
            Err(error) => contents.get(path).cloned().ok_or(error),
        }
    }

    /// Returns what was read of a file before.
    pub(crate) fn known(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.contents.borrow().get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Returns the proxies that the environment names. A variable that names none that can be used is
    /// told once.
    pub(crate) fn proxies(&self) -> &EnvironmentProxies {
        self.proxies.get_or_init(|| {
            let proxies = EnvironmentProxies::read(|name| self.env.get(name).ok().flatten());
            for name in proxies.unusable() {
                let message = "ignored: expected the address of a proxy such as \
                               http://proxy.example.com:3128 (SOCKS is not supported)";
                self.report_variable(Cause::Unwise, name, message);
            }
            proxies
        })
    }

    pub(crate) fn add_place(&self, place: Place) -> usize {
        let mut places = self.places.borrow_mut();
        places.push(place);
        places.len() - 1
    }

    pub(crate) fn place(&self, slot: usize) -> Ref<'_, Place> {
        Ref::map(self.places.borrow(), |places| &places[slot])
    }

    /// Returns the place of a section, whose keys have been distributed.
    pub(crate) fn section(&self, path: &str) -> Option<Ref<'_, Place>> {
        Ref::filter_map(self.places.borrow(), |places| places.iter().find(|it| it.path == path))
            .ok()
    }

    pub(crate) fn show(&self, slot: usize, value: entries::Value) {
        self.places.borrow_mut()[slot].shown = Some(value);
    }

    pub(crate) fn show_empty(&self, path: &str) {
        let mut places = self.places.borrow_mut();
        for place in places.iter_mut().filter(|place| place.path == path) {
            place.shown = Some(entries::Value::Pairs(Vec::new()));
        }
    }

    /// Shows nothing of the keys whose path begins so.
    pub(crate) fn hide(&self, prefix: &str) {
        let mut places = self.places.borrow_mut();
        for place in places.iter_mut().filter(|place| place.path.starts_with(prefix)) {
            place.shown = None;
        }
    }

    /// Returns every key of a file that holds one server.
    pub(crate) fn entries_of(&self, site: &str) -> Vec<Entry> {
        let places = self.places.borrow();
        let entry = |Place { path: key, shown, .. }: &Place| {
            Some(Entry { site: Some(site.to_owned()), key: key.clone(), value: shown.clone()? })
        };
        places.iter().filter_map(entry).collect()
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        let places = self.places.borrow();
        // Sites by the sections that name them.
        let mut sites = BTreeMap::new();
        for place in places.iter() {
            if let Some(section) = place.path.strip_suffix(".site")
                && let Some(entries::Value::Text(site)) = &place.shown
            {
                sites.insert(section, site);
            }
        }
        let entry = |Place { path, shown, .. }: &Place| {
            let value = shown.clone()?;
            let (section, key) = path.split_once('.').unwrap_or(("", path));
            let site = sites.get(section).map(|site| (*site).clone());
            let key = if site.is_some() { key } else { path };
            Some(Entry { site, key: key.to_owned(), value })
        };
        places.iter().filter_map(entry).collect()
    }
}
