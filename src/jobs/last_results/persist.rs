//! What is known, as records for the disk: one for each name, and one for what is counted.

use std::collections::BTreeSet;

use super::name_results::NameResults;
use super::{LastResults, format};

/// A key, and what belongs there; `None` where it is to be removed.
type Change = (Vec<u8>, Option<Vec<u8>>);

/// Begins the key of a name.
const NAME: u8 = b'n';

/// The key of the count of jobs whose names had no room.
const FOLDED: &[u8] = b"folded";

/// A record that cannot be read: damaged, or written by another version.
#[derive(Debug, thiserror::Error)]
#[error("cannot read a record of last results")]
pub struct Unreadable;

/// The names that differ from the disk.
#[derive(Debug, Default)]
pub struct LastResultChanges {
    names: BTreeSet<Box<str>>,
    folded: bool,
}

impl LastResults {
    /// Returns the records that changed since they were handed over last.
    pub fn changed_records(&self) -> impl Iterator<Item = Change> {
        let names = self.changed.iter().filter_map(|key| match self.entries.get(key) {
            // What cannot be encoded does not exist; should it, the old record stays.
            Some(entry) => encoded(key, entry).map(|(key, value)| (key, Some(value))),
            None => Some((key_of(key), None)),
        });
        let folded = self
            .folded_changed
            .then(|| (FOLDED.to_vec(), Some(self.folded.to_le_bytes().to_vec())));
        names.chain(folded)
    }

    /// Hands over the names that changed; what changes from here on is remembered.
    pub fn hand_over(&mut self) -> LastResultChanges {
        let folded = std::mem::take(&mut self.folded_changed);
        LastResultChanges { names: std::mem::take(&mut self.changed), folded }
    }

    /// Takes back what was handed over and did not reach the disk.
    pub fn take_back(&mut self, changes: LastResultChanges) {
        self.changed.extend(changes.names);
        self.folded_changed |= changes.folded;
    }

    /// Begins to count jobs whose names had no room at 0.
    pub fn restart_folded(&mut self) {
        self.folded = 0;
    }

    /// All records.
    pub fn all_records(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let names = self.entries.iter().filter_map(|(key, entry)| encoded(key, entry));
        let folded =
            (self.folded > 0).then(|| (FOLDED.to_vec(), self.folded.to_le_bytes().to_vec()));
        names.chain(folded)
    }

    /// A record was removed after it was written.
    pub fn forget(&mut self, key: &[u8]) {
        let key = key.split_first().and_then(|(_, key)| std::str::from_utf8(key).ok());
        if let Some(key) = key
            && self.entries.remove(key).is_some()
            && !self.reserved.contains_key(key)
        {
            self.taken -= 1;
        }
    }

    /// Takes a record back, before anything else is recorded. One of a name that is no longer
    /// selected, or has no room, is dropped, and is among the changes as removed.
    ///
    /// # Errors
    ///
    /// If the record cannot be read; nothing of it is taken.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        if key == FOLDED {
            self.folded = u64::from_le_bytes(value.try_into().map_err(|_| Unreadable)?);
            return Ok(());
        }
        let key = key.split_first().filter(|(kind, _)| **kind == NAME).ok_or(Unreadable)?.1;
        let key = std::str::from_utf8(key).map_err(|_| Unreadable)?;
        let saved = format::decode(value).ok_or(Unreadable)?;
        let admitted = self.filter.admits_key(key);
        let place = if admitted { self.entry(key, &saved.label) } else { None };
        match place {
            Some(entry) => {
                // The rules may spell it otherwise by now.
                let label = entry.label.clone();
                let changed = label != saved.label;
                *entry = NameResults { order: entry.order, ..saved.labelled(&label) };
                if changed {
                    self.changed.insert(key.into());
                }
            }
            None => {
                self.changed.insert(key.into());
            }
        }
        Ok(())
    }
}

fn key_of(name: &str) -> Vec<u8> {
    let mut key = vec![NAME];
    key.extend_from_slice(name.as_bytes());
    key
}

fn encoded(key: &str, entry: &NameResults) -> Option<(Vec<u8>, Vec<u8>)> {
    Some((key_of(key), format::encode(entry)?))
}

#[cfg(test)]
impl LastResults {
    /// Returns the records that changed, as if they were written at once.
    pub(super) fn drain_changes(&mut self) -> Vec<Change> {
        let changes = self.changed_records().collect();
        self.hand_over();
        changes
    }
}
