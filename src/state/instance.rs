//! The identity of the agent: made once, and the same after each restart.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use uuid::Uuid;

use super::atomic::replace;

const FILE: &str = "instance-id";

/// Returns the id in the directory; a new one if there is none. One that cannot be kept, as on a full disk,
/// holds until the agent ends. So does one in place of a file that cannot be read now: that file stays.
pub(super) fn id(directory: &Path) -> String {
    let path = directory.join(FILE);
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
    keep(directory, &id);
    id
}

pub(super) fn keep(directory: &Path, id: &str) {
    let path = directory.join(FILE);
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
        let first = id(directory.path());
        assert!(Uuid::parse_str(&first).is_ok());
        assert_eq!(id(directory.path()), first);
        assert_ne!(id(tempfile::tempdir().unwrap().path()), first);
        let files = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(files, 1, "nothing is left beside it");
    }

    #[test]
    fn invalid_instance_id_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        for content in [&b""[..], b"x\n", b"\xff", b"6f0f9a35-2b9e-4c6b-9e43"] {
            fs::write(directory.path().join(FILE), content).unwrap();
            let made = id(directory.path());
            assert_eq!(id(directory.path()), made, "{content:?}");
        }
    }

    #[test]
    fn instance_id_exists_even_if_it_cannot_be_saved() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(FILE)).unwrap();
        assert!(Uuid::parse_str(&id(directory.path())).is_ok());
    }
}
