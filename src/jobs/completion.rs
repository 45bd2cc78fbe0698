//! Completions of jobs, and their outcome.

/// A job that became DONE. Times are the server's, Unix ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Completion<'a> {
    /// jobId.
    pub(super) job_id: i64,
    /// try: the number of tries.
    pub(super) tries: i64,
    /// startTime, if the server gave one.
    pub(super) start: Option<i64>,
    /// endTime.
    pub(super) end: i64,
    /// jobType, as the API spells it.
    pub(super) job_type: &'a str,
    /// status, if the server gave one.
    pub(super) status: Option<i64>,
    /// It has no children: bytes are counted on those (docs/netbackup-api.md#jobs-parents).
    pub(super) leaf: bool,
    /// kilobytesTransferred, of 1024 bytes.
    pub(super) kilobytes: i64,
    /// clientName; empty if there is none.
    pub(super) client: &'a str,
    /// policyName; empty if there is none.
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
    /// All outcomes.
    pub(crate) const ALL: [Self; 4] =
        [Self::Success, Self::Partial, Self::Cancelled, Self::Failure];

    /// Returns the outcome of a status.
    pub(super) const fn of(status: Option<i64>) -> Self {
        match status {
            Some(0) => Self::Success,
            Some(1) => Self::Partial,
            Some(150) => Self::Cancelled,
            _ => Self::Failure,
        }
    }

    /// Returns the value of the label `outcome`.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Cancelled => "cancelled",
            Self::Failure => "failure",
        }
    }
}

/// Returns the value of the label `role`.
pub(super) const fn role(leaf: bool) -> &'static str {
    if leaf { "leaf" } else { "parent" }
}
