//! The files of one site: the journal of its present server, and a mark that says which server was polled
//! last. Totals go on only from the journal that was in force last: if a site went to another server and came
//! back, Prometheus saw a reset in between, and the old totals would count twice.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::atomic;
use super::directory::{Claim, StateDir};
use super::frames::{Header, OpenError};
use super::journal::{AppendError, Journal, Loaded};

/// The files of one site, on the thread that owns them. Everything but [`SiteFiles::claim`] blocks.
#[derive(Debug)]
pub(crate) struct SiteFiles {
    claim: Claim,
    header: Header,
    journal: Journal,
    mark: PathBuf,
    /// The mark on disk is known to name this server.
    marked: bool,
}

/// The result of loading the journal of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resumed {
    pub(crate) loaded: Loaded,
    /// The server was the one that was polled last, so that totals go on.
    pub(crate) last_in_force: bool,
    /// The journal is one of an earlier leader: the next save has to write all of it.
    pub(crate) is_inherited: bool,
}

impl SiteFiles {
    /// Waits until nobody else in this process has the files of the site, and claims them.
    pub(crate) async fn claim(directory: &StateDir, header: Header) -> Self {
        let mark = directory.mark_file(&header.site);
        let name = mark.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let claim = directory.claim(&name).await;
        let journal =
            Journal::new(directory.site_file(&header.site, &header.server), header.clone());
        Self { claim, header, journal, mark, marked: false }
    }

    /// Reads the journal, and hands each of its transactions to `take`. `None` if there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is not usable.
    pub(crate) fn load(
        &mut self,
        take: impl FnMut(&[u8]) -> Result<(), OpenError>,
    ) -> Result<Option<Resumed>, OpenError> {
        let last = self.last_in_force()?;
        let newest = self.claim.directory().newest(self.journal.path())?;
        let is_inherited = newest != self.journal.path();
        let loaded = if is_inherited {
            self.journal.read_other(&newest, take)?
        } else {
            self.journal.open(take)?
        };
        let is_last = last.as_ref() == Some(&self.header.server);
        let last_in_force = last.is_none() || is_last;
        self.marked = is_last && self.claim.directory().newest(&self.mark)? == self.mark;
        Ok(loaded.map(|loaded| Resumed { loaded, last_in_force, is_inherited }))
    }

    /// Returns the server that was polled last for this site, as far as is known.
    fn last_in_force(&self) -> io::Result<Option<String>> {
        if let Some(server) = self.claim.directory().last_server(&self.header.site) {
            return Ok(Some(server));
        }
        match read_mark(&self.claim.directory().newest(&self.mark)?) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            // Totals that begin at 0 count nothing twice.
            Err(error) if error.kind() == ErrorKind::InvalidData => Ok(Some(String::new())),
            mark => mark.map(|mark| Some(mark.server)),
        }
    }

    /// Sets the journal's file aside, and returns its new path.
    ///
    /// # Errors
    ///
    /// If it cannot be renamed.
    pub(crate) fn set_aside(&mut self) -> io::Result<PathBuf> {
        let path = self.journal.path();
        let aside = atomic::set_aside(&self.claim.directory().newest(path)?)?;
        // What an earlier leader left is older than what was shown.
        self.claim.directory().retire(path);
        Ok(aside)
    }

    /// Says that numbers of this server are shown from now on.
    pub(crate) fn put_in_force(&self) {
        self.claim.directory().set_last_server(&self.header);
    }

    /// Adds one transaction, and syncs it.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or the file is not the one that was opened.
    pub(crate) fn append(&mut self, payload: &[u8]) -> Result<(), AppendError> {
        self.claim.directory().check_lock()?;
        self.journal.append(payload)?;
        Ok(self.write_mark()?)
    }

    /// Replaces the journal by these parts, at once. A file in its place that is not known is set aside;
    /// returns its new path.
    ///
    /// # Errors
    ///
    /// If the parts cannot be had or written; the old file is then still there.
    pub(crate) fn rewrite(
        &mut self,
        parts: impl Iterator<Item = io::Result<Vec<u8>>>,
    ) -> io::Result<Option<PathBuf>> {
        self.claim.directory().check_lock()?;
        let aside = self.journal.rewrite(parts)?;
        // After the totals: a crash in between must not find old totals in force.
        self.write_mark()?;
        self.claim.directory().retire(self.journal.path());
        Ok(aside)
    }

    fn write_mark(&mut self) -> io::Result<()> {
        if !self.marked {
            write_mark(&self.mark, &self.header)?;
            self.claim.directory().retire(&self.mark);
            self.marked = true;
        }
        Ok(())
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }
}

impl StateDir {
    /// Sets the journal of a site aside that another agent polls from now on, which has a directory of its own: should
    /// the site come back, what ended in between was counted there. Waits until its poller here has ended.
    ///
    /// # Errors
    ///
    /// If the file cannot be renamed.
    pub(crate) async fn hand_over(&self, site: &str) -> io::Result<()> {
        let mark = self.mark_file(site);
        let name = mark.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let claim = self.claim(&name).await;
        let hand_over = move || -> io::Result<_> {
            let last = match read_mark(&mark) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                last => last?,
            };
            let journal = claim.directory().site_file(&last.site, &last.server);
            let aside = atomic::set_aside(&journal)?;
            // In this order: a mark without a journal counts nothing twice.
            fs::remove_file(&mark)?;
            claim.directory().forget_last_server(&last.site);
            Ok(Some(aside))
        };
        let aside = tokio::task::spawn_blocking(hand_over).await.map_err(io::Error::other)??;
        if let Some(aside) = aside {
            let aside = aside.display();
            tracing::info!(site, %aside, "another agent has this site now; its job ledger was set aside");
        }
        Ok(())
    }
}

/// Reads the mark of a site: the header of the journal that was in force last.
pub(super) fn read_mark(path: &Path) -> io::Result<Header> {
    let bytes = fs::read(path)?;
    serde_json::from_slice(&bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

pub(super) fn write_mark(path: &Path, header: &Header) -> io::Result<()> {
    let mark = serde_json::to_vec(header).map_err(io::Error::other)?;
    atomic::replace(path, |out| out.write_all(&mark)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "https://a:1556/netbackup";
    const B: &str = "https://b:1556/netbackup";

    async fn files(directory: &StateDir, site: &str, server: &str) -> SiteFiles {
        let header = Header { site: site.to_owned(), server: server.to_owned() };
        SiteFiles::claim(directory, header).await
    }

    /// Loads and saves as the ledger does. Returns whether totals go on.
    async fn run(directory: &StateDir, site: &str, server: &str) -> Option<bool> {
        let mut files = files(directory, site, server).await;
        let resumed = files.load(|_| Ok(())).unwrap();
        files.put_in_force();
        match &resumed {
            Some(resumed) if resumed.last_in_force => files.append(b"more").unwrap(),
            _ => drop(files.rewrite(std::iter::once(Ok(b"all".to_vec()))).unwrap()),
        }
        resumed.map(|resumed| resumed.last_in_force)
    }

    #[tokio::test]
    async fn totals_continue_from_last_server_only() {
        let folder = tempfile::tempdir().unwrap();
        // Each in a process of its own, and all in one.
        for restart in [true, false] {
            let path = folder.path().join(restart.to_string());
            let mut directory = StateDir::open(&path).unwrap();
            let steps = [
                ("x", A, None),
                ("y", B, None),
                ("x", A, Some(true)),
                ("x", B, None),
                ("x", A, Some(false)),
                ("x", A, Some(true)),
                ("x", B, Some(false)),
                ("y", B, Some(true)),
            ];
            for (number, (site, server, expected)) in steps.into_iter().enumerate() {
                if restart {
                    drop(directory);
                    directory = StateDir::open(&path).unwrap();
                }
                assert_eq!(run(&directory, site, server).await, expected, "{restart} {number}");
            }
        }
    }

    #[tokio::test]
    async fn server_exported_but_never_saved_was_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDir::open(folder.path()).unwrap();
        run(&directory, "x", A).await;
        let mut other = files(&directory, "x", B).await;
        other.load(|_| Ok(())).unwrap();
        other.put_in_force();
        drop(other);
        assert_eq!(run(&directory, "x", A).await, Some(false));
    }

    #[tokio::test]
    async fn corrupt_mark_resets_totals() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDir::open(folder.path()).unwrap();
        run(&directory, "x", A).await;
        drop(directory);
        let directory = StateDir::open(folder.path()).unwrap();
        fs::write(directory.mark_file("x"), "{").unwrap();
        assert_eq!(run(&directory, "x", A).await, Some(false));
        assert_eq!(run(&directory, "x", A).await, Some(true));
        fs::remove_file(directory.mark_file("x")).unwrap();
        drop(directory);
        let directory = StateDir::open(folder.path()).unwrap();
        assert_eq!(run(&directory, "x", A).await, Some(true), "it was never at another server");
    }

    #[tokio::test]
    async fn site_has_one_owner_whatever_its_server() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDir::open(folder.path()).unwrap();
        let first = files(&directory, "x", A).await;
        let second = files(&directory, "x", B);
        let soon = std::time::Duration::from_millis(5);
        assert!(tokio::time::timeout(soon, second).await.is_err());
        drop(first);
        files(&directory, "x", B).await;
    }
}
