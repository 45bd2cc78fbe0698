//! Keys of the records of last results: one record for each name, and one for the folded jobs.

use std::collections::BTreeSet;

/// Begins the key of a name.
const NAME: u8 = b'n';

/// The key of the folded jobs.
const FOLDED: &[u8] = b"folded";

/// A record that cannot be read: damaged, or written by another version.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read a record of last results")]
pub(in crate::jobs) struct Unreadable;

/// Changes since the last save.
#[derive(Debug, Default)]
pub(in crate::jobs) struct LastResultChanges {
    /// Keys of names whose results differ from those on disk.
    pub(super) names: BTreeSet<Box<str>>,
    /// The number of folded jobs differs from that on disk.
    pub(super) folded: bool,
}

/// The key of a record.
pub(super) enum RecordKey<'k> {
    Name(&'k str),
    Folded,
}

impl<'k> RecordKey<'k> {
    pub(super) fn parse(key: &'k [u8]) -> Option<Self> {
        if key == FOLDED {
            return Some(Self::Folded);
        }
        let (_, name) = key.split_first().filter(|(kind, _)| **kind == NAME)?;
        Some(Self::Name(std::str::from_utf8(name).ok()?))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Name(name) => [&[NAME], name.as_bytes()].concat(),
            Self::Folded => FOLDED.to_vec(),
        }
    }
}
