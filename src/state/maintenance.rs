//! The directory in the hands of a person: looked at and changed while no agent uses it.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::atomic::{self, sync_parent};
use super::document;
use super::error::{Error, Problem};
use super::frames::{Header, OpenError};
use super::journal::{Journal, read};
use super::lock::{HeldLock, LOCK, holder};
use super::owner::Owner;
use super::site::{read_mark, write_mark};
use super::site_file::{document_name, mark_name, site_name};
use super::terms;

/// A state directory that no agent uses as long as this lives.
#[derive(Debug)]
pub(crate) struct Maintenance {
    path: PathBuf,
    /// Locked, if there is a lock file.
    _lock: Lock,
}

#[derive(Debug)]
#[allow(dead_code, reason = "they are held, not read")]
enum Lock {
    Shared(Option<File>),
    Alone(HeldLock),
}

/// A file of the directory that holds state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateFile {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    /// It was set aside.
    pub(crate) aside: bool,
}

impl Maintenance {
    /// Opens a directory for reading. Changes nothing, not even the lock file.
    ///
    /// # Errors
    ///
    /// If there is no directory, or an agent uses it.
    pub(crate) fn to_inspect(path: &Path) -> Result<Self, Error> {
        let lock = lock_shared(path).map_err(|problem| problem.at(path))?;
        Ok(Self { path: path.to_owned(), _lock: Lock::Shared(lock) })
    }

    /// Opens a directory to change it.
    ///
    /// # Errors
    ///
    /// If there is no directory, it cannot be written, or an agent uses it.
    pub(crate) fn to_change(path: &Path) -> Result<Self, Error> {
        fs::read_dir(path).map_err(|error| Problem::from(error).at(path))?;
        let held = HeldLock::acquire(path, &Owner::Alone).map_err(|problem| problem.at(path))?;
        // From here on it is the directory of one agent, whose files are its own.
        terms::end_all(path).map_err(|error| Problem::from(error).at(path))?;
        Ok(Self { path: path.to_owned(), _lock: Lock::Alone(held) })
    }

    /// Returns the journals of sites, by name, those that were set aside last.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub(crate) fn journals(&self) -> io::Result<Vec<StateFile>> {
        self.files(|name| {
            // Of several that were set aside, each has a number.
            let stem = name.split_once(".aside").map(|(stem, _)| stem);
            has_extension(stem.unwrap_or(name), "state").then_some(stem.is_some())
        })
    }

    /// Returns the documents, each with whether it can be read.
    ///
    /// # Errors
    ///
    /// If the directory or a document cannot be read.
    pub(crate) fn documents(&self) -> io::Result<Vec<(StateFile, bool)>> {
        let files = self.files(|name| has_extension(name, "saved").then_some(false))?;
        let check = |file: StateFile| {
            let intact = document::is_intact(&file.path)?;
            Ok((file, intact))
        };
        files.into_iter().map(check).collect()
    }

    fn files(&self, is_wanted: impl Fn(&str) -> Option<bool>) -> io::Result<Vec<StateFile>> {
        let mut files = Vec::new();
        let mut known = HashSet::new();
        for place in terms::places(&self.path)? {
            for entry in fs::read_dir(place)? {
                let entry = entry?;
                let name = entry.file_name();
                let Some(aside) = name.to_str().and_then(&is_wanted) else { continue };
                // The newest version alone counts.
                if known.insert(name) {
                    let size = entry.metadata()?.len();
                    files.push(StateFile { path: entry.path(), size, aside });
                }
            }
        }
        files.sort_by(|one, other| (one.aside, &one.path).cmp(&(other.aside, &other.path)));
        Ok(files)
    }

    /// Returns the server that was polled last for a site; `None` if that is not known.
    pub(crate) fn last_server(&self, site: &str) -> Option<String> {
        let name = mark_name(site);
        let mut places = terms::places(&self.path).ok()?.into_iter();
        let mark = places.find_map(|place| read_mark(&place.join(&name)).ok());
        mark.map(|mark| mark.server)
    }

    /// Writes the journal at `path` again as that of another site, and removes the old one. The documents of the site and
    /// server go with it.
    ///
    /// # Errors
    ///
    /// If it cannot be read or written, or the other site has a journal of this server.
    pub(crate) fn rename(&self, path: &Path, to: &str) -> Result<PathBuf, OpenError> {
        let mut frames = Vec::new();
        let loaded = read(path, |frame| {
            frames.push(Ok(frame.to_vec()));
            Ok(())
        })?;
        let loaded = loaded.ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
        let Header { site, server } = loaded.header;
        let new = self.path.join(site_name(to, &server));
        if fs::symlink_metadata(&new).is_ok() {
            return Err(io::Error::from(ErrorKind::AlreadyExists).into());
        }
        let header = Header { site: to.to_owned(), server };
        Journal::new(new.clone(), header.clone()).rewrite(frames.into_iter())?;
        self.rename_documents(
            &document_name(&site, &header.server, ""),
            &document_name(to, &header.server, ""),
        )?;
        // In this order: an interruption leaves two files, each of which is right.
        if self.last_server(&site).as_ref() == Some(&header.server) {
            write_mark(&self.path.join(mark_name(to)), &header)?;
            fs::remove_file(self.path.join(mark_name(&site)))?;
        }
        fs::remove_file(path)?;
        sync_parent(path)?;
        Ok(new)
    }

    /// Renames the documents whose names begin so.
    fn rename_documents(&self, from: &str, to: &str) -> io::Result<()> {
        let is_theirs = |name: &str| name.starts_with(from) && has_extension(name, "saved");
        for file in self.files(|name| is_theirs(name).then_some(false))? {
            let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            fs::rename(&file.path, self.path.join(name.replacen(from, to, 1)))?;
        }
        Ok(())
    }

    /// Sets a file aside, and returns its new path.
    ///
    /// # Errors
    ///
    /// If it cannot be renamed.
    pub(crate) fn set_aside(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        let aside = atomic::set_aside(&path)?;
        sync_parent(&path)?;
        Ok(aside)
    }
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

fn lock_shared(path: &Path) -> Result<Option<File>, Problem> {
    fs::read_dir(path)?;
    let file = match File::open(path.join(LOCK)) {
        // No agent was ever there.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Problem::Held(holder(&file))),
        Err(TryLockError::Error(error)) => Err(Problem::NoLocks(error)),
    }
}
