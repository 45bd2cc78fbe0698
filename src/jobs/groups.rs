//! Series in groups, so that what changed costs only the series of its group.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use super::row::Actions;
use crate::metric::{Family, Samples, SeriesGroups};

/// Things with series, by key, each always in the same group until there are too many or too few for so many
/// groups.
#[derive(Debug)]
pub(super) struct Groups<K> {
    /// Keys of a group, about.
    size: usize,
    /// Empty while nothing is known of the keys.
    all: Vec<Group<K>>,
    /// Keys that changed, came or went since the last refresh.
    changed: BTreeSet<K>,
    /// Those that the series show.
    actions: Actions,
}

#[derive(Debug)]
struct Group<K> {
    keys: BTreeSet<K>,
    families: Arc<Vec<Family>>,
    is_stale: bool,
}

impl<K: Ord + Clone> Groups<K> {
    pub(super) fn of_size(size: usize) -> Self {
        Self { size, all: Vec::new(), changed: BTreeSet::new(), actions: Actions::default() }
    }

    /// Notes that something changed, came or went.
    pub(super) fn mark(&mut self, key: K) {
        if !self.all.is_empty() {
            self.changed.insert(key);
        }
    }

    /// Notes that anything may have changed.
    pub(super) fn mark_all(&mut self) {
        self.all.clear();
        self.changed.clear();
    }

    /// Returns the series of each group, those of groups in which nothing changed as they were, unless the
    /// actions did. `all` are the keys there are; `place` returns what keys of one group have in common; `record` adds the series of keys, and
    /// removes those that have none any more.
    pub(super) fn refresh<P: Hash>(
        &mut self,
        actions: &Actions,
        all: impl ExactSizeIterator<Item = K>,
        place: impl Fn(&K) -> Option<P>,
        record: impl Fn(&mut BTreeSet<K>, &mut Samples),
    ) -> SeriesGroups {
        if self.actions != *actions {
            self.actions = actions.clone();
            self.mark_all();
        }
        let (count, room) = (all.len(), self.all.len() * self.size);
        if count > 2 * room || count < room / 4 || room == 0 {
            let groups = count.div_ceil(self.size).next_power_of_two();
            self.all.clear();
            self.all.resize_with(groups, Group::default);
            self.changed = all.collect();
        }
        for key in std::mem::take(&mut self.changed) {
            let group = place(&key).and_then(|common| group_of(&common, self.all.len()));
            if let Some(group) = group.and_then(|group| self.all.get_mut(group)) {
                group.keys.insert(key);
                group.is_stale = true;
            }
        }
        for group in self.all.iter_mut().filter(|group| group.is_stale) {
            let mut samples = Samples::new();
            record(&mut group.keys, &mut samples);
            // What keys have in common tells the series of two groups apart.
            group.families = Arc::new(samples.finish().0);
            group.is_stale = false;
        }
        self.all.iter().map(|group| Arc::clone(&group.families)).collect()
    }
}

impl<K> Default for Group<K> {
    fn default() -> Self {
        Self { keys: BTreeSet::new(), families: Arc::default(), is_stale: false }
    }
}

/// Returns the group of a key among so many; `None` if there is none.
pub(super) fn group_of(key: &impl Hash, groups: usize) -> Option<usize> {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let hash = usize::try_from(hasher.finish() >> 32).unwrap_or_default();
    hash.checked_rem(groups)
}
