//! The files of leaders that take turns (docs/adr/0032-election.md): each term has a folder of its own, and only its
//! leader writes there. A file is read where its newest version is. So a leader of the past that still writes,
//! because it was suspended in the middle of a save, changes nothing that counts.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::atomic::{self, sync_parent};
use super::error::Problem;
use super::lock::is_full;
use super::owner::{LEADER, Term, leader_name};

/// The file with the number of the last term, once its files are those of an agent that takes no turns.
const LAST: &str = "last-term";

/// The folders of the terms of a directory.
#[derive(Debug)]
pub(super) struct Terms {
    root: PathBuf,
    number: u64,
    /// The folder of the present term.
    own: PathBuf,
}

impl Terms {
    /// Begins a term. Where others had terms in between whose state is not here, older state is set aside. Blocks.
    ///
    /// # Errors
    ///
    /// If the directory cannot be written, or has this term or a later one.
    pub(super) fn begin(root: &Path, term: Term) -> Result<Self, Problem> {
        let terms = folders(root)?;
        let newest = terms.last().map(|(number, _)| *number).max(last_ended(root));
        if let Some(newest) = newest.filter(|newest| *newest >= term.number) {
            return Err(Problem::Overtaken(newest));
        }
        let goes_on = match newest {
            Some(newest) => newest + 1 == term.number,
            // What is there is of an agent that had no turns to take.
            None => term.number == 0,
        };
        if !term.shared && !goes_on {
            set_aside(root, &terms)?;
        }
        let own = root.join(leader_name(term.number));
        match DirBuilder::new().mode(0o700).create(&own) {
            Ok(()) => sync_parent(&own)?,
            // Another agent was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Problem::Overtaken(term.number));
            }
            // It is made when there is room, before the first save.
            Err(error) if is_full(&error) => {
                tracing::warn!(path = %own.display(), %error, "cannot make the folder of this term");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Self { root: root.to_owned(), number: term.number, own })
    }

    /// Makes the folder of the present term, should it not be there: the disk was full, or somebody has removed it.
    ///
    /// # Errors
    ///
    /// If a later term has begun, or the folder cannot be made.
    pub(super) fn restore(&self) -> Result<(), Problem> {
        if fs::symlink_metadata(&self.own).is_ok() {
            return Ok(());
        }
        let newest = folders(&self.root)?.last().map(|(number, _)| *number);
        match newest.filter(|newest| *newest > self.number) {
            Some(newest) => Err(Problem::Overtaken(newest)),
            None => Ok(DirBuilder::new().recursive(true).mode(0o700).create(&self.own)?),
        }
    }

    /// Returns the folder of the present term.
    pub(super) fn own(&self) -> &Path {
        &self.own
    }

    /// Returns the path of the newest version of a file: the own one, or that of an earlier term, or the one from before
    /// there were any. If there is none, that of the own one.
    pub(super) fn newest(&self, name: &OsStr) -> io::Result<PathBuf> {
        let own = self.own.join(name);
        let earlier = self.earlier()?;
        let all = std::iter::once(&self.own).chain(earlier.iter().rev());
        for folder in all.chain(std::iter::once(&self.root)) {
            let path = folder.join(name);
            match fs::symlink_metadata(&path) {
                Ok(_) => return Ok(path),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(own)
    }

    /// Removes the versions of a file that the own one, which is on disk, replaces; and folders in which nothing else
    /// is. What cannot be removed now is removed with the next file.
    pub(super) fn retire(&self, name: &OsStr) {
        for folder in self.earlier().unwrap_or_default() {
            let _ = fs::remove_file(folder.join(name));
            // But what was being written when its leader ended.
            let is_empty = fs::read_dir(&folder).is_ok_and(|mut entries| {
                entries.all(|entry| entry.is_ok_and(|entry| is_hidden(&entry.file_name())))
            });
            if is_empty {
                let _ = fs::remove_dir_all(&folder);
            }
        }
        let _ = fs::remove_file(self.root.join(name));
    }

    /// Returns the folders of earlier terms, the oldest first. Later ones are of others, which have overtaken this agent.
    fn earlier(&self) -> io::Result<Vec<PathBuf>> {
        let terms = folders(&self.root)?.into_iter();
        Ok(terms.filter(|(number, _)| *number < self.number).map(|(_, folder)| folder).collect())
    }
}

/// Puts the newest version of each file where an agent has it that takes no turns. The directory must be locked.
pub(super) fn end_all(root: &Path) -> io::Result<()> {
    for (number, folder) in folders(root)? {
        // First: should an election begin again, what follows is of this term.
        atomic::replace(&root.join(LAST), |out| writeln!(out, "{number}"))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if !is_hidden(&entry.file_name()) {
                fs::rename(entry.path(), root.join(entry.file_name()))?;
            }
        }
        fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

/// Returns the number of the last term whose files are those of the directory itself.
fn last_ended(root: &Path) -> Option<u64> {
    fs::read_to_string(root.join(LAST)).ok()?.trim().parse().ok()
}

/// Returns whether leaders have files there that an agent which takes no turns does not read.
pub(super) fn are_there(root: &Path) -> bool {
    folders(root).is_ok_and(|folders| !folders.is_empty())
}

/// Returns the directories with the files of a state directory: folders of terms, the newest first, then itself.
pub(super) fn places(root: &Path) -> io::Result<Vec<PathBuf>> {
    let newest_first = folders(root)?.into_iter().rev().map(|(_, folder)| folder);
    Ok(newest_first.chain(std::iter::once(root.to_owned())).collect())
}

/// Returns the folders of all terms with their numbers, in order.
fn folders(root: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(LEADER)?.parse().ok());
        // Another spelling of the number is not of this agent.
        if let Some(number) = number.filter(|number| *name == *leader_name(*number)) {
            folders.push((number, entry.path()));
        }
    }
    folders.sort_unstable();
    Ok(folders)
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Sets all state aside: that of the newest term is kept, for people.
fn set_aside(root: &Path, terms: &[(u64, PathBuf)]) -> io::Result<()> {
    let is_state = |name: &OsStr| {
        let extension = Path::new(name).extension().and_then(OsStr::to_str);
        matches!(extension, Some("state" | "site" | "saved"))
    };
    let mut aside = None;
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_older =
            name.to_str().is_some_and(|name| name.starts_with(LEADER) && name.contains(".aside"));
        if is_older {
            fs::remove_dir_all(entry.path())?;
        } else if is_state(&name) {
            aside = Some(atomic::set_aside(&entry.path())?);
        }
    }
    if let Some(((_, newest), older)) = terms.split_last() {
        for (_, folder) in older {
            fs::remove_dir_all(folder)?;
        }
        aside = Some(atomic::set_aside(newest)?);
    }
    if let Some(aside) = aside {
        tracing::warn!(
            aside = %aside.display(),
            "another agent was the leader in between, and its state is not here: state was set aside, and totals begin at 0"
        );
    }
    Ok(())
}

#[cfg(test)]
#[path = "terms_tests.rs"]
mod tests;
