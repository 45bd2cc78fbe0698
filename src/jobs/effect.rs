//! What a row of a finished job is to the ledger.

use super::finished::FinishedJob;
use super::ledger::Ledger;
use crate::netbackup::wire::jobs::JobRow;

/// A job source before the first complete walk whose end is so much later than now (ms) ended before the
/// ledger began: the server's clock was set back. It is not counted.
const FUTURE: i64 = 2_000;

/// How a row was source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowSource {
    /// By its change.
    Incremental,
    /// In a span that is read backwards.
    Backfill,
}

/// What a finished row is to the ledger.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The completion that is known already; other things of it may have changed.
    Duplicate,
    /// One that counts, with the retries since the last one.
    Counted(u64),
    /// One that may have been counted before, or was there before the ledger: it belongs to the window
    /// alone.
    WindowOnly,
    /// It says nothing: older than what is known of the job, or than any window needs.
    Ignored,
}

impl Ledger {
    pub(super) fn effect_of(
        &self,
        row: &JobRow<'_>,
        end: i64,
        before: Option<&FinishedJob>,
        source: RowSource,
    ) -> Effect {
        let tries = super::tries(row);
        let since =
            |tries_before: u16| Effect::Counted(u64::from(tries.saturating_sub(tries_before)));
        if let Some(before) = before {
            let start = row.start_time.unwrap_or(0);
            return if before.start != 0 && start != 0 && before.start != start {
                // The number of a job before a reset of the catalogue.
                since(1)
            } else if tries > before.tries
                || (before.resumed && end != before.end && tries == before.tries)
            {
                since(before.tries)
            } else if tries < before.tries {
                Effect::Ignored
            } else {
                Effect::Duplicate
            };
        }
        let (end_is_covered, known) =
            (end > self.position.horizon, self.unfinished.get(&row.job_id));
        let is_new = match (source, known) {
            // It bears a time that its server's clock never showed since the ledger began.
            _ if self.is_of_a_clock_before(end) => false,
            (_, Some(known)) if !known.ended || tries > known.tries => true,
            (RowSource::Incremental, _) => end_is_covered || self.is_unheard_of(row.job_id),
            (RowSource::Backfill, _) => end_is_covered && end > self.position.began,
        };
        if is_new {
            since(known.map_or(1, |known| known.tries))
        } else if end > self.oldest_needed() {
            Effect::WindowOnly
        } else {
            Effect::Ignored
        }
    }

    /// Returns whether an end lies so far in the future that the server's clock was set back before
    /// the ledger began.
    fn is_of_a_clock_before(&self, end: i64) -> bool {
        let passed = i64::try_from(self.cycle_began.elapsed().as_millis()).unwrap_or(i64::MAX / 4);
        self.position.current_at.is_none() && end > self.position.now + passed + FUTURE
    }

    /// Returns whether a job was never met, nor listed when the ledger began: whatever its end, its
    /// completion was not counted.
    fn is_unheard_of(&self, id: i64) -> bool {
        self.position.highest_id.is_some_and(|highest| id > highest)
    }

    /// Returns the server's time at the present cycle.
    pub fn now(&self) -> i64 {
        self.position.now
    }

    /// Takes the highest number of a job that the server lists.
    pub fn learn_highest_id(&mut self, id: i64) {
        self.position.highest_id.get_or_insert(id);
    }

    /// Returns whether the server is to be asked for its highest number of a job.
    pub fn lacks_highest_id(&self) -> bool {
        self.position.highest_id.is_none()
    }

    /// Returns whether a finished job is among the keys.
    pub fn knows(&self, job_id: i64) -> bool {
        self.finished.get(job_id).is_some()
    }
}
