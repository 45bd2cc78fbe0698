//! Files that make up a configuration, as they were read: regular ones only, bounded, each with the
//! hash of its bytes, so that somebody can see later whether one differs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

pub type Digest = [u8; 32];

/// Absolute paths with the digest of what was read there; none where nothing could be read.
pub type Fingerprints = BTreeMap<PathBuf, Option<Digest>>;

/// Absolute paths with what was read there. No `Debug`: it holds secrets.
pub(super) type Contents = BTreeMap<PathBuf, Vec<u8>>;

/// The text of a configuration that was valid, with the files that it names, to be read again when
/// the file itself is wrong by now.
#[derive(Default)]
pub struct Kept {
    pub(super) origin: PathBuf,
    pub(super) text: String,
    pub(super) contents: Contents,
    /// The files that each hold a server.
    pub(super) parts: Vec<PathBuf>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// No file of a configuration is larger.
const MAX_BYTES: u64 = 4 << 20;

pub(super) fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// Returns the digest as `sha256sum` prints it.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Returns the digest of what would be read at `path` now: of a file its content, of a directory the
/// names and times of its files; none where nothing can be read. Blocks as long as the file system.
pub fn fingerprint(path: &Path) -> Option<Digest> {
    read(path).ok().map(|bytes| digest(&bytes)).or_else(|| listing(path))
}

/// Returns the digest of a directory's list of files. Links count as what they lead to.
fn listing(path: &Path) -> Option<Digest> {
    let mut entries: Vec<_> = std::fs::read_dir(path).ok()?.filter_map(Result::ok).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut hash = Sha256::new();
    for entry in entries {
        let seen = std::fs::metadata(entry.path()).ok().filter(std::fs::Metadata::is_file);
        let (length, time) = seen.map_or((0, None), |it| (it.len(), it.modified().ok()));
        hash.update(entry.file_name().as_encoded_bytes());
        hash.update(format!("/{length} {time:?}/"));
    }
    Some(hash.finalize().into())
}

/// Returns true if all files are still as they were read. Blocks as long as the file system.
pub fn all_match(files: &Fingerprints) -> bool {
    files.iter().all(|(path, seen)| fingerprint(path) == *seen)
}

/// Reads a whole file and notes what was seen of it. Of a file that is read twice the first content
/// counts: where the second differs, a later look does too.
pub(super) fn read_noted(path: &Path, files: &mut Fingerprints) -> io::Result<Vec<u8>> {
    let content = read(path);
    note(path, content.as_deref().ok(), files);
    content
}

pub(super) fn note(path: &Path, content: Option<&[u8]>, files: &mut Fingerprints) {
    let seen = content.map(digest).or_else(|| listing(path));
    files.entry(absolute(path)).or_insert(seen);
}

/// Notes what is at `path` now, a file or a directory.
pub(super) fn note_place(path: &Path, files: &mut Fingerprints) {
    files.entry(absolute(path)).or_insert_with(|| fingerprint(path));
}

pub(super) fn joined(one: &Fingerprints, other: &Fingerprints) -> Fingerprints {
    one.iter().chain(other).map(|(path, seen)| (path.clone(), *seen)).collect()
}

pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Returns true if everybody can write the file, and so take over what it decides.
pub(super) fn is_writable_by_all(path: &Path) -> bool {
    mode(path) & 0o002 != 0
}

pub(super) fn is_readable_by_all(path: &Path) -> bool {
    mode(path) & 0o004 != 0
}

/// Returns true if everybody can read the file, and pass the directories on the way to it.
pub(super) fn is_open_to_all(path: &Path) -> bool {
    // Where links lead is what counts.
    let Ok(path) = std::fs::canonicalize(path) else { return false };
    is_readable_by_all(&path) && path.ancestors().skip(1).all(|parent| mode(parent) & 0o001 != 0)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // To open a pipe would wait for its writer, and a device may never end.
    let kind = std::fs::metadata(path)?;
    if kind.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
    }
    if !kind.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
    }
    let mut content = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 4 MiB"));
    }
    Ok(content)
}
