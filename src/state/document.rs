//! A document: a small file that is replaced as a whole.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::atomic::{self, replace};
use super::directory::{Claim, StateDir, not_open, timed_out};
use super::site_file::document_name;
use super::worker::{Pending, Worker};

/// The beginning of a file; the digit is the version of this format, not of the content.
const MAGIC: &[u8; 16] = b"nbu-agent-bytes1";

/// The time that a load or a save waits for the disk.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A file of bytes in the state directory, written by one thread of its own.
///
/// A save that is not done in time fails with [`ErrorKind::TimedOut`], and goes on: the next one waits for
/// it first, so that the order is kept.
#[derive(Debug)]
pub(crate) struct Document {
    directory: StateDir,
    name: String,
    owner: Option<Worker<Owned>>,
    saving: Option<Pending<io::Result<()>>>,
    loading: Option<Pending<io::Result<Content>>>,
}

/// The content of a [`Document`] that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Missing,
    /// The bytes of the last save.
    Bytes(Vec<u8>),
    /// The file was damaged, and was renamed to this path.
    SetAside(PathBuf),
}

#[derive(Debug)]
struct Owned {
    path: PathBuf,
    claim: Claim,
}

impl Document {
    /// Names a file of this agent in the directory; nothing is read or made yet. `name` is a plain file name.
    pub(crate) fn new(directory: &StateDir, name: &str) -> Self {
        match directory.member() {
            Some(member) => Self::named(directory, &format!("{member}.{name}")),
            None => Self::named(directory, name),
        }
    }

    fn named(directory: &StateDir, name: &str) -> Self {
        let (directory, name) = (directory.clone(), format!("{name}.saved"));
        Self { directory, name, owner: None, saving: None, loading: None }
    }

    /// Names a file of a site and server. `content` is a plain name that tells it from others of theirs.
    pub(crate) fn of_site(directory: &StateDir, site: &str, server: &str, content: &str) -> Self {
        Self::named(directory, &document_name(site, server, content))
    }

    pub(crate) fn directory(&self) -> &StateDir {
        &self.directory
    }

    /// Reads the file. A damaged one is set aside.
    ///
    /// # Errors
    ///
    /// If it cannot be read now, or not in time; call it again later, and do not save before.
    pub(crate) async fn load(&mut self) -> io::Result<Content> {
        let deadline = Instant::now() + TIMEOUT;
        if self.loading.is_none() {
            let owner = self.owner(deadline).await?;
            self.loading =
                Some(owner.start(|owned| load(&owned.claim.directory().newest(&owned.path)?)));
        }
        finish(&mut self.loading, deadline).await
    }

    /// Replaces the content, durably.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or not in time; the old content is still there, or the new one.
    pub(crate) async fn save(&mut self, content: Vec<u8>) -> io::Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        if self.saving.is_some() {
            // How it ended does not matter: this content replaces that one.
            if let Err(error) = finish(&mut self.saving, deadline).await
                && error.kind() == ErrorKind::TimedOut
            {
                return Err(error);
            }
        }
        let owner = self.owner(deadline).await?;
        self.saving = Some(owner.start(move |owned| {
            owned.claim.directory().check_lock()?;
            save(&owned.path, &content)?;
            owned.claim.directory().retire(&owned.path);
            Ok(())
        }));
        finish(&mut self.saving, deadline).await
    }

    /// Returns the thread that owns the file, once the one before is done with it.
    async fn owner(&mut self, deadline: Instant) -> io::Result<&Worker<Owned>> {
        let owner = if let Some(owner) = self.owner.take() {
            owner
        } else {
            if !self.directory.is_open() {
                return Err(not_open());
            }
            let claim = timeout_at(deadline, self.directory.claim(&self.name)).await;
            let claim = claim.map_err(|_| self.directory.not_had())?;
            let path = self.directory.file(&self.name);
            Worker::spawn("state", Owned { path, claim })?
        };
        Ok(self.owner.insert(owner))
    }
}

/// Waits for the work that was started, until the deadline; unfinished work goes on.
async fn finish<R>(started: &mut Option<Pending<io::Result<R>>>, until: Instant) -> io::Result<R> {
    let Some(pending) = started else { return Err(timed_out()) };
    let left = until.saturating_duration_since(Instant::now());
    let Some(result) = pending.wait(left).await else { return Err(timed_out()) };
    *started = None;
    result?
}

pub(super) fn load(path: &Path) -> io::Result<Content> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Content::Missing),
        file => file?.read_to_end(&mut bytes)?,
    };
    Ok(match decode(&bytes) {
        Some(content) => Content::Bytes(content.to_vec()),
        None => Content::SetAside(atomic::set_aside(path)?),
    })
}

/// Returns whether a document can be read.
pub(super) fn is_intact(path: &Path) -> io::Result<bool> {
    Ok(decode(&fs::read(path)?).is_some())
}

fn decode(bytes: &[u8]) -> Option<&[u8]> {
    let (expected, content) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    (crc32fast::hash(content) == u32::from_le_bytes(*expected)).then_some(content)
}

pub(super) fn save(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Ok(found) = fs::symlink_metadata(path)
        && !found.is_file()
    {
        // A rename would fail, or replace what somebody put there.
        atomic::set_aside(path)?;
    }
    replace(path, |out| {
        out.write_all(MAGIC)?;
        out.write_all(&crc32fast::hash(content).to_le_bytes())?;
        out.write_all(content)
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, StateDir) {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDir::open(folder.path()).unwrap();
        (folder, directory)
    }

    #[tokio::test]
    async fn saved_content_is_loaded_by_the_next_owner() {
        let (_folder, directory) = directory();
        let mut first = Document::new(&directory, "a");
        assert_eq!(first.load().await.unwrap(), Content::Missing);
        for content in [&b"one"[..], b"", b"three"] {
            first.save(content.to_vec()).await.unwrap();
        }
        drop(first);
        let mut next = Document::new(&directory, "a");
        assert_eq!(next.load().await.unwrap(), Content::Bytes(b"three".to_vec()));
    }

    #[tokio::test]
    async fn second_owner_waits_for_the_first() {
        let (_folder, directory) = directory();
        let mut first = Document::new(&directory, "a");
        first.save(b"first".to_vec()).await.unwrap();
        let mut second = Document::new(&directory, "a");
        let soon = Duration::from_millis(5);
        assert!(tokio::time::timeout(soon, second.load()).await.is_err());
        drop(first);
        assert_eq!(second.load().await.unwrap(), Content::Bytes(b"first".to_vec()));
    }

    #[tokio::test]
    async fn corrupt_file_is_set_aside() {
        let (folder, directory) = directory();
        Document::new(&directory, "a").save(b"content".to_vec()).await.unwrap();
        let path = folder.path().join("a.saved");
        let bytes = fs::read(&path).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x41;
            for content in [&changed[..], &bytes[..place]] {
                fs::write(&path, content).unwrap();
                let mut document = Document::new(&directory, "a");
                let loaded = document.load().await.unwrap();
                let Content::SetAside(aside) = loaded else { panic!("{place}: {loaded:?}") };
                assert_eq!(fs::read(aside).unwrap(), content);
                assert_eq!(document.load().await.unwrap(), Content::Missing);
            }
        }
    }

    #[tokio::test]
    async fn unreadable_file_is_an_error_and_stays() {
        let (folder, directory) = directory();
        let path = folder.path().join("a.saved");
        fs::create_dir(&path).unwrap();
        let mut document = Document::new(&directory, "a");
        document.load().await.unwrap_err();
        assert!(path.is_dir());
        document.save(b"content".to_vec()).await.unwrap();
        assert!(folder.path().join("a.saved.aside").is_dir());
        assert_eq!(document.load().await.unwrap(), Content::Bytes(b"content".to_vec()));
    }
}
