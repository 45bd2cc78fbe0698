//! What is known, as records for the disk: one for each name, and one for what is counted.

use super::Lasts;
use super::entry::Entry;

/// A key, and what belongs there; `None` where it is to be removed.
type Change = (Vec<u8>, Option<Vec<u8>>);

/// Begins the key of a name.
const NAME: u8 = b'n';

/// The key of the count of jobs whose names had no room.
const FOLDED: &[u8] = b"folded";

/// A record that cannot be read: damaged, or written by another version.
#[derive(Debug, thiserror::Error)]
#[error("a record of last jobs cannot be read")]
pub struct Unreadable;

impl Lasts {
    /// The records that changed since the last call.
    pub fn drain_changes(&mut self) -> Vec<Change> {
        let changed = std::mem::take(&mut self.changed);
        let mut changes: Vec<Change> = Vec::with_capacity(changed.len() + 1);
        for key in changed {
            match self.entries.get(&key) {
                // What cannot be encoded does not exist; should it, the old record stays.
                Some(entry) => changes.extend(encoded(&key, entry).map(|(key, v)| (key, Some(v)))),
                None => changes.push((key_of(&key), None)),
            }
        }
        if std::mem::take(&mut self.folded_changed) {
            changes.push((FOLDED.to_vec(), Some(self.folded.to_le_bytes().to_vec())));
        }
        changes
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
    /// Where the record cannot be read; nothing of it is taken.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        if key == FOLDED {
            self.folded = u64::from_le_bytes(value.try_into().map_err(|_| Unreadable)?);
            return Ok(());
        }
        let key = key.split_first().filter(|(kind, _)| **kind == NAME).ok_or(Unreadable)?.1;
        let key = std::str::from_utf8(key).map_err(|_| Unreadable)?;
        let saved: Entry = postcard::from_bytes(value).map_err(|_| Unreadable)?;
        let admitted = self.selection.admits_key(key);
        let place = if admitted { self.entry(key, &saved.label) } else { None };
        match place {
            Some(entry) => {
                // The rules may spell it otherwise by now.
                let label = entry.label.clone();
                let changed = label != saved.label;
                *entry = Entry { order: entry.order, ..saved.labelled(&label) };
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

fn encoded(key: &str, entry: &Entry) -> Option<(Vec<u8>, Vec<u8>)> {
    Some((key_of(key), postcard::to_allocvec(entry).ok()?))
}
