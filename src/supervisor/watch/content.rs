//! The content of files, as hashes.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::Tried;
use crate::config::MAX_FILE_BYTES;

/// What the files hold now. What is there, but neither file nor directory, is given back as it was
/// tried: a pipe can be read only once, and opening a device may do something.
pub(super) fn of(tried: &Tried) -> Tried {
    let now = tried.iter().map(|(path, before)| {
        let special = fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
        (path.clone(), if special { *before } else { hash(path).ok() })
    });
    now.collect()
}

fn hash(path: &Path) -> io::Result<[u8; 32]> {
    let file = File::open(path)?;
    let mut hasher = Sha256::new();
    let read = io::copy(&mut file.take(MAX_FILE_BYTES + 1), &mut hasher)?;
    if read > MAX_FILE_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_load_could_read_has_a_hash() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::write(at("file"), "abc").unwrap();
        fs::write(at("large"), vec![b'x'; usize::try_from(MAX_FILE_BYTES).unwrap() + 1]).unwrap();
        fs::create_dir(at("directory")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("special")).unwrap();
        let before = Some([7; 32]);
        let names = ["file", "large", "directory", "special", "missing", "file/below"];
        let seen = of(&names.iter().map(|name| (at(name), before)).collect());
        assert_eq!(seen[&at("file")], Some(Sha256::digest("abc").into()));
        assert_eq!(seen[&at("special")], before, "what cannot be read again is as it was");
        for name in ["large", "directory", "missing", "file/below"] {
            assert_eq!(seen[&at(name)], None, "{name}");
        }
    }
}
