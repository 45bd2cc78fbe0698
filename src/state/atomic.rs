//! Whole files: replaced at once, or put out of the way.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The ending of a file that is being written; a leftover of a crash is removed at the next start.
const TEMPORARY: &str = ".new";

/// Device and inode of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl FileId {
    /// Returns the identity of the file at `path` now.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|found| Self(found.dev(), found.ino()))
    }

    /// Returns the identity of an open file, by whichever name.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|found| Self(found.dev(), found.ino()))
    }
}

/// Replaces the file at `path` by what `write` writes: all of it or nothing, also if the machine fails.
/// Returns the new file, open at its end.
///
/// # Errors
///
/// If it cannot be written, synced or renamed; the old file is then unchanged.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<File> {
    let mut temporary = temporary_name(path);
    while fs::symlink_metadata(&temporary).is_ok() {
        // Left by a crash, of an agent whose process had the same number.
        temporary = temporary_name(path);
    }
    let result = write_beside(&temporary, path, write);
    if result.is_err() {
        // It only takes room.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn write_beside(
    temporary: &Path,
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(temporary)?;
    let mut out = BufWriter::new(file);
    write(&mut out)?;
    out.flush()?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    sync_parent(path)?;
    Ok(file)
}

/// Makes a rename, or the removal of a file, survive a crash of the machine.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Returns another name for each writer, so that none renames the file of another.
fn temporary_name(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{number}{TEMPORARY}", std::process::id()));
    path.with_file_name(name)
}

/// The age from which a half-written file is not one that somebody writes.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// Removes files that a crash left half written: all of them if the directory `is_alone` this agent's, else those
/// that are old.
pub(super) fn remove_leftovers(directory: &Path, is_alone: bool) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_leftover = name.to_str().is_some_and(|name| {
            name.starts_with('.') && name.ends_with(TEMPORARY) && name.len() > TEMPORARY.len() + 1
        });
        if is_leftover && (is_alone || is_abandoned(&entry)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_abandoned(entry: &fs::DirEntry) -> bool {
    let written = entry.metadata().and_then(|metadata| metadata.modified()).ok();
    written.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > ABANDONED_AFTER)
}

/// Renames a file that cannot be used to `NAME.aside`, or to the first of `NAME.aside.1` and so on that is
/// free, and returns its new path.
///
/// # Errors
///
/// If it cannot be renamed.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let names = std::iter::once(".aside".to_owned())
        .chain((1..u32::MAX).map(|number| format!(".aside.{number}")));
    for suffix in names {
        let mut name = OsString::from(path);
        name.push(suffix);
        let aside = PathBuf::from(name);
        match fs::symlink_metadata(&aside) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::rename(path, &aside)?;
                return Ok(aside);
            }
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn file_set_aside_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.state");
        for (content, name) in
            [("1", "a.state.aside"), ("2", "a.state.aside.1"), ("3", "a.state.aside.2")]
        {
            fs::write(&path, content).unwrap();
            assert_eq!(set_aside(&path).unwrap(), folder.path().join(name));
        }
        assert_eq!(fs::read_to_string(folder.path().join("a.state.aside")).unwrap(), "1");
        assert_eq!(set_aside(&path).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn replacement_that_fails_leaves_the_old_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace(&path, |out| out.write_all(b"old")).unwrap();
        let failed = replace(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("as the test wants"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn leftovers_of_a_crash_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("paris.state");
        fs::write(temporary_name(&path), "half").unwrap();
        for kept in [".new", "paris.state", "note.new", ".hidden"] {
            fs::write(folder.path().join(kept), "kept").unwrap();
        }
        remove_leftovers(folder.path(), true).unwrap();
        assert_eq!(names(folder.path()), [".hidden", ".new", "note.new", "paris.state"]);
    }
}
