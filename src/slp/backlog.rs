//! The images of one round of walks: each once, as it was seen last.

use std::collections::HashMap;

use super::image_id::ImageId;
use super::names::Names;

/// SLPs that have metrics of their own; further ones together as `other`.
const MAX_SLPS: usize = 500;

/// Operations and states that are told apart. The vendor's are 10 and 16; unknown ones are carried.
const MAX_WORDS: usize = 40;

/// States of a copy that is done, or never was to be made (docs/netbackup-api.md#slp-images).
const DONE: [&str; 5] = ["NOT_MANAGED", "COPYCOMPLETE", "IMPORTS_DONE", "CANCELLED", "JOBCOMPLETE"];

/// The state of a copy that waits by design.
const DEFERRED: &str = "DEFERRED";

/// Operations that bring an image into the catalogue.
const FIRST: [&str; 3] = ["BACKUP", "SNAPSHOT", "IMPORT"];

/// The operation of an image of which no copy waits or runs, though it is not complete: NetBackup has not planned its
/// copies yet.
const UNPLANNED: &str = "UNPLANNED";

/// A copy of an image, as a row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copy<'r> {
    /// copyType.
    pub(crate) operation: &'r str,
    /// copyState.
    pub(crate) state: &'r str,
    /// retryCount is over 0.
    pub(crate) retrying: bool,
}

/// An image that is not complete, as a row has it. Times are Unix ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image<'r> {
    pub(crate) id: ImageId,
    pub(crate) slp: &'r str,
    /// slpImageState.
    pub(crate) state: &'r str,
    pub(crate) backup_time: Option<i64>,
    /// `None` for never.
    pub(crate) expiration: Option<i64>,
    pub(crate) copies: Vec<Copy<'r>>,
}

/// A copy that waits or runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PendingCopy {
    /// Places in the names.
    pub(super) operation: u16,
    pub(super) state: u16,
    pub(super) retrying: bool,
    /// It waits by design.
    pub(super) deferred: bool,
}

/// An image that is not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PendingImage {
    pub(super) slp: u16,
    pub(super) backup_time: Option<i64>,
    pub(super) expiration: Option<i64>,
    /// Its backup, or its import, has ended: the catalogue knows its size.
    pub(super) cataloged: bool,
    pub(super) copies: Box<[PendingCopy]>,
}

/// Names of SLPs, operations and states. They keep their places from round to round.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    pub(super) slps: Names,
    pub(super) operations: Names,
    pub(super) states: Names,
}

/// The images that were seen in the walks of a round.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    pub(super) labels: Labels,
    pub(super) images: HashMap<ImageId, PendingImage>,
}

impl Round {
    /// Makes a round without images, the first one.
    pub(crate) fn first() -> Self {
        let [slps, operations, states] = [MAX_SLPS, MAX_WORDS, MAX_WORDS].map(Names::new);
        Self { labels: Labels { slps, operations, states }, images: HashMap::new() }
    }

    /// Makes the round after this one, without images.
    pub(crate) fn next(&self) -> Self {
        Self { labels: self.labels.clone(), images: HashMap::with_capacity(self.images.len()) }
    }

    /// Adds an image, or replaces it by what it is now: it may move between the lists of two walks.
    pub(crate) fn add(&mut self, image: &Image<'_>) {
        let labels = &mut self.labels;
        let waits = || image.copies.iter().filter(|copy| !DONE.contains(&copy.state));
        let cataloged = !waits().any(|copy| FIRST.contains(&copy.operation));
        let mut copies: Vec<PendingCopy> = waits()
            .map(|copy| PendingCopy {
                operation: labels.operations.place(copy.operation),
                state: labels.states.place(copy.state),
                retrying: copy.retrying,
                deferred: copy.state == DEFERRED,
            })
            .collect();
        if copies.is_empty() {
            copies.push(PendingCopy {
                operation: labels.operations.place(UNPLANNED),
                state: labels.states.place(image.state),
                retrying: false,
                deferred: false,
            });
        }
        let slp = labels.slps.place(image.slp);
        let (backup_time, expiration) = (image.backup_time, image.expiration);
        let copies = copies.into_boxed_slice();
        let image_now = PendingImage { slp, backup_time, expiration, cataloged, copies };
        self.images.insert(image.id, image_now);
    }

    pub(crate) fn contains(&self, id: ImageId) -> bool {
        self.images.contains_key(&id)
    }

    /// Returns the ids and backup times of the images that the catalogue has.
    pub(crate) fn cataloged(&self) -> impl Iterator<Item = (ImageId, i64)> {
        let cataloged = self.images.iter().filter(|(_, image)| image.cataloged);
        cataloged.filter_map(|(id, image)| Some((*id, image.backup_time?)))
    }
}
