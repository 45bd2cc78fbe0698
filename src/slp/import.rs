//! The import of a replica, at its target.

/// The progress of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Import {
    Waits,
    Failed,
    Done,
}
