//! The lock of a directory, and the directory behind it: taken at the start, and taken again if somebody
//! removes or replaces them. Agents that share a directory hold its lock together, and each one of its own.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::atomic::{self, FileId};
use super::error::Problem;
use super::owner::Owner;

pub(super) const LOCK: &str = "lock";

/// A directory that this process has locked.
#[derive(Debug)]
pub(super) struct HeldLock {
    /// The directory itself, by whichever path.
    pub(super) directory: FileId,
    pub(super) lock: FileId,
    /// Unlocked when they are closed, also by the end of the process.
    _files: Vec<File>,
}

impl HeldLock {
    /// Makes the directory if it is missing, for its owner alone, and locks it: together with other members, with
    /// other leaders, or alone. Blocks.
    pub(super) fn acquire(path: &Path, owner: &Owner) -> Result<Self, Problem> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let (together, name) = (path.join(LOCK), owner.name());
        let files = match owner {
            Owner::Alone => vec![lock(&together)?],
            Owner::Member(_) => {
                vec![lock_together(&together)?, lock(&path.join(format!("{name}.{LOCK}")))?]
            }
            // Each writes in a folder of its own. The lock only keeps away agents that take no turns.
            Owner::Leader(_) => vec![match lock_together(&together) {
                Err(Problem::NoLocks(_)) => open(&together)?,
                other => other?,
            }],
        };
        let first = files.first();
        let lock = first.map_or_else(|| Err(ErrorKind::NotFound.into()), FileId::of)?;
        let is_alone = *owner == Owner::Alone;
        match probe(path, &name).and_then(|()| atomic::remove_leftovers(path, is_alone)) {
            Err(error) if is_full(&error) => {
                tracing::warn!(path = %path.display(), %error, "cannot write to the state directory");
            }
            other => other?,
        }
        Ok(Self { directory: FileId::at(path)?, lock, _files: files })
    }
}

/// Opens a lock file, for its owner alone.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Takes the lock that agents hold together; an agent that wants the directory alone cannot have it then.
fn lock_together(path: &Path) -> Result<File, Problem> {
    let file = open(path)?;
    match file.try_lock_shared() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Problem::Held(holder(&file))),
        Err(TryLockError::Error(error)) => Err(Problem::NoLocks(error)),
    }
}

/// Takes the lock, and leaves the id of this process for others that want it.
fn lock(path: &Path) -> Result<File, Problem> {
    let mut file = open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Problem::Held(holder(&file))),
        Err(TryLockError::Error(error)) => return Err(Problem::NoLocks(error)),
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    match written {
        // The lock holds without its text.
        Err(error) if is_full(&error) => {}
        other => other?,
    }
    Ok(file)
}

/// Reads the id of the process that holds a lock; `None` if it is half written, or missing.
pub(super) fn holder(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Checks that files can be made and removed there: a lock file that was there already does not prove it.
fn probe(directory: &Path, member: &str) -> io::Result<()> {
    let path = directory.join(format!(".probe{member}"));
    File::create(&path)?;
    fs::remove_file(&path)
}

/// Returns whether the disk is full, which is no reason not to run: state is then not kept for a while.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
