//! Events of directories, by inotify. Where there are none, the rescan goes on alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::watch;
use tokio::time::Instant;

use super::directories::{Found, Identity};

/// The watches of the process. Everything here may block, but [`Events::happened`].
pub(super) struct Events {
    shared: Arc<Shared>,
    watcher: Option<RecommendedWatcher>,
    wanted: bool,
    /// A directory that cannot be watched was logged.
    warned: bool,
}

struct Shared {
    happened: watch::Sender<Instant>,
    /// The directories whose watch works.
    armed: Mutex<BTreeMap<PathBuf, Identity>>,
    /// The files and symlinks in them whose changes count.
    entries: Mutex<BTreeSet<PathBuf>>,
    /// The directories in which each change counts.
    whole: Mutex<BTreeSet<PathBuf>>,
}

impl Shared {
    fn armed(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Identity>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether an event is about none of the files, nor about a directory on the way.
    fn is_foreign(&self, paths: &[PathBuf]) -> bool {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        let armed = self.armed();
        let counts = |path: &PathBuf| {
            entries.contains(path)
                || armed.contains_key(path)
                || path.parent().is_some_and(|parent| whole.contains(parent))
        };
        !paths.is_empty() && !paths.iter().any(counts)
    }

    /// Runs on the thread that reads the events; must be quick.
    fn handle(&self, event: notify::Result<notify::Event>) {
        match event {
            // Reading the files makes events of its own.
            Ok(event) if is_reading(event.kind) => return,
            // A log beside the configuration makes one with each line.
            Ok(event) if !event.need_rescan() && self.is_foreign(&event.paths) => return,
            // A directory that is removed or moved takes the watches below it along.
            Ok(event) if !event.need_rescan() => {
                if is_leaving(event.kind) {
                    let gone = |path: &PathBuf| event.paths.iter().any(|at| path.starts_with(at));
                    self.armed().retain(|path, _| !gone(path));
                }
            }
            // Events were lost: any watch may be gone.
            Ok(_) | Err(_) => self.armed().clear(),
        }
        self.happened.send_replace(Instant::now());
    }
}

fn is_leaving(kind: EventKind) -> bool {
    matches!(kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)))
}

fn is_reading(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

impl Events {
    pub(super) fn new() -> Self {
        Self { wanted: true, ..Self::none() }
    }

    /// Returns a stand-in that never has events.
    pub(super) fn none() -> Self {
        let shared = Shared {
            happened: watch::Sender::new(Instant::now()),
            armed: Mutex::new(BTreeMap::new()),
            entries: Mutex::new(BTreeSet::new()),
            whole: Mutex::new(BTreeSet::new()),
        };
        Self { shared: Arc::new(shared), watcher: None, wanted: false, warned: false }
    }

    /// Returns a receiver of the time of the last event.
    pub(super) fn happened(&self) -> watch::Receiver<Instant> {
        self.shared.happened.subscribe()
    }

    /// Watches these directories and no others. What is watched already is left alone; what cannot
    /// be watched is tried again the next time.
    pub(super) fn watch(&mut self, found: &Found, rescan: Duration) {
        if !self.wanted {
            return;
        }
        // First, so that an event of the first moment counts.
        let (entries, whole) = (found.entries.clone(), found.whole.clone());
        *self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner) = entries;
        *self.shared.whole.lock().unwrap_or_else(PoisonError::into_inner) = whole;
        match self.arm(&found.present) {
            Ok(()) => self.warned = false,
            Err(_) if self.warned => {}
            Err(fault) => {
                self.warned = true;
                tracing::warn!(
                    "cannot watch the configuration files; checking them every {rescan:?} \
                     instead: {fault}"
                );
            }
        }
    }

    fn arm(&mut self, directories: &BTreeMap<PathBuf, Identity>) -> Result<(), Fault> {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            none => none.insert(start(&self.shared)?),
        };
        let is_wanted = |path: &PathBuf, id: &Identity| directories.get(path) == Some(id);
        let stale: Vec<PathBuf> = {
            let armed = self.shared.armed();
            armed.iter().filter(|(path, id)| !is_wanted(path, id)).map(|(p, _)| p.clone()).collect()
        };
        for path in stale {
            self.shared.armed().remove(&path);
            let _ = watcher.unwatch(&path);
        }
        let mut verdict = Ok(());
        for (path, id) in directories {
            if self.shared.armed().contains_key(path) {
                continue;
            }
            // It may still hold the directory that was here before.
            let _ = watcher.unwatch(path);
            // First, so that an event which ends the watch right away finds it.
            self.shared.armed().insert(path.clone(), *id);
            if let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive) {
                self.shared.armed().remove(path);
                verdict = verdict.and(Fault::of(path, error).map_or(Ok(()), Err));
            }
        }
        verdict
    }
}

fn start(shared: &Arc<Shared>) -> Result<RecommendedWatcher, Fault> {
    let shared = Arc::clone(shared);
    notify::recommended_watcher(move |event| shared.handle(event)).map_err(Fault::Instances)
}

/// Reason for which there are no events.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(
        "the system's limit of inotify watches is reached; raise it with sysctl \
         fs.inotify.max_user_watches"
    )]
    Watches,
    #[error("{0}; if too many are open, raise the limit with sysctl fs.inotify.max_user_instances")]
    Instances(notify::Error),
    #[error("cannot watch the directory {}: {error}; check that the agent may list it", path.display())]
    Directory { path: PathBuf, error: notify::Error },
}

impl Fault {
    /// Returns `None` if the directory is gone: the next check finds that.
    fn of(path: &Path, error: notify::Error) -> Option<Self> {
        let gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        match &error.kind {
            ErrorKind::MaxFilesWatch => Some(Self::Watches),
            ErrorKind::PathNotFound => None,
            ErrorKind::Io(error) if gone(error) => None,
            _ => Some(Self::Directory { path: path.to_owned(), error }),
        }
    }
}
