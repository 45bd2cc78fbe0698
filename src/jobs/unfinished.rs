//! Jobs that were seen unfinished, and when they are forgotten.

use super::ledger::Ledger;
use super::live::Live;

const HOUR: i64 = 3_600_000;

/// A job that was seen unfinished, or tried several times, and then not at all is forgotten after this
/// time.
const FORGET: i64 = 7 * 24 * HOUR;

/// A job that is remembered although no key tells of its present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnfinishedJob {
    /// Tries up to its last completion, 1 where there was none.
    pub(super) tries: u16,
    /// When it was seen last, by the server's clock, to the hour: so that it is seldom saved.
    pub(super) seen: i64,
    /// It ended, and its key was pruned: only a later try is another completion. Otherwise it was
    /// seen unfinished.
    pub(super) ended: bool,
}

impl Ledger {
    /// Takes a whole sweep of the live jobs in, after the finished ones of the same cycle.
    pub fn apply_live(&mut self, mut live: Live) {
        let now = self.position.now;
        let seen = now - now.rem_euclid(HOUR);
        let mut ended = Vec::new();
        for (id, job) in live.iter() {
            self.position.met_id = self.position.met_id.max(id);
            let key = self.finished.get(id).copied();
            if key.is_some_and(|key| self.touched.contains(&id) && key.tries >= job.tries) {
                // It ended after the sweep had met it.
                ended.push(id);
                continue;
            }
            if let Some(key) = key.filter(|key| !key.resumed) {
                if self.is_shown(&key) {
                    self.gauges.take(&key);
                }
                self.finished.set_resumed(id, true);
                self.changes.job(id);
            }
            let before = self.unfinished.get(&id).copied();
            let tries = before.map_or(key.map_or(1, |key| key.tries), |known| known.tries);
            let known = UnfinishedJob { tries, seen, ended: false };
            if before != Some(known) {
                self.unfinished.insert(id, known);
                self.changes.unfinished(id);
            }
        }
        for id in ended {
            live.remove(id);
        }
        self.live = Some(live);
        self.forget_unfinished();
    }

    /// Drops what was seen last a long time before this sweep.
    fn forget_unfinished(&mut self) {
        let now = self.position.now;
        self.unfinished.retain(|id, known| {
            let keep = now - known.seen < FORGET;
            if !keep {
                self.changes.unfinished(*id);
            }
            keep
        });
    }

    /// Returns whether the server ever listed a job.
    pub fn has_met_jobs(&self) -> bool {
        self.position.met_id > 0 || self.position.highest_id > Some(0) || self.label_sets.len() > 0
    }

    /// Returns whether jobs were listed so lately that a list without any hides them.
    pub fn expects_jobs(&self) -> bool {
        let lately = self.position.now - 2 * HOUR;
        let is_live = |known: &UnfinishedJob| !known.ended && known.seen > lately;
        self.finished.ended(self.window.from, self.window.to).next().is_some()
            || self.unfinished.values().any(is_live)
    }
}
