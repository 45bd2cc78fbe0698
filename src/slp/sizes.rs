//! Sizes of backups, by a digest of the backup id. A size waits until a walk sees its image under an SLP, and stays
//! until the image is complete.

use std::collections::HashMap;

use super::backlog::Round;
use super::image_id::ImageId;

/// Sizes that are kept.
pub(super) const MAX_SIZES: usize = 200_000;

/// Time that a size waits for its image to be seen under an SLP, s. The server plans copies within minutes; a walk of
/// a long backlog takes hours.
const WAITS: i64 = 36 * 3600;

/// Times that an image is looked for in the catalogue.
const MAX_TRIES: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Kilobytes(u64),
    /// The catalogue did not have it so many times.
    Missing(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) size: Size,
    /// The time when it came, Unix s by the agent's clock.
    pub(super) since: i64,
    /// Its image was seen under an SLP.
    pub(super) pending: bool,
}

/// Sizes of backups.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    pub(super) entries: HashMap<ImageId, Entry>,
    /// Something changed since the last save was begun.
    changed: bool,
}

impl Sizes {
    /// Adds the size of a backup. `now` is Unix seconds.
    pub(crate) fn note(&mut self, id: ImageId, kilobytes: u64, now: i64) {
        let size = Size::Kilobytes(kilobytes);
        match self.entries.get_mut(&id) {
            Some(entry) if entry.size == size => {}
            Some(entry) => {
                entry.size = size;
                self.changed = true;
            }
            None => self.insert(id, Entry { size, since: now, pending: false }),
        }
    }

    /// Records that the catalogue does not have an image.
    pub(crate) fn note_missing(&mut self, id: ImageId, now: i64) {
        match self.entries.get_mut(&id).map(|entry| &mut entry.size) {
            Some(Size::Missing(tries)) => *tries = tries.saturating_add(1),
            Some(Size::Kilobytes(_)) => return,
            None => self.insert(id, Entry { size: Size::Missing(1), since: now, pending: true }),
        }
        self.changed = true;
    }

    fn insert(&mut self, id: ImageId, entry: Entry) {
        if self.entries.len() >= MAX_SIZES {
            self.make_room();
        }
        if self.entries.len() < MAX_SIZES {
            self.entries.insert(id, entry);
            self.changed = true;
        }
    }

    /// Drops the older half of the sizes that wait: their images are most likely under no SLP.
    fn make_room(&mut self) {
        let waiting = self.entries.values().filter(|entry| !entry.pending);
        let mut times: Vec<i64> = waiting.map(|entry| entry.since).collect();
        if times.is_empty() {
            return;
        }
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let oldest = *median;
        self.entries.retain(|_, entry| entry.pending || entry.since > oldest);
    }

    /// Returns the size of an image in bytes, if it is known.
    pub(crate) fn bytes(&self, id: ImageId) -> Option<u64> {
        match self.entries.get(&id)?.size {
            Size::Kilobytes(kilobytes) => Some(kilobytes.saturating_mul(1024)),
            Size::Missing(_) => None,
        }
    }

    /// Returns whether the catalogue is worth a question about an image.
    pub(crate) fn is_wanted(&self, id: ImageId) -> bool {
        match self.entries.get(&id).map(|entry| entry.size) {
            Some(Size::Kilobytes(_)) => false,
            Some(Size::Missing(tries)) => tries < MAX_TRIES,
            None => true,
        }
    }

    /// Applies a round that is complete: drops the sizes of images that are complete, and those that waited too long.
    pub(crate) fn settle(&mut self, round: &Round, now: i64) {
        let before = self.entries.len();
        let mut changed = false;
        self.entries.retain(|id, entry| {
            let pending = round.contains(*id);
            changed |= pending != entry.pending;
            let was = std::mem::replace(&mut entry.pending, pending);
            // A clock that was set back makes nothing older.
            entry.since = entry.since.min(now);
            pending || (!was && now - entry.since < WAITS)
        });
        self.changed |= changed || self.entries.len() < before;
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds what was saved, where nothing newer is known.
    pub(super) fn restore(&mut self, saved: impl Iterator<Item = (ImageId, Entry)>) {
        for (id, entry) in saved {
            if self.entries.len() < MAX_SIZES {
                self.entries.entry(id).or_insert(entry);
            }
        }
    }

    /// Returns whether something changed since the last call.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Has the next save repeat what was not saved.
    pub(crate) fn mark_changed(&mut self) {
        self.changed = true;
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
