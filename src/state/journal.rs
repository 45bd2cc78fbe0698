//! A file of frames, each with its length and checksum. A frame that was appended whole is a
//! transaction; a rewrite replaces all of them at once.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// How a file begins; the digits are the version of the frames and of what is in them.
const MAGIC: &[u8; 16] = b"nbu-agent-state1";

/// The part of it that names the kind of file, before the version.
const KIND: usize = 15;

/// Length and checksum of a frame.
const FRAME_HEAD: u64 = 8;

/// A file is written anew when what was appended is more than this many times what was written last.
const GROWTH: u64 = 3;

/// Growth that is always allowed, bytes.
const ALWAYS: u64 = 1 << 20;

/// Whose state a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The site's name.
    pub site: String,
    /// What tells its server from another one.
    pub server: String,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened or read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Another version of the agent wrote it.
    #[error("another version of the agent wrote it")]
    Version,
    /// It is something else.
    #[error("it is no state of this agent")]
    Kind,
    /// It belongs to another site or server.
    #[error("it is the state of site `{}` with server {}", .0.site, .0.server)]
    Foreign(Header),
    /// Bytes of it changed, or what is in it does not fit together.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

/// What came of opening a file that was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Frames that were read.
    pub frames: usize,
    /// Bytes of a last frame that was cut and is dropped.
    pub cut: u64,
}

/// A journal that is open for writing. One process at a time may have it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    header: Header,
    /// `None` after a failure: the next write is a rewrite.
    file: Option<File>,
    /// Length up to the last frame that is whole.
    length: u64,
    /// Length after the last rewrite.
    base: u64,
}

impl Journal {
    /// A journal whose file is not there yet; the first write makes it.
    pub fn new(path: PathBuf, header: Header) -> Self {
        Self { path, header, file: None, length: 0, base: 0 }
    }

    /// Reads the file that is there, and hands each of its frames to `take`, in order. `None` where
    /// there is none. After an error the next write is a rewrite.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, is not this journal's, or `take` does not take a frame.
    pub fn open(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Option<Loaded>, OpenError> {
        self.file = None;
        let file = match OpenOptions::new().read(true).write(true).open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let size = file.metadata()?.len();
        let mut reader = Frames { reader: BufReader::new(&file), at: 0, size };
        reader.check_magic()?;
        match reader.next()? {
            Some(frame) if frame == self.header.encode() => {}
            Some(frame) => {
                return Err(Header::decode(&frame).map_or_else(
                    || OpenError::Damaged("its head is not readable".to_owned()),
                    OpenError::Foreign,
                ));
            }
            None => return Err(OpenError::Damaged("it has no head".to_owned())),
        }
        let mut frames = 0;
        while let Some(frame) = reader.next()? {
            take(&frame).map_err(OpenError::Damaged)?;
            frames += 1;
        }
        let length = reader.at;
        drop(reader);
        file.set_len(length)?;
        (self.file, self.length, self.base) = (Some(file), length, length);
        Ok(Some(Loaded { frames, cut: size - length }))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether the next write has to be [`Journal::rewrite`]: the file is not there, or a write
    /// failed, or it has grown too far beyond what it holds.
    pub fn wants_rewrite(&self) -> bool {
        self.file.is_none() || self.length > self.base * GROWTH + ALWAYS
    }

    /// Adds one transaction, and syncs it.
    ///
    /// # Errors
    ///
    /// Where it cannot be written or synced. The file is then what it was, as far as it goes; the
    /// next write has to be a rewrite.
    pub fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        let Some(mut file) = self.file.take() else {
            return Err(io::Error::other("a rewrite is due"));
        };
        let result = (|| {
            file.seek(SeekFrom::Start(self.length))?;
            file.write_all(&frame(payload)?)?;
            file.sync_data()
        })();
        if let Err(error) = result {
            // Not acknowledged: it must not be found by the next start either. Where this fails too,
            // it is found, which is harmless: what it says is true.
            let _ = file.set_len(self.length);
            return Err(error);
        }
        self.length += FRAME_HEAD + payload.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    /// Replaces everything by these parts, at once.
    ///
    /// # Errors
    ///
    /// Where they cannot be had or written; the old file is then still there.
    pub fn rewrite(&mut self, parts: impl Iterator<Item = io::Result<Vec<u8>>>) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        let written = self.write_beside(&beside, parts);
        if written.is_err() {
            // It only takes room.
            let _ = std::fs::remove_file(&beside);
        }
        let (file, length) = written?;
        self.file = Some(file);
        (self.length, self.base) = (length, length);
        Ok(())
    }

    fn write_beside(
        &self,
        beside: &Path,
        parts: impl Iterator<Item = io::Result<Vec<u8>>>,
    ) -> io::Result<(File, u64)> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(beside)?;
        let mut out = BufWriter::new(file);
        out.write_all(MAGIC)?;
        out.write_all(&frame(&self.header.encode())?)?;
        for part in parts {
            out.write_all(&frame(&part?)?)?;
        }
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        let length = file.stream_position()?;
        std::fs::rename(beside, &self.path)?;
        // The rename itself has to survive, too.
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok((file, length))
    }
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        format!("{}\n{}", self.site.replace('\n', " "), self.server).into_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (site, server) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
        Some(Self { site: site.to_owned(), server: server.to_owned() })
    }
}

/// A payload with its length and checksum before it.
fn frame(payload: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut out = Vec::with_capacity(payload.len() + 8);
    out.extend(length.to_le_bytes());
    out.extend(checksum(payload).to_le_bytes());
    out.extend(payload);
    Ok(out)
}

/// An empty frame is not one of zeros, as some file systems leave after a crash.
fn checksum(payload: &[u8]) -> u32 {
    !crc32fast::hash(payload)
}

struct Frames<R> {
    reader: R,
    /// Where the next frame begins: all before it was whole.
    at: u64,
    size: u64,
}

impl<R: io::Read> Frames<R> {
    fn check_magic(&mut self) -> Result<(), OpenError> {
        let mut magic = [0; MAGIC.len()];
        self.reader.read_exact(&mut magic).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => OpenError::Kind,
            _ => OpenError::Io(error),
        })?;
        self.at = MAGIC.len() as u64;
        match (&magic == MAGIC, magic[..KIND] == MAGIC[..KIND]) {
            (true, _) => Ok(()),
            (false, true) => Err(OpenError::Version),
            (false, false) => Err(OpenError::Kind),
        }
    }

    /// The next frame; `None` at the end, and where the last frame was cut.
    fn next(&mut self) -> Result<Option<Vec<u8>>, OpenError> {
        let left = self.size - self.at;
        if left < FRAME_HEAD {
            return Ok(None);
        }
        let (mut length, mut expected) = ([0; 4], [0; 4]);
        self.reader.read_exact(&mut length)?;
        self.reader.read_exact(&mut expected)?;
        let length = u64::from(u32::from_le_bytes(length));
        let expected = u32::from_le_bytes(expected);
        if length > left - FRAME_HEAD {
            return Ok(None);
        }
        let mut payload = Vec::new();
        (&mut self.reader).take(length).read_to_end(&mut payload)?;
        let end = self.at + FRAME_HEAD + length;
        if checksum(&payload) != expected {
            // A last frame that was not synced may have its length and not its bytes.
            let last = end == self.size || self.rest_is_zero()?;
            let detail = format!("the checksum of the bytes from {} on is wrong", self.at);
            return if last { Ok(None) } else { Err(OpenError::Damaged(detail)) };
        }
        self.at = end;
        Ok(Some(payload))
    }

    fn rest_is_zero(&mut self) -> io::Result<bool> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest)?;
        Ok(rest.iter().all(|byte| *byte == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header { site: "paris".to_owned(), server: "https://nbu:1556/netbackup".to_owned() }
    }

    fn parts(texts: &[&'static str]) -> std::vec::IntoIter<io::Result<Vec<u8>>> {
        let parts = texts.iter().map(|text| Ok(text.as_bytes().to_vec()));
        parts.collect::<Vec<_>>().into_iter()
    }

    fn read(path: &Path) -> Result<(Vec<String>, u64), OpenError> {
        let mut frames = Vec::new();
        let opened = Journal::new(path.to_owned(), header()).open(|frame| {
            frames.push(String::from_utf8_lossy(frame).into_owned());
            Ok(())
        })?;
        Ok((frames, opened.map_or(0, |loaded| loaded.cut)))
    }

    fn written() -> (tempfile::TempDir, PathBuf, Journal) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("paris.state");
        let mut journal = Journal::new(path.clone(), header());
        journal.rewrite(parts(&["one", "two"])).unwrap();
        journal.append(b"three").unwrap();
        (directory, path, journal)
    }

    #[test]
    fn what_was_written_is_read_in_order() {
        let (_directory, path, mut journal) = written();
        assert_eq!(read(&path).unwrap(), (vec!["one".into(), "two".into(), "three".into()], 0));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), journal.length());
        journal.rewrite(parts(&["all"])).unwrap();
        journal.append(b"more").unwrap();
        assert_eq!(read(&path).unwrap().0, ["all", "more"]);
    }

    #[test]
    fn a_file_that_was_cut_anywhere_gives_its_whole_transactions() {
        let (_directory, path, _journal) = written();
        let bytes = std::fs::read(&path).unwrap();
        let whole = read(&path).unwrap().0;
        let head = 16 + 8 + header().encode().len();
        for length in head..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let (frames, cut) = read(&path).unwrap();
            assert_eq!(frames, whole[..frames.len()], "cut at {length}");
            assert_eq!(std::fs::metadata(&path).unwrap().len() + cut, length as u64);
        }
        for length in 0..head {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = read(&path).unwrap_err();
            assert!(!matches!(error, OpenError::Io(_)), "cut at {length}: {error}");
        }
    }

    #[test]
    fn a_byte_that_changed_is_never_taken_for_what_was_written() {
        let (_directory, path, _journal) = written();
        let bytes = std::fs::read(&path).unwrap();
        let whole = read(&path).unwrap().0;
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x41;
            std::fs::write(&path, &changed).unwrap();
            match read(&path) {
                Ok((frames, _)) => assert_eq!(frames, whole[..frames.len()], "byte {place}"),
                Err(error) => {
                    assert!(!matches!(error, OpenError::Io(_)), "byte {place}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_file_of_another_server_or_version_is_told_from_a_damaged_one() {
        let (_directory, path, _journal) = written();
        let other = Header { server: "https://other/netbackup".to_owned(), ..header() };
        let error = Journal::new(path.clone(), other).open(|_| Ok(())).unwrap_err();
        assert!(matches!(error, OpenError::Foreign(found) if found == header()));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[15] = b'9';
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(read(&path), Err(OpenError::Version)));
        std::fs::write(&path, "a text of somebody else's").unwrap();
        assert!(matches!(read(&path), Err(OpenError::Kind)));
    }

    #[test]
    fn what_it_holds_decides_how_far_it_may_grow() {
        let (_directory, path, mut journal) = written();
        assert!(!journal.wants_rewrite());
        let block = vec![b'x'; 700 * 1024];
        journal.append(&block).unwrap();
        assert!(!journal.wants_rewrite());
        journal.append(&block).unwrap();
        assert!(journal.wants_rewrite());
        let gone = std::iter::once(Err(io::Error::other("given up")));
        journal.rewrite(gone).unwrap_err();
        assert_eq!(read(&path).unwrap().0.len(), 5, "half of it must not replace the whole");
        journal.rewrite(parts(&["small"])).unwrap();
        assert!(!journal.wants_rewrite());
        assert_eq!(read(&path).unwrap().0, ["small"]);
        assert!(Journal::new(path, header()).wants_rewrite(), "there is no file yet");
    }
}
