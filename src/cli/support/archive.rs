//! The archive that a support bundle is: a gzipped tar file that only its owner can read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;

const MODE: u32 = 0o600;

/// Folder of the files in the archive.
const FOLDER: &str = "nbu-otel-agent-support";

/// Packs files, given by name and content.
pub(super) fn pack(files: &[(&str, String)]) -> io::Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(MODE);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("{FOLDER}/{name}"), content.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

/// Writes a file that did not exist, or replaces one. What is begun and not whole is removed.
pub(super) fn write(path: &Path, bytes: &[u8], replaces: bool) -> io::Result<()> {
    if replaces {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(path);
    }
    written
}
