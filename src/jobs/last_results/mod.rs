//! The last jobs of each client and each policy that is selected: when one succeeded and failed, what
//! came of the last one, how many failed in a row. Fed with completions in any order; what comes out does
//! not depend on it, as long as there is room for all names.

mod format;
mod last_result;
mod lookup;
mod metrics;
mod name_filter;
mod name_results;
mod persist;
mod present;
mod samples;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::{Completion, NameFilterConfig};
use lookup::Retry;
use name_results::NameResults;
use present::Present;

pub use lookup::{Answer, Question};
pub(super) use metrics::definitions;
pub use name_filter::NameFilter;
pub(super) use persist::LastResultChanges;
pub use persist::Unreadable;
pub(super) use present::AHEAD;

/// The name under which jobs count whose own has no room.
const OTHER: &str = "other";

/// What names belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Clients, whose names have no case.
    Client,
    /// Policies.
    Policy,
}

impl Subject {
    /// Returns its number on disk.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Client => 0,
            Self::Policy => 1,
        }
    }

    /// Returns the one with this number on disk.
    pub(super) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Client),
            1 => Some(Self::Policy),
            _ => None,
        }
    }

    /// The label that holds the name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Policy => "policy",
        }
    }

    /// The name that a job has.
    pub const fn of<'a>(self, job: &Completion<'a>) -> &'a str {
        match self {
            Self::Client => job.client,
            Self::Policy => job.policy,
        }
    }
}

/// The last jobs of the clients, or of the policies, of one site.
///
/// At most `limit` names have a place: first those that the rules spell out, then those that come first.
#[derive(Debug)]
pub struct LastResults {
    subject: Subject,
    filter: NameFilter,
    /// Names that the rules spell out and that have their place, whether seen or not: as they are
    /// compared, and as they are spelt.
    reserved: BTreeMap<Box<str>, Box<str>>,
    /// How many other names have room.
    room: usize,
    /// How many of the entries are of such names.
    taken: usize,
    entries: BTreeMap<Box<str>, NameResults>,
    /// How many names there were.
    count: u64,
    /// Completions of names that had no room.
    folded: u64,
    /// What differs from what the disk has.
    changed: BTreeSet<Box<str>>,
    folded_changed: bool,
    present: Present,
    /// Names of which the server could not be asked.
    failed: BTreeMap<Box<str>, Retry>,
    /// How often names to look up were asked for.
    rounds: u64,
}

impl LastResults {
    /// Nothing known yet.
    pub fn new(subject: Subject, rules: &NameFilterConfig) -> Self {
        let mut last_results = Self {
            subject,
            filter: NameFilter::new(subject, rules),
            reserved: BTreeMap::new(),
            room: 0,
            taken: 0,
            entries: BTreeMap::new(),
            count: 0,
            folded: 0,
            changed: BTreeSet::new(),
            folded_changed: false,
            present: Present::default(),
            failed: BTreeMap::new(),
            rounds: 0,
        };
        last_results.reserve(rules);
        last_results
    }

    /// Whose names they are.
    pub fn subject(&self) -> Subject {
        self.subject
    }

    fn reserve(&mut self, rules: &NameFilterConfig) {
        let literals = self.filter.keyed_literals().take(rules.limit);
        self.reserved = literals.map(|(key, spelt)| (key.into(), spelt.into())).collect();
        self.room = rules.limit.saturating_sub(self.reserved.len());
        self.present.set_forget_after(rules.forget_after);
    }

    /// Takes one job that ended. One that is given again changes nothing, but the count of those that
    /// were folded.
    pub fn record(&mut self, job: &Completion<'_>) {
        if self.add(job) == Some(false) {
            self.folded += 1;
            self.folded_changed = true;
        }
    }

    /// Takes the jobs of the window anew, after [`reconfigure`](Self::reconfigure): names that were
    /// not selected before, or had no room, learn of them.
    pub fn refill<'c>(&mut self, jobs: impl Iterator<Item = Completion<'c>>) {
        for job in jobs {
            self.add(&job);
        }
    }

    /// Whether a selected name had room; `None` for one that is not selected.
    fn add(&mut self, job: &Completion<'_>) -> Option<bool> {
        let (name, with_pairs) = (self.subject.of(job), self.subject == Subject::Client);
        let key = self.subject.key(name);
        if !self.filter.admits_key(&key) {
            return None;
        }
        if job.end > self.present.limit() {
            return Some(self.has_place(&key));
        }
        let Some(entry) = self.entry(&key, name) else { return Some(false) };
        if entry.add(job, name, with_pairs) {
            self.changed.insert(key.into());
        }
        Some(true)
    }

    fn has_place(&self, key: &str) -> bool {
        self.entries.contains_key(key) || self.reserved.contains_key(key) || self.taken < self.room
    }

    /// The entry of a name that is selected, made where there is room for it.
    fn entry(&mut self, key: &str, name: &str) -> Option<&mut NameResults> {
        if !self.entries.contains_key(key) {
            let reserved = self.reserved.get(key);
            if reserved.is_none() {
                if self.taken >= self.room {
                    return None;
                }
                self.taken += 1;
            }
            let entry = NameResults::new(reserved.map_or(name, AsRef::as_ref), self.count);
            self.count += 1;
            self.present.check_soon();
            self.entries.insert(key.into(), entry);
        }
        self.entries.get_mut(key)
    }

    /// The name under which jobs of `name` count: `None` where it is not selected, its own, or
    /// `other` where it has no room. It stays the same for a name that was recorded, until
    /// [`reconfigure`](Self::reconfigure). A client has one name, however it is spelt.
    pub fn slot<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let key = self.subject.key(name);
        if !self.filter.admits_key(&key) {
            return None;
        }
        let known = self.entries.get(key.as_ref()).map(|entry| entry.label.as_ref());
        let known = known.or_else(|| self.reserved.get(key.as_ref()).map(AsRef::as_ref));
        Some(known.unwrap_or(if self.taken < self.room { name } else { OTHER }))
    }

    /// Takes other rules. What is still selected, and has room, keeps all that is known of it; the
    /// rest is dropped. Names that are new are unknown until [`refill`](Self::refill).
    pub fn reconfigure(&mut self, rules: &NameFilterConfig) {
        self.filter = NameFilter::new(self.subject, rules);
        self.reserve(rules);
        let mut others = Vec::new();
        for (key, entry) in std::mem::take(&mut self.entries) {
            if !self.filter.admits_key(&key) {
                self.changed.insert(key);
            } else if let Some(spelt) = self.reserved.get(&key) {
                if entry.label != *spelt {
                    self.changed.insert(key.clone());
                }
                let entry = entry.labelled(spelt);
                self.entries.insert(key, entry);
            } else {
                others.push((key, entry));
            }
        }
        others.sort_by_key(|(_, entry)| entry.order);
        self.taken = others.len().min(self.room);
        self.changed.extend(others.iter().skip(self.taken).map(|(key, _)| key.clone()));
        self.entries.extend(others.into_iter().take(self.taken));
        self.prune_failed();
    }
}
