//! Completions of jobs, and their outcome.

use super::schedule::ScheduleClass;

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
    /// The machine or the like that it protects; empty if there is none.
    pub(super) workload: &'a str,
    pub(super) class: ScheduleClass,
    /// Nothing tells that it made no image.
    pub(super) image: bool,
}

/// Types of jobs that protect data. Of the others some make copies of what is protected.
const PROTECTING: [&str; 5] = ["BACKUP", "ARCHIVE", "SNAPDUPE", "DBBACKUP", "SNAPSHOT"];

impl Completion<'_> {
    /// Returns whether it tells of the protection of something, by a schedule of a class that is known: it made what
    /// can be restored, or failed to.
    pub(super) fn protects(&self) -> bool {
        let is_empty = Outcome::of(self.status).is_restorable() && !self.image;
        self.leaf
            && !is_empty
            && self.class != ScheduleClass::Unknown
            && PROTECTING.contains(&self.job_type)
    }
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
    /// Status 196: the window closed before the job could start.
    Missed,
    /// Status 190 or 200: neither success nor failure.
    NothingToDo,
}

impl Outcome {
    pub(crate) const ALL: [Self; 6] = [
        Self::Success,
        Self::Partial,
        Self::Cancelled,
        Self::Failure,
        Self::Missed,
        Self::NothingToDo,
    ];

    pub(super) const fn of(status: Option<i64>) -> Self {
        match status {
            Some(0) => Self::Success,
            Some(1) => Self::Partial,
            Some(150) => Self::Cancelled,
            Some(196) => Self::Missed,
            Some(190 | 200) => Self::NothingToDo,
            _ => Self::Failure,
        }
    }

    /// Returns the outcome by the first rule, of builds that knew four outcomes.
    pub(super) fn by_first_rule(status: Option<i64>) -> Self {
        match Self::of(status) {
            Self::Missed | Self::NothingToDo => Self::Failure,
            outcome => outcome,
        }
    }

    /// Returns whether the rules differ about a status.
    pub(super) fn differs_by_rule(status: Option<i64>) -> bool {
        Self::of(status) != Self::by_first_rule(status)
    }

    /// Returns whether what the job made can be restored.
    pub(super) const fn is_restorable(self) -> bool {
        matches!(self, Self::Success | Self::Partial)
    }

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Cancelled => "cancelled",
            Self::Failure => "failure",
            Self::Missed => "missed",
            Self::NothingToDo => "nothing_to_do",
        }
    }
}

pub(super) const fn role(leaf: bool) -> &'static str {
    if leaf { "leaf" } else { "parent" }
}
