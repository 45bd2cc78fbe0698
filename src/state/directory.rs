//! The directory: made, locked, and asked for the names of files.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use sha2::{Digest as _, Sha256};

use super::error::{Error, Problem};
use super::instance;

const LOCK: &str = "lock";

/// How much of a site's name is in the name of its file, so that people find it.
const READABLE: usize = 60;

/// A directory that is this process's alone. Clones share it; it is released with the last of them.
#[derive(Debug, Clone)]
pub struct Directory(Arc<Inner>);

/// A directory that may have been released since.
#[derive(Debug, Clone)]
pub struct Earlier(Weak<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Device and inode: the directory itself, by whichever path.
    itself: (u64, u64),
    instance_id: String,
    /// Unlocked when it is closed, also by the end of the process.
    _lock: File,
}

/// The same one, not one at the same place.
impl PartialEq for Directory {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Directory {}

impl Directory {
    /// Makes the directory where it is missing, for its owner alone, and takes it. Blocks.
    ///
    /// # Errors
    ///
    /// Where another agent has it, it cannot be written, or it is none.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::take(path).map_err(|problem| problem.at(path))
    }

    fn take(path: &Path) -> Result<Self, Problem> {
        // One that follows the process, should its working directory change.
        let path = std::path::absolute(path)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        let lock = lock(&path.join(LOCK))?;
        match probe(&path) {
            Err(error) if is_full(&error) => {
                tracing::warn!(path = %path.display(), %error, "state cannot be written now");
            }
            other => other?,
        }
        let itself = itself(&path)?;
        let instance_id = instance::id(&path);
        Ok(Self(Arc::new(Inner { path, itself, instance_id, _lock: lock })))
    }

    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Whether this is the directory at `path`, by whichever name. One that was removed and made anew
    /// is another.
    pub fn is(&self, path: &Path) -> bool {
        itself(path).is_ok_and(|itself| itself == self.0.itself)
    }

    /// The agent's identity, a UUID: the same for as long as the directory is.
    pub fn instance_id(&self) -> &str {
        &self.0.instance_id
    }

    /// To ask later whether it is still taken.
    pub fn downgrade(&self) -> Earlier {
        Earlier(Arc::downgrade(&self.0))
    }

    /// The file of a site whose server has this identity: another for each pair, and always the same
    /// for one.
    pub fn site_file(&self, site: &str, server: &str) -> PathBuf {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let mut name: String =
            site.chars().take(READABLE).map(|c| if plain(c) { c } else { '_' }).collect();
        if name.starts_with('.') {
            name.replace_range(..1, "_");
        }
        // No name has this byte, so that no two pairs run together to one text.
        let hash = Sha256::new().chain_update(site).chain_update([0xff]).chain_update(server);
        name.push('-');
        for byte in &hash.finalize()[..8] {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        self.0.path.join(name + ".state")
    }

    /// Puts a file that cannot be used out of the way, and says where it is now: `NAME.aside`, or the
    /// first of `NAME.aside.1` and so on that is free.
    ///
    /// # Errors
    ///
    /// Where it cannot be renamed.
    pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
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
}

impl Earlier {
    /// The directory, where it is still taken.
    pub fn upgrade(&self) -> Option<Directory> {
        self.0.upgrade().map(Directory)
    }
}

fn itself(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Takes the lock, and leaves the id of this process for who wants it too.
fn lock(path: &Path) -> Result<File, Problem> {
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Half written, or not at all: then nobody knows.
            let _ = file.take(20).read_to_string(&mut text);
            return Err(Problem::Held(text.trim().parse().ok()));
        }
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

/// Whether files can be made and removed there: that the lock was there already says nothing of it.
fn probe(directory: &Path) -> io::Result<()> {
    let path = directory.join(".probe");
    File::create(&path)?;
    fs::remove_file(&path)
}

/// A disk that is full is no reason not to run: state is then not kept for a while.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn said(path: &Path) -> String {
        Directory::open(path).expect_err("it cannot be had").to_string()
    }

    #[test]
    fn one_that_is_missing_is_made_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let directory = Directory::open(&path).unwrap();
        assert_eq!(directory.path(), path);
        for made in [&path, path.parent().unwrap()] {
            assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
        let names = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<BTreeSet<_>>(), ["instance-id", "lock"].map(Into::into).into());
    }

    #[test]
    fn it_is_taken_until_the_last_clone_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = Directory::open(folder.path()).unwrap();
        let clone = first.clone();
        let id = first.instance_id().to_owned();
        let earlier = first.downgrade();
        drop(first);
        let held = format!("another agent uses it (process {})", std::process::id());
        assert!(said(folder.path()).contains(&held), "{}", said(folder.path()));
        assert_eq!(earlier.upgrade(), Some(clone.clone()));
        drop(clone);
        assert_eq!(earlier.upgrade(), None);
        let again = Directory::open(folder.path()).unwrap();
        assert_eq!(again.instance_id(), id);
    }

    #[test]
    fn a_process_that_did_not_say_who_it_is_holds_it_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join(LOCK)).unwrap();
        file.lock().unwrap();
        for text in ["", "x", "-1", "99999999999999999999999999"] {
            fs::write(folder.path().join(LOCK), text).unwrap();
            assert!(said(folder.path()).contains("another agent uses it; "), "{text}");
        }
    }

    #[test]
    fn what_is_no_directory_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "kept").unwrap();
        for path in [file.clone(), file.join("below")] {
            let text = said(&path);
            assert!(text.starts_with(&format!("state.directory {}: ", path.display())), "{text}");
            assert!(text.contains("not a directory; name one"), "{text}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }

    #[test]
    fn it_is_itself_by_every_path_until_it_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("real"), folder.path().join("link"));
        let directory = Directory::open(&path).unwrap();
        symlink(&path, &link).unwrap();
        assert!(directory.is(&path) && directory.is(&link) && directory.is(&path.join("../real")));
        assert!(!directory.is(folder.path()) && !directory.is(&path.join("nothing")));
        // Beside it, so that the new one cannot get its number.
        fs::rename(&path, folder.path().join("old")).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(!directory.is(&path));
    }

    #[test]
    fn each_site_and_server_has_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        let long = "ä/".repeat(200);
        let sites = ["a", "A", "a/b", "a_b", "", ".", "..", "../x", long.as_str(), "lock"];
        let servers = ["https://h:1556/netbackup", "https://h:1557/netbackup", ""];
        let mut files = BTreeSet::new();
        for site in sites {
            for server in servers {
                let file = directory.site_file(site, server);
                assert_eq!(file, directory.site_file(site, server));
                assert_eq!(file.parent(), Some(folder.path()));
                let name = file.file_name().unwrap().to_str().unwrap().to_owned();
                assert!(name.is_ascii() && !name.starts_with('.'), "{name}");
                let stem = name.strip_suffix(".state").expect("the extension");
                assert!(stem.len() <= 60 + 1 + 16, "{name}");
                files.insert(name);
            }
        }
        assert_eq!(files.len(), sites.len() * servers.len());
        // On disk, so it must never change.
        let name = directory.site_file("paris", "https://h:1556/netbackup");
        assert_eq!(name.file_name().unwrap(), "paris-52267bc26be499c2.state");
    }

    #[test]
    fn what_is_set_aside_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.state");
        for (content, name) in
            [("1", "a.state.aside"), ("2", "a.state.aside.1"), ("3", "a.state.aside.2")]
        {
            fs::write(&path, content).unwrap();
            assert_eq!(Directory::set_aside(&path).unwrap(), folder.path().join(name));
        }
        assert_eq!(fs::read_to_string(folder.path().join("a.state.aside")).unwrap(), "1");
        assert_eq!(Directory::set_aside(&path).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn one_that_cannot_be_written_is_told() {
        if rustix::process::geteuid().is_root() {
            // Nothing is forbidden to root; `each_says_the_path_and_what_to_do` has the words.
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LOCK), "").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
        assert!(said(folder.path()).contains("permission denied; the user that runs the agent"));
    }
}
