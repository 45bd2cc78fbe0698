//! Completions of jobs, and their outcome.

/// A job that became DONE. Times are the server's, Unix ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Completion<'a> {
    pub(super) job_id: i64,
    pub(super) tries: i64,
    pub(super) start: Option<i64>,
    pub(super) end: i64,
    /// As the API spells it.
    pub(super) job_type: &'a str,
    pub(super) status: Option<i64>,
    /// It has no children: bytes are counted on those (docs/netbackup-api.md#jobs-parents).
    pub(super) leaf: bool,
    /// kilobytesTransferred, of 1024 bytes.
    pub(super) kilobytes: i64,
    /// Empty if there is none.
    pub(super) client: &'a str,
    /// Empty if there is none.
    pub(super) policy: &'a str,
}

/// The meaning of a status (docs/netbackup-api.md#jobs-status).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Outcome {
    /// Status 0.
    Success,
    /// Status 1: some of it was not done.
    Partial,
    /// Status 150: an administrator ended it.
    Cancelled,
    /// Any other status, and none at all.
    Failure,
}

impl Outcome {
    pub(crate) const ALL: [Self; 4] =
        [Self::Success, Self::Partial, Self::Cancelled, Self::Failure];

    pub(super) const fn of(status: Option<i64>) -> Self {
        match status {
            Some(0) => Self::Success,
            Some(1) => Self::Partial,
            Some(150) => Self::Cancelled,
            _ => Self::Failure,
        }
    }

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Cancelled => "cancelled",
            Self::Failure => "failure",
        }
    }
}

pub(super) const fn role(leaf: bool) -> &'static str {
    if leaf { "leaf" } else { "parent" }
}
