//! Which names the server is to be asked for, and what it answered: the newest successful backup of a
//! name of which none was seen.

use std::collections::BTreeSet;

use super::name_results::{Lookup, NameResults};
use super::{LastResults, Subject, last_result};

/// An answer that found nothing is asked for again after this time, ms.
const ASK_AGAIN: i64 = 86_400_000;

/// Names that failed before, in one round.
const RETRIES: usize = 4;

/// The longest pause after a failure, in rounds.
const LONGEST_PAUSE: u64 = 16;

/// A name that the server is to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What the name belongs to.
    pub subject: Subject,
    /// How the rules spell it, or how it was seen first.
    pub name: String,
    /// The spellings to ask for, the most likely one first.
    pub spellings: Vec<String>,
    /// It failed before, so that it may take longer.
    pub retried: bool,
    /// Backups that ended later do not count: by the server's own clock they lie in the future.
    pub until: i64,
}

/// The server's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The newest successful backup ended then, Unix ms.
    Found(i64),
    /// There is none.
    None,
    /// The server does not tell, or not within reason.
    Unknown,
}

/// A name of which the server could not be asked.
#[derive(Debug, Default)]
pub(super) struct Retry {
    failures: u32,
    /// The round of the last failure.
    last: u64,
}

impl Retry {
    fn is_due(&self, round: u64) -> bool {
        let pause = 1_u64.checked_shl(self.failures.saturating_sub(1)).unwrap_or(LONGEST_PAUSE);
        round >= self.last.saturating_add(pause.min(LONGEST_PAUSE))
    }
}

impl LastResults {
    /// Returns the names of which it is not known whether they ever had a successful backup, and that
    /// are due: those that the rules spell out, others that were seen, then those that failed before,
    /// the latest failure last. At most so many.
    pub fn to_look_up(&mut self, most: usize) -> Vec<Question> {
        self.rounds += 1;
        let now = self.present.now();
        let is_due = |entry: &NameResults| {
            let again =
                |lookup: Lookup| now.saturating_sub(lookup.at) >= ASK_AGAIN || lookup.at > now;
            entry.backup.is_none() && entry.lookup.is_none_or(again)
        };
        let reserved = self.reserved.keys().filter(|key| self.entries.get(*key).is_none_or(is_due));
        let others = self
            .entries
            .iter()
            .filter(|(key, entry)| !self.reserved.contains_key(*key) && is_due(entry));
        let due = reserved.chain(others.map(|(key, _)| key));
        let (mut fresh, mut retried) = (Vec::new(), Vec::new());
        for key in due {
            match self.failed.get(key) {
                None if fresh.len() < most => fresh.push(key.clone()),
                Some(retry) if retry.is_due(self.rounds) => retried.push((retry.last, key.clone())),
                _ => {}
            }
            if fresh.len() >= most && self.failed.is_empty() {
                break;
            }
        }
        retried.sort();
        retried.truncate(RETRIES.min(most));
        fresh.truncate(most - retried.len());
        let fresh = fresh.into_iter().map(|key| (key, false));
        let keys = fresh.chain(retried.into_iter().map(|(_, key)| (key, true)));
        keys.map(|(key, retried)| self.question(&key, retried)).collect()
    }

    fn question(&self, key: &str, retried: bool) -> Question {
        let entry = self.entries.get(key);
        let label = entry.map(|entry| &entry.label).or_else(|| self.reserved.get(key));
        let name = label.map_or(key, AsRef::as_ref);
        let seen = entry.filter(|entry| entry.newest().is_some());
        let mut spellings: Vec<String> = Vec::new();
        let mut add = |spelling: &str| {
            if !spellings.iter().any(|known| known == spelling) {
                spellings.push(spelling.to_owned());
            }
        };
        // Spelt as the server does: its filter may mind the case of a host's name.
        seen.into_iter().flat_map(|entry| &entry.spellings).for_each(|spelling| add(spelling));
        add(name);
        if self.subject == Subject::Client && seen.is_none() {
            add(&name.to_ascii_lowercase());
            add(&name.to_ascii_uppercase());
        }
        let (subject, until) = (self.subject, self.present.limit());
        Question { subject, name: name.to_owned(), spellings, retried, until }
    }

    /// Takes the server's answer for `name`. One for a name that lost its place meanwhile is dropped.
    pub fn looked_up(&mut self, name: &str, answer: Answer) {
        let key = self.subject.key(name).into_owned();
        self.failed.remove(key.as_str());
        let wanted =
            self.reserved.contains_key(key.as_str()) || self.entries.contains_key(key.as_str());
        if !wanted || !self.filter.admits_key(&key) {
            return;
        }
        let (at, limit) = (self.present.now(), self.present.limit());
        let Some(entry) = self.entry(&key, name) else { return };
        let before = (entry.backup, entry.lookup);
        match answer {
            Answer::Found(end) if end <= limit => {
                last_result::raise(&mut entry.backup, Some(end));
                entry.lookup = None;
            }
            Answer::Found(_) | Answer::Unknown => entry.lookup = Some(Lookup { at, none: false }),
            Answer::None => entry.lookup = Some(Lookup { at, none: true }),
        }
        if before != (entry.backup, entry.lookup) {
            self.changed.insert(key.into());
        }
    }

    /// The server could not be asked for `name`: others go first from here on.
    pub fn look_up_failed(&mut self, name: &str) {
        let key = self.subject.key(name).into_owned();
        if self.reserved.contains_key(key.as_str()) || self.entries.contains_key(key.as_str()) {
            let retry = self.failed.entry(key.into()).or_default();
            *retry = Retry { failures: retry.failures.saturating_add(1), last: self.rounds };
        }
    }

    /// Forgets failures of names that have no place any more.
    pub(super) fn prune_failed(&mut self) {
        let places: BTreeSet<&str> =
            self.entries.keys().chain(self.reserved.keys()).map(AsRef::as_ref).collect();
        self.failed.retain(|key, _| places.contains(key.as_ref()));
    }
}
