//! The identity of the agent: made once, and the same after each restart.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::atomic::replace;

const FILE: &str = "instance-id";

/// Returns the id in the directory, that of the member where several share it; a new one if there is none. One that cannot be kept, as on a full disk,
/// holds until the agent ends. So does one in place of a file that cannot be read now: that file stays.
pub(super) fn id(directory: &Path, member: Option<&str>) -> String {
    let path = file(directory, member);
    let id = Uuid::new_v4().to_string();
    match read(&path) {
        Ok(id) => return id.to_string(),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            let path = path.display();
            tracing::warn!(%path, %error, "the instance ID file has no valid ID; creating a new one");
        }
        Err(error) => {
            let path = path.display();
            tracing::warn!(%path, %error, "cannot read the instance ID; using a temporary one until the agent exits");
            return id;
        }
    }
    keep(directory, member, &id);
    id
}

fn file(directory: &Path, member: Option<&str>) -> PathBuf {
    directory.join(member.map_or_else(|| FILE.to_owned(), |member| format!("{member}.{FILE}")))
}

pub(super) fn keep(directory: &Path, member: Option<&str>, id: &str) {
    let path = file(directory, member);
    if let Err(error) = replace(&path, |out| writeln!(out, "{id}")) {
        let path = path.display();
        tracing::warn!(%path, %error, "cannot save the instance ID; the agent will have another one after a restart");
    }
}

fn read(path: &Path) -> io::Result<Uuid> {
    let text = fs::read_to_string(path)?;
    Uuid::parse_str(text.trim()).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_id_is_created_once() {
        let directory = tempfile::tempdir().unwrap();
        let first = id(directory.path(), None);
        assert!(Uuid::parse_str(&first).is_ok());
        assert_eq!(id(directory.path(), None), first);
        assert_ne!(id(tempfile::tempdir().unwrap().path(), None), first);
        let files = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(files, 1, "nothing is left beside it");
    }

    #[test]
    fn invalid_instance_id_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        for content in [&b""[..], b"x\n", b"\xff", b"6f0f9a35-2b9e-4c6b-9e43"] {
            fs::write(directory.path().join(FILE), content).unwrap();
            let made = id(directory.path(), None);
            assert_eq!(id(directory.path(), None), made, "{content:?}");
        }
    }

    #[test]
    fn instance_id_exists_even_if_it_cannot_be_saved() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(FILE)).unwrap();
        assert!(Uuid::parse_str(&id(directory.path(), None)).is_ok());
    }
}
