//! Reading and writing a ledger's file: the part that blocks, on the thread that owns the file.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::SystemTime;

use tokio::sync::mpsc;

use crate::jobs::{Ledger, RestoreError};
use crate::state::{AppendError, OpenError, Resumed, SiteFiles};

/// The result of looking for a ledger on disk.
pub(super) enum Found {
    Nothing,
    /// It has the settings of the empty one.
    Ledger(Box<Ledger>, Resumed),
    /// A file that cannot be used, and was put out of the way.
    SetAside {
        error: OpenError,
        path: PathBuf,
        aside: PathBuf,
    },
}

#[derive(Debug, Default)]
pub(super) struct Saved {
    pub(super) length: u64,
    /// The file has grown so far that it should be written as a whole.
    pub(super) has_grown: bool,
    /// A file that was in the way, and is here now.
    pub(super) aside: Option<PathBuf>,
    /// The file is not the one that was opened, so that nothing was saved: all of it has to be written.
    pub(super) gone: Option<&'static str>,
}

impl Saved {
    fn of(files: &SiteFiles) -> Self {
        let journal = files.journal();
        let (length, has_grown) = (journal.length(), journal.has_grown());
        Self { length, has_grown, ..Self::default() }
    }
}

/// Reads the ledger; `empty` takes its records. A file that can never be used is set aside. Fails if it
/// cannot be read now, or not be set aside.
pub(super) fn load(files: &mut SiteFiles, empty: Ledger) -> io::Result<Found> {
    let read = catch_unwind(AssertUnwindSafe(|| read(files, empty)));
    let bug = "the agent failed to read it, which is a bug: please report it with the file";
    let read = read.unwrap_or_else(|_| Err(OpenError::Corrupt(bug.to_owned())));
    let found = match read {
        Err(OpenError::Io(error)) => return Err(error),
        Err(error) => {
            let path = files.journal().path().to_owned();
            Found::SetAside { error, path, aside: files.set_aside()? }
        }
        Ok(None) => Found::Nothing,
        Ok(Some((ledger, resumed))) => Found::Ledger(Box::new(ledger), resumed),
    };
    files.put_in_force();
    Ok(found)
}

fn read(files: &mut SiteFiles, mut ledger: Ledger) -> Result<Option<(Ledger, Resumed)>, OpenError> {
    let Some(resumed) = files.load(|frame| ledger.restore(frame).map_err(to_open_error))? else {
        return Ok(None);
    };
    ledger.finish_restore().map_err(to_open_error)?;
    if resumed.is_inherited {
        ledger.mark_all_dirty();
    }
    if !resumed.last_in_force {
        ledger.restart_totals(SystemTime::now());
    }
    Ok(Some((ledger, resumed)))
}

fn to_open_error(error: RestoreError) -> OpenError {
    match error {
        RestoreError::Newer { .. } => OpenError::Newer(error.to_string()),
        RestoreError::CorruptState => OpenError::Corrupt(error.to_string()),
    }
}

pub(super) fn append(files: &mut SiteFiles, records: &[u8]) -> io::Result<Saved> {
    match files.append(records) {
        Ok(()) => Ok(Saved::of(files)),
        Err(AppendError::Gone(reason)) => Ok(Saved { gone: Some(reason), ..Saved::default() }),
        Err(AppendError::Io(error)) => Err(error),
    }
}

/// Writes everything; the parts end with `None`, without which nothing is replaced.
pub(super) fn rewrite(
    files: &mut SiteFiles,
    mut parts: mpsc::Receiver<Option<Vec<u8>>>,
) -> io::Result<Saved> {
    files.put_in_force();
    let mut ended = false;
    let parts = std::iter::from_fn(|| match parts.blocking_recv() {
        Some(Some(part)) => Some(Ok(part)),
        Some(None) => {
            ended = true;
            None
        }
        None if ended => None,
        // Whoever made them is gone: half of the ledger must not replace the whole.
        None => Some(Err(io::Error::other("given up"))),
    });
    let aside = files.rewrite(parts)?;
    Ok(Saved { aside, ..Saved::of(files) })
}
