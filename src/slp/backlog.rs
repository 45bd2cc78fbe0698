//! The images of one round of walks: each once, as it was seen last.

use std::collections::HashMap;

use super::image_id::ImageId;
use super::import::Import;
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

/// The operation that copies an image to another primary server, and that of the other server.
const REPLICATE: &str = "REPLICATE_TO_REMOTE_MASTER";
const IMPORT: &str = "IMPORT";

/// States of a replication after which the image is at the other server.
const SENT: [&str; 4] = ["COPYCOMPLETE", "IMPORTS_DONE", "IMPORT_PENDING", "IMPORT_FAILED"];

/// States of a replication that nobody waits for.
const GIVEN_UP: [&str; 2] = ["NOT_MANAGED", "CANCELLED"];

/// Servers whose names are kept.
const MAX_ORIGINS: usize = 100;

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
    /// The server that made it, of a replica.
    pub(crate) origin: Option<&'r str>,
    /// The row has a time of its import.
    pub(crate) has_import_time: bool,
    pub(crate) copies: Vec<Copy<'r>>,
}

impl Image<'_> {
    /// Returns whether all replications to other primary servers are complete; `None` where there is none.
    pub(crate) fn is_replicated(&self) -> Option<bool> {
        let copies = self.copies.iter().filter(|copy| copy.operation == REPLICATE);
        let mut wanted = copies.filter(|copy| !GIVEN_UP.contains(&copy.state)).peekable();
        wanted.peek()?;
        Some(wanted.all(|copy| SENT.contains(&copy.state)))
    }

    /// Returns how far the import of a replica is.
    pub(crate) fn import(&self) -> Import {
        let copy = self.copies.iter().find(|copy| copy.operation == IMPORT);
        match copy.map(|copy| copy.state) {
            Some("COPYCOMPLETE" | "IMPORTS_DONE") => Import::Done,
            Some("IMPORT_FAILED") => Import::Failed,
            None if self.has_import_time => Import::Done,
            _ => Import::Waits,
        }
    }

    fn transfer(&self, labels: &mut Labels) -> Sides {
        match (self.origin, self.is_replicated()) {
            (Some(origin), _) => Sides::In(labels.origins.place(origin), self.import()),
            (None, Some(replicated)) => Sides::Out(replicated),
            (None, None) => Sides::None,
        }
    }
}

/// The part of an image in replication between sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sides {
    None,
    /// True if all its replications are complete.
    Out(bool),
    /// The place of the name of its origin.
    In(u16, Import),
}

/// An image that takes part in replication between sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfer<'r> {
    Out { slp: &'r str, backup_time: i64, replicated: bool },
    In { origin: &'r str, import: Import },
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
    pub(super) sides: Sides,
    pub(super) copies: Box<[PendingCopy]>,
}

/// Names of SLPs, operations and states. They keep their places from round to round.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    pub(super) slps: Names,
    pub(super) operations: Names,
    pub(super) states: Names,
    pub(super) origins: Names,
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
        let [slps, operations, states, origins] =
            [MAX_SLPS, MAX_WORDS, MAX_WORDS, MAX_ORIGINS].map(Names::new);
        Self { labels: Labels { slps, operations, states, origins }, images: HashMap::new() }
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
        let sides = image.transfer(labels);
        let (backup_time, expiration) = (image.backup_time, image.expiration);
        let copies = copies.into_boxed_slice();
        let image_now = PendingImage { slp, backup_time, expiration, cataloged, sides, copies };
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

    /// Returns the images that take part in replication between sites. SLPs without a name of their own do not.
    pub(super) fn transfers(&self) -> impl Iterator<Item = (ImageId, Transfer<'_>)> {
        self.images.iter().filter_map(|(id, image)| {
            let transfer = match image.sides {
                Sides::Out(replicated) if image.slp > 0 => Transfer::Out {
                    slp: self.labels.slps.name(image.slp),
                    backup_time: image.backup_time?,
                    replicated,
                },
                Sides::In(origin, import) => {
                    Transfer::In { origin: self.labels.origins.name(origin), import }
                }
                Sides::Out(_) | Sides::None => return None,
            };
            Some((*id, transfer))
        })
    }
}
