//! The state directory: created, locked, and its files claimed one by one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::atomic::FileId;
use super::error::{Error, Problem};
use super::frames::Header;
use super::instance;
use super::lock::{self, HeldLock, LOCK};
use super::owner::Owner;
use super::terms::{self, Terms};
use super::worker::within;

/// The time that a start or a reload waits for the disk; it goes on without state after that.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);

/// The time that a comparison of two paths waits for the disk.
const COMPARE_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause between two attempts to open a directory that could not be had in time.
const OPEN_RETRY_DELAY: Duration = Duration::from_secs(2);

/// The pause between two attempts to lock a file that another agent has.
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(200);

/// Directory that this process has locked. Clones share it; the last one releases it.
///
/// If the disk does not respond in time, it is opened in the background, and its files cannot be claimed
/// until then.
#[derive(Debug, Clone)]
pub struct StateDir(Arc<Inner>);

/// A directory that may have been released since.
#[derive(Debug, Clone)]
pub(crate) struct WeakStateDir(Weak<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    owner: Owner,
    opened: OnceLock<Opened>,
    /// The owners of its files, by name.
    files: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
    /// The server of each site that this process has polled last; the mark on disk may be behind.
    servers: Mutex<HashMap<String, String>>,
}

#[derive(Debug)]
struct Opened {
    instance_id: String,
    held: Mutex<HeldLock>,
    /// The folders of leaders, where agents take turns.
    terms: Option<Terms>,
}

/// Exclusive right to read and write a file. Keeps the directory locked.
#[derive(Debug)]
pub(super) struct Claim {
    directory: StateDir,
    /// The lock that agents have which share the directory. Given back before another of this process wants it.
    _lock: Option<File>,
    _alone: OwnedMutexGuard<()>,
}

/// Compares handles: two directories opened at the same path are not equal.
impl PartialEq for StateDir {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for StateDir {}

impl Opened {
    fn acquire(path: &Path, owner: &Owner) -> Result<Self, Problem> {
        let held = Mutex::new(HeldLock::acquire(path, owner)?);
        let instance_id = instance::id(path, owner.member());
        // Last, since a term can begin only once.
        let terms = match owner {
            Owner::Leader(term) => Some(Terms::begin(path, *term)?),
            Owner::Alone => {
                terms::end_all(path)?;
                None
            }
            Owner::Member(_) => {
                if terms::are_there(path) {
                    let path = path.display();
                    tracing::warn!(%path, "leaders have left state there that shards do not read: start one agent without sharding and election first, which takes it over");
                }
                None
            }
        };
        Ok(Self { instance_id, held, terms })
    }
}

impl StateDir {
    /// Opens a directory for this agent alone, not shared with others.
    ///
    /// # Errors
    ///
    /// If another agent has it, it cannot be written, or it is no directory.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_as(path, Owner::Alone)
    }

    /// Makes the directory if it is missing, and locks it, alone or together with others. Blocks for a few seconds at
    /// most.
    ///
    /// # Errors
    ///
    /// If another agent has it (or the name of this member), it cannot be written, it is no directory, or it has a later
    /// term.
    pub(crate) fn open_as(path: &Path, owner: Owner) -> Result<Self, Error> {
        // An absolute one, should the working directory of the process change.
        let path = std::path::absolute(path).map_err(|error| Problem::from(error).at(path))?;
        let opened = OnceLock::new();
        let (files, servers) = (Mutex::default(), Mutex::default());
        let inner = Arc::new(Inner { path, owner, opened, files, servers });
        let (sender, answer) = mpsc::channel();
        let (path, owner, weak) = (inner.path.clone(), inner.owner.clone(), Arc::downgrade(&inner));
        let spawned =
            thread::Builder::new().spawn(move || open_until_had(&path, &owner, &weak, &sender));
        spawned.map_err(|error| Problem::from(error).at(&inner.path))?;
        let path = inner.path.display();
        match answer.recv_timeout(OPEN_TIMEOUT) {
            Ok(Ok(())) => {}
            Ok(Err(problem)) if !problem.is_transient() => return Err(problem.at(&inner.path)),
            Ok(Err(error)) => tracing::error!(
                %path, %error, "cannot open the state directory; retrying; totals are exported once it is read"
            ),
            Err(_) => tracing::error!(
                %path, seconds = OPEN_TIMEOUT.as_secs(),
                "the disk of the state directory does not respond; continuing; totals are \
                 exported once it is read"
            ),
        }
        Ok(Self(inner))
    }

    /// Returns the directory at `path`, which may be one of those that are `locked` already.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or it is locked in another way: alone, or together with others.
    pub(crate) fn acquire(path: &Path, owner: Owner, locked: &[Self]) -> Result<Self, Error> {
        let is_leader = |owner: &Owner| matches!(owner, Owner::Leader(_));
        // Leaders of different terms do not lock each other out.
        let held: Vec<&Self> = locked.iter().filter(|held| held.is(path)).collect();
        if let Some(same) = held.iter().find(|held| held.0.owner == owner) {
            return Ok((*same).clone());
        }
        let in_the_way =
            held.into_iter().find(|held| !(is_leader(&held.0.owner) && is_leader(&owner)));
        match (in_the_way, &owner) {
            // An election has ended. The files of the term are moved at the next start.
            (Some(held), Owner::Alone) if is_leader(&held.0.owner) => Ok(held.clone()),
            (Some(held), _) if is_leader(&held.0.owner) || is_leader(&owner) => {
                Err(Problem::StillHeld.at(path))
            }
            (Some(_), _) => Err(Problem::Sharing.at(path)),
            (None, _) => Self::open_as(path, owner),
        }
    }

    /// Returns the absolute path.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Returns the path at which this agent writes a file.
    pub(super) fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.terms().map_or(self.path(), Terms::own).join(name)
    }

    /// Returns the path at which the newest version of a file is, if there is one. Blocks.
    pub(super) fn newest(&self, file: &Path) -> io::Result<PathBuf> {
        match (self.terms(), file.file_name()) {
            (Some(terms), Some(name)) => terms.newest(name),
            _ => Ok(file.to_owned()),
        }
    }

    /// Removes older versions of a file that this agent has written. Blocks.
    pub(super) fn retire(&self, file: &Path) {
        if let (Some(terms), Some(name)) = (self.terms(), file.file_name()) {
            terms.retire(name);
        }
    }

    fn terms(&self) -> Option<&Terms> {
        self.0.opened.get()?.terms.as_ref()
    }

    /// Returns whether the directory is that of several agents that take turns.
    pub(crate) fn is_of_several_leaders(&self) -> bool {
        matches!(self.0.owner, Owner::Leader(term) if term.shared)
    }

    /// Returns whether this is the directory at `path`, by whichever name. One that was removed and made
    /// again is another. Blocks for a second at most; after that the path decides.
    pub fn is(&self, path: &Path) -> bool {
        let Ok(path) = std::path::absolute(path) else { return false };
        let same_path = path == self.0.path;
        let Some(opened) = self.0.opened.get() else { return same_path };
        let known = guard(&opened.held).directory;
        match within(COMPARE_TIMEOUT, move || FileId::at(&path)) {
            Some(Ok(found)) => found == known,
            Some(Err(error)) if is_missing(&error) => false,
            Some(Err(_)) | None => same_path,
        }
    }

    /// Returns the agent's identity, a UUID: the same for as long as the directory exists. `None` until
    /// it was read.
    pub(crate) fn instance_id(&self) -> Option<&str> {
        self.0.opened.get().map(|opened| opened.instance_id.as_str())
    }

    /// Returns a handle that does not keep the directory locked.
    pub(crate) fn downgrade(&self) -> WeakStateDir {
        WeakStateDir(Arc::downgrade(&self.0))
    }

    /// Returns the name of this agent among those that share the directory, if it is shared.
    pub(crate) fn member(&self) -> Option<&str> {
        self.0.owner.member()
    }

    /// Waits until nobody else has the file `name`, in this process or in an agent that shares the directory, and
    /// claims it.
    pub(super) async fn claim(&self, name: &str) -> Claim {
        let file = Arc::clone(guard(&self.0.files).entry(name.to_owned()).or_default());
        let alone = file.lock_owned().await;
        let lock = match self.member() {
            Some(_) => Some(self.lock_file(name).await),
            None => None,
        };
        Claim { directory: self.clone(), _lock: lock, _alone: alone }
    }

    /// Returns the error of a file that could not be claimed in time.
    pub(crate) fn not_had(&self) -> io::Error {
        match self.member() {
            Some(_) => io::Error::new(
                ErrorKind::TimedOut,
                "another agent that shares the directory still has it, or the disk did not respond in time",
            ),
            None => timed_out(),
        }
    }

    /// Waits until no other agent has the lock of a file, and takes it.
    async fn lock_file(&self, name: &str) -> File {
        let path = self.0.path.join(format!(".{name}.{LOCK}"));
        loop {
            let path = path.clone();
            let tried = tokio::task::spawn_blocking(move || {
                let file = lock::open(&path)?;
                file.try_lock().map(|()| file).map_err(io::Error::from)
            });
            match tried.await.map_err(io::Error::other).flatten() {
                Ok(file) => return file,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => {
                    tracing::debug!(name, %error, "cannot lock the state file now; retrying");
                }
            }
            tokio::time::sleep(LOCK_RETRY_DELAY).await;
        }
    }

    /// Returns the server that this process has polled last for a site, if it has. Where agents share the directory,
    /// another may have polled it since.
    pub(super) fn last_server(&self, site: &str) -> Option<String> {
        if self.member().is_some() {
            return None;
        }
        guard(&self.0.servers).get(site).cloned()
    }

    /// Forgets the server that was polled last for a site.
    pub(super) fn forget_last_server(&self, site: &str) {
        guard(&self.0.servers).remove(site);
    }

    /// Remembers the server that is polled for a site.
    pub(super) fn set_last_server(&self, header: &Header) {
        guard(&self.0.servers).insert(header.site.clone(), header.server.clone());
    }

    /// Returns whether the directory was opened, so that its files can be had.
    pub fn is_open(&self) -> bool {
        self.0.opened.get().is_some()
    }

    /// Makes sure that the lock of this process is the one in the directory: removing it, or the whole
    /// directory, would let a second agent in. Blocks.
    pub(super) fn check_lock(&self) -> io::Result<()> {
        let opened = self.0.opened.get().ok_or_else(not_open)?;
        let known = guard(&opened.held).lock;
        match FileId::at(&self.0.path.join(LOCK)) {
            Ok(found) if found == known => {
                return match &opened.terms {
                    Some(terms) => terms.restore().map_err(io::Error::other),
                    None => Ok(()),
                };
            }
            Err(error) if !is_missing(&error) => return Err(error),
            _ => {}
        }
        let path = self.0.path.display();
        tracing::warn!(%path, "the lock of the state directory was removed or replaced; acquiring it again");
        let held = HeldLock::acquire(&self.0.path, &self.0.owner).map_err(io::Error::other)?;
        if let Some(terms) = &opened.terms {
            terms.restore().map_err(io::Error::other)?;
        }
        instance::keep(&self.0.path, self.member(), &opened.instance_id);
        *guard(&opened.held) = held;
        Ok(())
    }
}

impl Claim {
    pub(super) fn directory(&self) -> &StateDir {
        &self.directory
    }
}

impl WeakStateDir {
    /// Returns the directory, if it is still locked.
    pub(crate) fn upgrade(&self) -> Option<StateDir> {
        self.0.upgrade().map(StateDir)
    }
}

/// Opens a directory, and reports the result of each attempt to `sender`. Retries until it succeeds or all
/// handles are gone.
#[allow(clippy::disallowed_methods, reason = "it sleeps on a thread of its own")]
fn open_until_had(
    path: &Path,
    owner: &Owner,
    wanted: &Weak<Inner>,
    sender: &mpsc::Sender<Result<(), Problem>>,
) {
    let mut tried = false;
    while wanted.strong_count() > 0 {
        match Opened::acquire(path, owner) {
            Ok(opened) => {
                // Without a handle it is dropped, and with it the lock.
                if let Some(inner) = wanted.upgrade() {
                    let _ = inner.opened.set(opened);
                }
                if sender.send(Ok(())).is_err() {
                    tracing::info!(path = %path.display(), "state directory opened after a retry");
                }
                return;
            }
            Err(problem) => {
                if let Err(unheard) = sender.send(Err(problem))
                    && let Err(error) = unheard.0
                    && !std::mem::replace(&mut tried, true)
                {
                    let path = path.display();
                    tracing::error!(%path, %error, "cannot open the state directory; retrying");
                }
            }
        }
        thread::sleep(OPEN_RETRY_DELAY);
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Returns the error of a disk that did not answer in time.
pub(crate) fn timed_out() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the disk did not respond in time")
}

/// Returns the error of a file whose directory is not open yet.
pub(super) fn not_open() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the state directory is not open yet")
}

/// Locks for the time of a look-up, never over I/O.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
