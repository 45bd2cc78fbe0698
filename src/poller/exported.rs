//! The samples that a collector exports, part by part, until they are stale.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::collectors::Part;
use crate::metric::{Family, SeriesGroups};
use crate::netbackup::Error;

/// Samples of one part of a collector.
pub(super) struct ExportedPart {
    pub(super) families: Arc<Vec<Family>>,
    /// Start of the totals among them, if they remember it themselves.
    pub(super) origin: Option<SystemTime>,
    collected: Instant,
}

impl ExportedPart {
    /// Replaces it. The samples stay shared with the last snapshot if nothing changed, so that they are not rendered
    /// again.
    fn renew(&mut self, fresh: Self) {
        let before = std::mem::replace(self, fresh);
        let is_same = Arc::ptr_eq(&before.families, &self.families);
        if !is_same && before.families == self.families {
            self.families = before.families;
        }
    }
}

/// Samples of one collector.
#[derive(Default)]
pub(super) struct Exported {
    /// By name, and number among the groups of that name.
    parts: BTreeMap<(&'static str, usize), ExportedPart>,
    /// The samples are kept at any age, until a run that is due has ended.
    pub(super) hold_expiry: bool,
}

impl Exported {
    /// Takes the parts of a run that succeeded. Returns the errors of the others, and the number of
    /// duplicate series that were dropped.
    pub(super) fn replace(&mut self, parts: Vec<(&'static str, Part)>) -> (Vec<Error>, usize) {
        self.parts.retain(|(part, _), _| parts.iter().any(|(named, _)| named == part));
        let mut errors = Vec::new();
        let mut duplicates = 0;
        for (name, part) in parts {
            match part {
                Part::Fresh(samples) => {
                    let (families, dropped) = samples.finish();
                    duplicates += dropped;
                    self.insert(name, vec![Arc::new(families)], None);
                }
                Part::Groups(groups) => self.insert(name, groups, None),
                Part::Totals(groups, origin) => self.insert(name, groups, Some(origin)),
                Part::Failed(error) => errors.push(error),
                Part::Kept => {}
            }
        }
        (errors, duplicates)
    }

    fn insert(&mut self, name: &'static str, groups: SeriesGroups, origin: Option<SystemTime>) {
        let collected = Instant::now();
        let gone = self.parts.range((name, groups.len())..).map(|(place, _)| *place);
        let gone: Vec<_> = gone.take_while(|(part, _)| *part == name).collect();
        for place in gone {
            self.parts.remove(&place);
        }
        for (group, families) in groups.into_iter().enumerate() {
            let fresh = ExportedPart { families, origin, collected };
            match self.parts.entry((name, group)) {
                Entry::Vacant(place) => _ = place.insert(fresh),
                Entry::Occupied(mut place) => place.get_mut().renew(fresh),
            }
        }
    }

    /// Returns when the next samples are stale, if any will be.
    pub(super) fn next_expiry(&self, stale_after: Duration) -> Option<Instant> {
        let oldest = self.parts.values().map(|part| part.collected).min();
        oldest.filter(|_| !self.hold_expiry).map(|collected| collected + stale_after)
    }

    /// Drops stale samples. Returns whether there were any.
    pub(super) fn expire(&mut self, stale_after: Duration) -> bool {
        let (now, before) = (Instant::now(), self.parts.len());
        if !self.hold_expiry {
            self.parts.retain(|_, part| part.collected + stale_after > now);
        }
        self.parts.len() < before
    }

    /// Returns the parts in order of their names.
    pub(super) fn parts(&self) -> impl Iterator<Item = ((&'static str, usize), &ExportedPart)> {
        self.parts.iter().map(|(place, part)| (*place, part))
    }

    pub(super) fn series(&self) -> usize {
        let families = self.parts.values().flat_map(|part| part.families.iter());
        families.map(|family| family.points.len()).sum()
    }
}
