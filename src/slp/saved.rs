//! The sizes, and the images that are replicated, as they are on disk. Postcard does not describe itself: a new field is a new version.

use serde::{Deserialize, Serialize};

use super::image_id::ImageId;
use super::replication::Seat;
use super::sizes::{Entry, MAX_SIZES, Size, Sizes};

/// The version of this format, the first byte.
const VERSION: u8 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct SavedV1 {
    sizes: Vec<SavedSize>,
    outgoing: Vec<SavedOutgoing>,
}

/// An image that its site replicates.
#[derive(Debug, Serialize, Deserialize)]
struct SavedOutgoing {
    image: u64,
    slp: String,
    backup_time: i64,
    replicated: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedSize {
    image: u64,
    kilobytes: Option<u64>,
    tries: u8,
    since: i64,
    pending: bool,
}

/// The reason for which saved sizes are of no use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotUsable {
    #[error("a newer release wrote it (version {0})")]
    Newer(u8),
    #[error("it is corrupt")]
    Corrupt,
}

/// Returns the content of the file; `None` if it cannot be made.
pub(crate) fn to_bytes(sizes: &Sizes, seat: &Seat) -> Option<Vec<u8>> {
    let saved = sizes.entries.iter().map(|(id, entry)| {
        let (kilobytes, tries) = match entry.size {
            Size::Kilobytes(kilobytes) => (Some(kilobytes), 0),
            Size::Missing(tries) => (None, tries),
        };
        SavedSize { image: id.0, kilobytes, tries, since: entry.since, pending: entry.pending }
    });
    let outgoing = seat.saved().into_iter().map(|(id, slp, backup_time, replicated)| {
        SavedOutgoing { image: id.0, slp: slp.to_string(), backup_time, replicated }
    });
    let saved = SavedV1 { sizes: saved.collect(), outgoing: outgoing.collect() };
    postcard::to_extend(&saved, vec![VERSION]).ok()
}

/// Adds what a file has to what is known.
///
/// # Errors
///
/// If a newer release wrote it, or it is corrupt.
pub(crate) fn from_bytes(bytes: &[u8], sizes: &mut Sizes, seat: &Seat) -> Result<(), NotUsable> {
    let (version, bytes) = bytes.split_first().ok_or(NotUsable::Corrupt)?;
    match *version {
        VERSION => {}
        0 => return Err(NotUsable::Corrupt),
        newer => return Err(NotUsable::Newer(newer)),
    }
    let saved: SavedV1 = postcard::from_bytes(bytes).map_err(|_| NotUsable::Corrupt)?;
    if saved.sizes.len() > MAX_SIZES {
        return Err(NotUsable::Corrupt);
    }
    sizes.restore(saved.sizes.into_iter().map(|saved| {
        let size = saved.kilobytes.map_or(Size::Missing(saved.tries), Size::Kilobytes);
        (ImageId(saved.image), Entry { size, since: saved.since, pending: saved.pending })
    }));
    seat.restore(saved.outgoing.into_iter().map(|saved| {
        (ImageId(saved.image), saved.slp.into(), saved.backup_time, saved.replicated)
    }));
    Ok(())
}
