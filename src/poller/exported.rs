//! The samples that a collector exports, part by part, until they are stale.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::collectors::Part;
use crate::metric::{Family, Samples};
use crate::netbackup::Error;

/// Samples of one part of a collector.
pub(super) struct ExportedPart {
    pub(super) families: Arc<Vec<Family>>,
    /// Start of the totals among them, if they remember it themselves.
    pub(super) origin: Option<SystemTime>,
    collected: Instant,
}

/// Samples of one collector.
#[derive(Default)]
pub(super) struct Exported {
    parts: BTreeMap<&'static str, ExportedPart>,
    /// The samples are kept at any age, until a run that is due has ended.
    pub(super) hold_expiry: bool,
}

impl Exported {
    /// Takes the parts of a run that succeeded. Returns the errors of the others, and the number of
    /// duplicate series that were dropped.
    pub(super) fn replace(&mut self, parts: Vec<(&'static str, Part)>) -> (Vec<Error>, usize) {
        self.parts.retain(|part, _| parts.iter().any(|(named, _)| named == part));
        let mut errors = Vec::new();
        let mut duplicates = 0;
        for (name, part) in parts {
            match part {
                Part::Fresh(samples) => duplicates += self.insert(name, samples, None),
                Part::Totals(samples, origin) => {
                    duplicates += self.insert(name, samples, Some(origin));
                }
                Part::Failed(error) => errors.push(error),
                Part::Kept => {}
            }
        }
        (errors, duplicates)
    }

    fn insert(
        &mut self,
        name: &'static str,
        samples: Samples,
        origin: Option<SystemTime>,
    ) -> usize {
        let (families, duplicates) = samples.finish();
        // Shared with the last snapshot if nothing changed, so that it is not rendered again.
        let same = self.parts.remove(name).filter(|part| *part.families == families);
        let families = same.map_or_else(|| Arc::new(families), |part| part.families);
        self.parts.insert(name, ExportedPart { families, origin, collected: Instant::now() });
        duplicates
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
    pub(super) fn parts(&self) -> impl Iterator<Item = (&'static str, &ExportedPart)> {
        self.parts.iter().map(|(name, part)| (*name, part))
    }

    pub(super) fn series(&self) -> usize {
        let families = self.parts.values().flat_map(|part| part.families.iter());
        families.map(|family| family.points.len()).sum()
    }
}
