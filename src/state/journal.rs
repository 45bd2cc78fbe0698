//! A journal: a file of frames that grows. Each appended frame is a transaction; a rewrite replaces all of
//! them at once. Everything here blocks: it runs on the thread that owns the file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::atomic::{self, FileId};
use super::frames::{Frames, Header, MAGIC, OpenError, frame};

/// A file is rewritten when the appended bytes are more than this many times the bytes of the last rewrite.
const GROWTH: u64 = 3;

/// The growth that is always allowed, bytes.
const ALWAYS: u64 = 1 << 20;

/// The reason why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    /// The file is not the one that was opened: a rewrite is due, and can be tried at once.
    #[error("the file {0}")]
    Gone(&'static str),
    /// It cannot be written now. It is as it was, and can be appended to.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The result of reading a file to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) header: Header,
    /// Frames that were read, without the header.
    pub(crate) frames: usize,
    /// Bytes up to the end of the last of them.
    pub(crate) length: u64,
    /// Bytes after it: a save that was cut, and is dropped.
    pub(crate) cut: u64,
}

/// A journal. One owner at a time may have it.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    header: Header,
    /// `None` as long as there is none that can be appended to.
    open: Option<Open>,
    /// The last file that a rewrite made, whether it was acknowledged or not.
    made: Option<FileId>,
    /// The length above which a rewrite is due.
    allowed: u64,
}

/// The file that is there. Being open, its number cannot be given to another one.
#[derive(Debug)]
struct Open {
    file: File,
    id: FileId,
    writable: bool,
    /// The end of the last frame that is whole.
    length: u64,
    /// The number of the next frame.
    number: u32,
}

/// Reads a file from its beginning, and hands each of its frames to `take`, in order. `None` if there is none.
///
/// # Errors
///
/// If it cannot be read, is no journal, is corrupt, or `take` rejects a frame.
pub(crate) fn read(
    path: &Path,
    take: impl FnMut(&[u8]) -> Result<(), OpenError>,
) -> Result<Option<Loaded>, OpenError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    read_file(&file, |_| Ok(()), take).map(|(loaded, _)| Some(loaded))
}

/// Reads whose journal a file is, whatever else is wrong with it.
pub(crate) fn header(path: &Path) -> Option<Header> {
    let file = File::open(path).ok()?;
    let mut reader = Frames::new(&file, file.metadata().ok()?.len()).ok()?;
    serde_json::from_slice(&reader.next().ok()??).ok()
}

fn read_file(
    file: &File,
    check: impl FnOnce(&Header) -> Result<(), OpenError>,
    mut take: impl FnMut(&[u8]) -> Result<(), OpenError>,
) -> Result<(Loaded, u32), OpenError> {
    let size = file.metadata()?.len();
    let mut reader = Frames::new(file, size)?;
    let corrupt = |detail: &str| OpenError::Corrupt(detail.to_owned());
    let header = reader.next()?.ok_or_else(|| corrupt("it has no header"))?;
    let header: Header =
        serde_json::from_slice(&header).map_err(|_| corrupt("its header cannot be read"))?;
    check(&header)?;
    let mut frames = 0;
    while let Some(frame) = reader.next()? {
        take(&frame)?;
        frames += 1;
    }
    let cut = size.saturating_sub(reader.end);
    Ok((Loaded { header, frames, length: reader.end, cut }, reader.number))
}

impl Journal {
    /// Makes a journal of which nothing is read yet.
    pub(crate) fn new(path: PathBuf, header: Header) -> Self {
        Self { path, header, open: None, made: None, allowed: 0 }
    }

    /// Reads the file that is there, and hands each of its frames to `take`, in order. `None` if there is
    /// none.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is not this journal's, is corrupt, or `take` rejects a frame.
    pub(crate) fn open(
        &mut self,
        take: impl FnMut(&[u8]) -> Result<(), OpenError>,
    ) -> Result<Option<Loaded>, OpenError> {
        self.open = None;
        // For reading alone: on a file system that is read-only its totals go on, and are not saved.
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let (loaded, number) = read_file(&file, |found| self.check(found), take)?;
        let (id, length) = (FileId::of(&file)?, loaded.length);
        self.open = Some(Open { file, id, writable: false, length, number });
        self.allowed = length.saturating_mul(GROWTH).saturating_add(ALWAYS);
        Ok(Some(loaded))
    }

    /// Reads a file that another wrote for the same owner, as [`Journal::open`] does. It is not appended to.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is not this journal's, is corrupt, or `take` rejects a frame.
    pub(super) fn read_other(
        &mut self,
        path: &Path,
        take: impl FnMut(&[u8]) -> Result<(), OpenError>,
    ) -> Result<Option<Loaded>, OpenError> {
        self.open = None;
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let (loaded, _) = read_file(&file, |found| self.check(found), take)?;
        Ok(Some(loaded))
    }

    fn check(&self, found: &Header) -> Result<(), OpenError> {
        if *found == self.header { Ok(()) } else { Err(OpenError::Foreign(found.clone())) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its length in bytes; 0 if there is none.
    pub(crate) fn length(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.length)
    }

    /// Returns whether the file has grown too far beyond its last rewrite.
    pub(crate) fn has_grown(&self) -> bool {
        self.length() > self.allowed
    }

    /// Adds one transaction, and syncs it.
    ///
    /// # Errors
    ///
    /// If it cannot be written or synced, or the file is not the one that was opened.
    pub(crate) fn append(&mut self, payload: &[u8]) -> Result<(), AppendError> {
        let open = self.open.as_mut().ok_or(AppendError::Gone("is not there yet"))?;
        let appended = open.append(&self.path, payload);
        if matches!(appended, Err(AppendError::Gone(_))) {
            self.open = None;
        }
        appended
    }

    /// Replaces everything by these parts, at once. A file in its place that is not this journal's is set
    /// aside; returns its new path.
    ///
    /// # Errors
    ///
    /// If the parts cannot be had or written; the old file is then still there, and can be appended to.
    pub(crate) fn rewrite(
        &mut self,
        parts: impl Iterator<Item = io::Result<Vec<u8>>>,
    ) -> io::Result<Option<PathBuf>> {
        let aside = self.clear_place()?;
        let mut number = 0;
        let mut made = self.made;
        let header = serde_json::to_vec(&self.header).map_err(io::Error::other)?;
        let result = atomic::replace(&self.path, |out| {
            made = Some(FileId::of(out.get_ref())?);
            out.write_all(MAGIC)?;
            for part in std::iter::once(Ok(header)).chain(parts) {
                out.write_all(&frame(number, &part?)?)?;
                number += 1;
            }
            Ok(())
        });
        self.made = made;
        match result {
            Ok(file) => {
                let (id, length) = (FileId::of(&file)?, file.metadata()?.len());
                self.open = Some(Open { file, id, writable: true, length, number });
                self.allowed = length.saturating_mul(GROWTH).saturating_add(ALWAYS);
                Ok(aside)
            }
            Err(error) => {
                // Not at each save: on a disk that is full the file is appended to.
                self.allowed = self.length().saturating_add(ALWAYS);
                Err(error)
            }
        }
    }

    /// Sets aside a file at this path that is not this journal's.
    fn clear_place(&self) -> io::Result<Option<PathBuf>> {
        let found = match FileId::at(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        let is_ours = self.open.as_ref().is_some_and(|open| open.id == found);
        if is_ours || self.made == Some(found) {
            return Ok(None);
        }
        atomic::set_aside(&self.path).map(Some)
    }
}

impl Open {
    fn append(&mut self, path: &Path, payload: &[u8]) -> Result<(), AppendError> {
        match FileId::at(path) {
            Ok(found) if found == self.id => {}
            Ok(_) => return Err(AppendError::Gone("was replaced")),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(AppendError::Gone("was removed"));
            }
            Err(error) => return Err(error.into()),
        }
        if !self.writable {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            if FileId::of(&file)? != self.id {
                return Err(AppendError::Gone("was replaced"));
            }
            (self.file, self.writable) = (file, true);
        }
        let size = self.file.metadata()?.len();
        if size < self.length {
            return Err(AppendError::Gone("was cut"));
        }
        if size > self.length {
            // A save that was cut, or failed.
            self.file.set_len(self.length)?;
        }
        let frame = frame(self.number, payload)?;
        let written = self.file.write_all_at(&frame, self.length);
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            // Not acknowledged, so the next start should not find it. If this fails too, the next append
            // does it; the frame is true if a start finds it.
            let _ = self.file.set_len(self.length);
            return Err(error.into());
        }
        self.length += frame.len() as u64;
        self.number += 1;
        Ok(())
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
