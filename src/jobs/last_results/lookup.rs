//! Names for which the server is asked for the newest successful backup, since none was seen.

use std::collections::BTreeMap;

use super::subject::Subject;

/// Names that failed before, in one round.
const RETRIES: usize = 4;

/// The longest pause after a failure, in rounds.
const LONGEST_PAUSE: u64 = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupQuery {
    pub subject: Subject,
    /// The name as the configuration spells it, or as it was seen first.
    pub name: String,
    /// The spellings to ask for, the most likely one first.
    pub spellings: Vec<String>,
    /// It failed before, so that it may take longer.
    pub retried: bool,
    /// Backups that ended later do not count: by the server's own clock they lie in the future.
    pub until: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupAnswer {
    /// The end of the newest successful backup, Unix ms.
    Found(i64),
    None,
    /// The server does not tell, or not within reason.
    Unknown,
}

/// A name for which the server could not be asked.
#[derive(Debug, Default)]
struct Failure {
    count: u32,
    /// The round of the last one.
    round: u64,
}

impl Failure {
    fn is_due(&self, round: u64) -> bool {
        let pause = 1_u64.checked_shl(self.count.saturating_sub(1)).unwrap_or(LONGEST_PAUSE);
        round >= self.round.saturating_add(pause.min(LONGEST_PAUSE))
    }
}

/// The order of look-ups, and the names that failed, by key.
#[derive(Debug, Default)]
pub(super) struct LookupQueue {
    failures: BTreeMap<Box<str>, Failure>,
    round: u64,
}

impl LookupQueue {
    /// Begins a round, and returns at most `limit` of the names that are due: first those that did not
    /// fail, then those that did, the latest failure last. The flag tells the latter.
    pub(super) fn next<'k>(
        &mut self,
        due: impl Iterator<Item = &'k str>,
        limit: usize,
    ) -> Vec<(&'k str, bool)> {
        self.round += 1;
        let (mut fresh, mut retried) = (Vec::new(), Vec::new());
        for key in due {
            match self.failures.get(key) {
                None if fresh.len() < limit => fresh.push(key),
                Some(failure) if failure.is_due(self.round) => retried.push((failure.round, key)),
                _ => {}
            }
            if fresh.len() >= limit && self.failures.is_empty() {
                break;
            }
        }
        retried.sort_unstable();
        retried.truncate(RETRIES.min(limit));
        fresh.truncate(limit - retried.len());
        let fresh = fresh.into_iter().map(|key| (key, false));
        fresh.chain(retried.into_iter().map(|(_, key)| (key, true))).collect()
    }

    /// Records that the server could not be asked for a name: others go first from here on.
    pub(super) fn note_failure(&mut self, key: &str) {
        let failure = self.failures.entry(key.into()).or_default();
        *failure = Failure { count: failure.count.saturating_add(1), round: self.round };
    }

    pub(super) fn forget(&mut self, key: &str) {
        self.failures.remove(key);
    }

    /// Forgets the failures of names that have no place any more.
    pub(super) fn retain(&mut self, has_place: impl Fn(&str) -> bool) {
        self.failures.retain(|key, _| has_place(key));
    }
}
