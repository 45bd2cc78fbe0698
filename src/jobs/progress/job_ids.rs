//! The highest job number: a job with a higher one than all that were listed before is new, whatever
//! its end.

/// Numbers of the jobs that a server listed.
#[derive(Debug, Default)]
pub(in crate::jobs) struct JobIds {
    /// Every job with a higher number was listed for the first time later; `None` until the server told
    /// its highest one.
    highest: Option<i64>,
    /// The highest number of a row.
    met: i64,
}

impl JobIds {
    pub(super) fn restore(highest: Option<i64>) -> Self {
        Self { highest, met: highest.unwrap_or(0) }
    }

    /// Records the number of a row.
    pub(in crate::jobs) fn meet(&mut self, id: i64) {
        self.met = self.met.max(id);
    }

    /// Counts the rows of the last cycle among those listed before.
    pub(super) fn begin_cycle(&mut self) {
        self.highest = self.listed_before();
    }

    /// Returns the highest number with which the next cycle begins.
    pub(super) fn listed_before(&self) -> Option<i64> {
        self.highest.map(|id| id.max(self.met))
    }

    /// Takes the highest number that the server lists, if it was not known.
    pub(in crate::jobs) fn learn_highest(&mut self, id: i64) {
        self.highest.get_or_insert(id);
    }

    /// Returns whether the server has yet to tell its highest number.
    pub(in crate::jobs) fn lacks_highest(&self) -> bool {
        self.highest.is_none()
    }

    /// Returns whether a number is higher than all that were listed before: whatever its end, its
    /// completion was not counted.
    pub(in crate::jobs) fn is_new(&self, id: i64) -> bool {
        self.highest.is_some_and(|highest| id > highest)
    }

    /// Returns whether the server ever listed a job.
    pub(in crate::jobs) fn has_met_any(&self) -> bool {
        self.met > 0 || self.highest > Some(0)
    }
}
