//! The field by which finished jobs are read.

use crate::netbackup::wire::jobs::JobRow;

/// A time of a job that tells that it changed or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeField {
    /// The time of the last change.
    LastUpdate,
    /// The time of the end, if the server does not accept a filter on the other.
    End,
}

impl ChangeField {
    /// Returns the name of the field in the API.
    pub(crate) const fn property(self) -> &'static str {
        match self {
            Self::LastUpdate => "lastUpdateTime",
            Self::End => "endTime",
        }
    }

    /// Returns the time in a row.
    pub(crate) fn of(self, row: &JobRow<'_>) -> Option<i64> {
        match self {
            Self::LastUpdate => row.last_update_time,
            Self::End => row.end_time,
        }
    }
}
