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
    entries: BTreeMap<Box<str>, NameResults>,
    /// The number of names that ever had a place.
    count: u64,
}

impl Places {
    /// Reserves places for the names that a filter spells out, of at most `limit` in all.
    pub(super) fn reserve(&mut self, filter: &NameFilter, limit: usize) {
        let literals = filter.keyed_literals().take(limit);
        self.reserved = literals.map(|(key, spelt)| (key.into(), spelt.into())).collect();
        self.room = limit.saturating_sub(self.reserved.len());
    }

    /// Applies another filter and limit. Names that are still selected, and have room, keep their
    /// results. Returns the keys of all others, and of those that are spelt otherwise now.
    pub(super) fn reconfigure(&mut self, filter: &NameFilter, limit: usize) -> Vec<Box<str>> {
        self.reserve(filter, limit);
        let (mut changed, mut others) = (Vec::new(), Vec::new());
        for (key, entry) in std::mem::take(&mut self.entries) {
            if !filter.admits_key(&key) {
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

    pub(super) fn get(&self, key: &str) -> Option<&NameResults> {
        self.entries.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut NameResults> {
        self.entries.get_mut(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &NameResults)> {
        self.entries.iter().map(|(key, entry)| (key.as_ref(), entry))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut NameResults)> {
        self.entries.iter_mut().map(|(key, entry)| (key.as_ref(), entry))
    }

    /// Returns the spelling of a name that is spelt out.
    pub(super) fn reserved(&self, key: &str) -> Option<&str> {
        self.reserved.get(key).map(AsRef::as_ref)
    }

    /// Returns the keys of the names that are spelt out, with their results if they have any.
    pub(super) fn all_reserved(&self) -> impl Iterator<Item = (&str, Option<&NameResults>)> {
        self.reserved.keys().map(|key| (key.as_ref(), self.entries.get(key)))
    }

    /// Returns the names that have a place and are not spelt out.
    pub(super) fn others(&self) -> impl Iterator<Item = (&str, &NameResults)> {
        self.iter().filter(|(key, _)| !self.reserved.contains_key(*key))
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

    /// Removes the results of a name.
    pub(super) fn remove(&mut self, key: &str) {
        if self.entries.remove(key).is_some() && !self.reserved.contains_key(key) {
            self.taken = self.taken.saturating_sub(1);
        }
    }

    /// Returns the label of a name: its own, or `other` if it has no room.
    pub(super) fn label<'a>(&'a self, key: &str, name: &'a str) -> &'a str {
        let known = self.entries.get(key).map(|entry| entry.label.as_ref());
        let known = known.or_else(|| self.reserved(key));
        known.unwrap_or(if self.taken < self.room { name } else { OTHER })
    }
}
