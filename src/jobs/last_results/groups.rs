//! Series of names in groups, so that a name that changed costs only the series of its group.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::metrics;
use super::name_results::NameResults;
use super::subject::Subject;
use crate::jobs::row::Actions;
use crate::metric::{Family, Samples};

/// Names of a group, about: a name has some twenty series.
const GROUP_SIZE: usize = 16;

/// The series of all names of a subject. A name is always in the same group, until there are too many or too few
/// names for so many groups.
#[derive(Debug, Default)]
pub(super) struct NameGroups {
    /// Empty while nothing is known of the names.
    groups: Vec<Group>,
    /// Those of the series.
    actions: Actions,
}

#[derive(Debug, Default)]
struct Group {
    keys: BTreeSet<Box<str>>,
    families: Arc<Vec<Family>>,
    is_stale: bool,
}

impl NameGroups {
    /// Notes that a name changed, came or went.
    pub(super) fn mark(&mut self, key: &str) {
        if let Some(group) = group_of(key, self.groups.len()).and_then(|at| self.groups.get_mut(at))
        {
            group.keys.insert(key.into());
            group.is_stale = true;
        }
    }

    /// Notes that anything may have changed.
    pub(super) fn mark_all(&mut self) {
        self.groups.clear();
    }

    /// Returns the series of each group, those of groups in which nothing changed as they were.
    pub(super) fn refresh<'g>(
        &'g mut self,
        subject: Subject,
        names: &BTreeMap<Box<str>, NameResults>,
        actions: &Actions,
    ) -> impl Iterator<Item = Arc<Vec<Family>>> + use<'g> {
        let (count, room) = (names.len(), self.groups.len() * GROUP_SIZE);
        if self.actions != *actions || count > 2 * room || count < room / 4 {
            self.actions = actions.clone();
            self.divide(names);
        }
        for group in self.groups.iter_mut().filter(|group| group.is_stale) {
            let mut samples = Samples::new();
            group.keys.retain(|key| {
                let entry = names.get(key);
                if let Some(entry) = entry {
                    let action = |job_type| actions.of(job_type);
                    metrics::record(subject, entry, &action, &mut samples);
                }
                entry.is_some()
            });
            // No two names have one label.
            group.families = Arc::new(samples.finish().0);
            group.is_stale = false;
        }
        self.groups.iter().map(|group| Arc::clone(&group.families))
    }

    fn divide(&mut self, names: &BTreeMap<Box<str>, NameResults>) {
        let groups = names.len().div_ceil(GROUP_SIZE).next_power_of_two();
        self.groups.clear();
        self.groups.resize_with(groups, || Group { is_stale: true, ..Group::default() });
        for key in names.keys() {
            self.mark(key);
        }
    }
}

/// Returns the group of a name among so many; `None` if there is none.
pub(in crate::jobs) fn group_of(key: &str, groups: usize) -> Option<usize> {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let hash = usize::try_from(hasher.finish() >> 32).unwrap_or_default();
    hash.checked_rem(groups)
}
