//! One completion of a job, and what it came to.

/// A job became DONE. Times are the server's, Unix ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Completion<'a> {
    /// jobId.
    pub job_id: i64,
    /// try: how many there were.
    pub tries: i64,
    /// startTime, where the server gave one.
    pub start: Option<i64>,
    /// endTime.
    pub end: i64,
    /// jobType, as the API spells it.
    pub job_type: &'a str,
    /// policyType, as the API spells it.
    pub policy_type: &'a str,
    /// status; unknown where the server gave none.
    pub status: Option<i64>,
    /// It has no children: bytes are counted on those (docs/netbackup-api.md#jobs-parents).
    pub leaf: bool,
    /// kilobytesTransferred, of 1024 bytes.
    pub kilobytes: i64,
    /// numberOfFiles.
    pub files: i64,
    /// clientName; empty where there is none.
    pub client: &'a str,
    /// policyName; empty where there is none.
    pub policy: &'a str,
}

/// What a status says in a word (docs/netbackup-api.md#jobs-status).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
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
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Success, Self::Partial, Self::Cancelled, Self::Failure];

    /// The outcome of a status.
    pub const fn of(status: Option<i64>) -> Self {
        match status {
            Some(0) => Self::Success,
            Some(1) => Self::Partial,
            Some(150) => Self::Cancelled,
            _ => Self::Failure,
        }
    }

    /// The value of the label `outcome`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Cancelled => "cancelled",
            Self::Failure => "failure",
        }
    }
}

/// The value of the label `role`.
pub(super) const fn role(leaf: bool) -> &'static str {
    if leaf { "leaf" } else { "parent" }
}
