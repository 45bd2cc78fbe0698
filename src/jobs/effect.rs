//! The effect that the row of a finished job has on the ledger.

use super::finished::FinishedJob;

/// The walk that returned a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowSource {
    /// The incremental or the late walk: its job changed.
    Incremental,
    /// A backfill, or a reread.
    Backfill,
}

/// The effect of the row of a finished job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// A known completion, of which other fields may have changed.
    Duplicate,
    /// A new completion, with the retries since the last one.
    Counted(u64),
    /// A completion that was counted or predates the ledger, maybe: it counts in the window only.
    WindowOnly,
    /// None: an older try of a known job, or older than any window needs.
    Ignored,
}

impl Effect {
    /// Returns the effect of a new completion with so many tries, of `before` at the last one.
    pub(super) fn counted(tries: u16, before: u16) -> Self {
        Self::Counted(u64::from(tries.saturating_sub(before)))
    }

    /// Returns the effect of a row whose job is among the finished ones. A start of 0 is unknown.
    pub(super) fn on_finished(before: &FinishedJob, tries: u16, start: i64, end: i64) -> Self {
        if before.start != 0 && start != 0 && before.start != start {
            // The number of a job before a reset of the catalogue.
            Self::counted(tries, 1)
        } else if tries > before.tries
            || (before.resumed && end != before.end && tries == before.tries)
        {
            Self::counted(tries, before.tries)
        } else if tries < before.tries {
            Self::Ignored
        } else {
            Self::Duplicate
        }
    }
}
