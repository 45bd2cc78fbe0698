//! Names that have last results of their own: a limited number of places.

use std::collections::BTreeMap;

use super::name_filter::NameFilter;
use super::name_results::NameResults;

/// The label of jobs whose name has no place.
const OTHER: &str = "other";

/// Names and their results, by key: the form in which names are compared. Names that the configuration
/// spells out come first, then others in the order in which they are seen.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Names that are spelt out, seen or not: key and spelling.
    reserved: BTreeMap<Box<str>, Box<str>>,
    /// Places for other names, and those of them that are taken.
    room: usize,
    taken: usize,
    pub(super) entries: BTreeMap<Box<str>, NameResults>,
    /// The number of names that ever had a place.
    count: u64,
}

impl Places {
    /// Applies another filter and limit. Names that are still selected, and have room, keep their
    /// results. Returns the keys of all others, and of those that are spelt otherwise now.
    pub(super) fn reconfigure(&mut self, filter: &NameFilter, limit: usize) -> Vec<Box<str>> {
        let literals = filter.literals.iter().take(limit);
        self.reserved = literals.map(|(key, spelt)| (key.clone(), spelt.clone())).collect();
        self.room = limit.saturating_sub(self.reserved.len());
        let (mut changed, mut others) = (Vec::new(), Vec::new());
        for (key, entry) in std::mem::take(&mut self.entries) {
            if !filter.admits(&key) {
                changed.push(key);
            } else if let Some(spelt) = self.reserved.get(&key) {
                if entry.label != *spelt {
                    changed.push(key.clone());
                }
                let entry = entry.labelled(spelt);
                self.entries.insert(key, entry);
            } else {
                others.push((key, entry));
            }
        }
        others.sort_by_key(|(_, entry)| entry.order);
        self.taken = others.len().min(self.room);
        changed.extend(others.iter().skip(self.taken).map(|(key, _)| key.clone()));
        self.entries.extend(others.into_iter().take(self.taken));
        changed
    }

    /// Returns the label of a name that has a place.
    pub(super) fn own_label(&self, key: &str) -> Option<&str> {
        let label = self.entries.get(key).map(|entry| &entry.label);
        label.or_else(|| self.reserved.get(key)).map(AsRef::as_ref)
    }

    /// Returns the names whose newest backup is to be looked up, first those that are spelt out.
    pub(super) fn due_for_lookup(&self, now: i64) -> impl Iterator<Item = &str> {
        let is_due = move |entry: &NameResults| entry.is_lookup_due(now);
        let reserved = self.reserved.keys().map(AsRef::as_ref);
        let reserved = reserved.filter(move |key| self.entries.get(*key).is_none_or(is_due));
        let others = self.others().filter(move |(_, entry)| is_due(entry));
        reserved.chain(others.map(|(key, _)| key))
    }

    /// Returns the names that have a place and are not spelt out.
    pub(super) fn others(&self) -> impl Iterator<Item = (&str, &NameResults)> {
        let others = self.entries.iter().filter(|(key, _)| !self.reserved.contains_key(*key));
        others.map(|(key, entry)| (key.as_ref(), entry))
    }

    /// Returns whether a name is spelt out or has results.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key) || self.reserved.contains_key(key)
    }

    /// Returns whether a name has a place, or would get one.
    pub(super) fn has_room_for(&self, key: &str) -> bool {
        self.has(key) || self.taken < self.room
    }

    /// Gives a name a place. Returns whether it is new, or `None` if there is no room.
    pub(super) fn assign(&mut self, key: &str, name: &str) -> Option<bool> {
        if self.entries.contains_key(key) {
            return Some(false);
        }
        let reserved = self.reserved.get(key);
        if reserved.is_none() {
            if self.taken >= self.room {
                return None;
            }
            self.taken += 1;
        }
        let entry = NameResults::new(reserved.map_or(name, AsRef::as_ref), self.count);
        self.count += 1;
        self.entries.insert(key.into(), entry);
        Some(true)
    }

    pub(super) fn remove(&mut self, key: &str) {
        if self.entries.remove(key).is_some() && !self.reserved.contains_key(key) {
            self.taken = self.taken.saturating_sub(1);
        }
    }

    /// Returns the label of a name: its own, or `other` if it has no room.
    pub(super) fn label<'a>(&'a self, key: &str, name: &'a str) -> &'a str {
        self.own_label(key).unwrap_or(if self.taken < self.room { name } else { OTHER })
    }
}
