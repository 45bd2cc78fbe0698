//! Why a directory cannot be had, and what to do about it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// A directory that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("state.directory {}: {problem}", path.display())]
pub struct Error {
    path: PathBuf,
    problem: Problem,
}

impl Error {
    /// Returns the number of the term that is there, where it is not lower than the own one.
    pub(crate) fn overtaken(&self) -> Option<u64> {
        match self.problem {
            Problem::Overtaken(number) => Some(number),
            _ => None,
        }
    }
}

/// The reason.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error(
        "another agent uses it{}; stop that agent, or use another directory",
        by(*.0)
    )]
    Held(Option<u32>),
    #[error(
        "state.shared takes effect at the next start of the agent; until then it must stay as it was"
    )]
    Sharing,
    #[error("this agent still uses it as it did before the election; it is tried again")]
    StillHeld,
    #[error("another agent has become the leader (term {0}): this one may not write there")]
    Overtaken(u64),
    #[error("not a directory; use a directory, or a path where one can be created")]
    NotADirectory,
    #[error(
        "permission denied; the user that runs the agent must be able to write to it, or to \
         create it"
    )]
    Denied,
    #[error("on a read-only file system; use a writable path, or mount a volume there")]
    ReadOnly,
    #[error("files cannot be locked there ({0}); use a directory on a local file system")]
    NoLocks(io::Error),
    #[error("{0}")]
    Other(io::Error),
}

fn by(process: Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (process {id})"))
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Self::NotADirectory,
            ErrorKind::PermissionDenied => Self::Denied,
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Other(error),
        }
    }
}

impl Problem {
    /// Returns whether the same attempt may succeed later: nothing is wrong with the configuration.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Other(error) if is_transient(error))
    }

    pub(super) fn at(self, path: &Path) -> Error {
        Error { path: path.to_owned(), problem: self }
    }
}

/// Returns whether an error says nothing about the file, but about the disk or the process at this moment.
pub(super) fn is_transient(error: &io::Error) -> bool {
    const CODES: [Errno; 12] = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::IO,
        Errno::STALE,
        Errno::NOMEM,
        Errno::INTR,
        Errno::AGAIN,
        Errno::TIMEDOUT,
        Errno::BUSY,
        Errno::NODEV,
        Errno::NXIO,
        Errno::NOTCONN,
    ];
    let code = error.raw_os_error();
    code.is_some_and(|code| CODES.iter().any(|known| known.raw_os_error() == code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_path_and_the_remedy() {
        for (kind, hint) in [
            (ErrorKind::PermissionDenied, "the user that runs the agent"),
            (ErrorKind::ReadOnlyFilesystem, "read-only"),
            (ErrorKind::NotADirectory, "not a directory"),
            (ErrorKind::AlreadyExists, "not a directory"),
        ] {
            let text = Problem::from(io::Error::from(kind)).at(Path::new("/s")).to_string();
            assert!(text.starts_with("state.directory /s: ") && text.contains(hint), "{text}");
        }
        let held = |process| Problem::Held(process).at(Path::new("/s")).to_string();
        assert!(held(Some(7)).contains("another agent uses it (process 7); stop that agent"));
        assert!(held(None).contains("another agent uses it; stop that agent"));
    }
}
