//! Fuzz target of the sizes on disk.

#![allow(clippy::expect_used, reason = "a fuzz target may panic")]

use super::exchange::Exchange;
use super::replication::Seat;
use super::saved::{from_bytes, to_bytes};
use super::sizes::Sizes;

/// Restores sizes. What was restored is the same when it is saved and restored again.
pub(crate) fn sizes(data: &[u8]) {
    let restore = |bytes: &[u8]| {
        let (mut sizes, seat) = (Sizes::default(), Seat::take_at(&Exchange::default(), "site"));
        from_bytes(bytes, &mut sizes, &seat).ok()?;
        let saved = to_bytes(&sizes, &seat).expect("what was restored can be saved");
        Some((saved.len(), sizes.len()))
    };
    let Some(restored) = restore(data) else { return };
    let (mut sizes, seat) = (Sizes::default(), Seat::take_at(&Exchange::default(), "site"));
    assert_eq!(from_bytes(data, &mut sizes, &seat), Ok(()));
    let saved = to_bytes(&sizes, &seat).expect("what was restored can be saved");
    assert_eq!(restore(&saved), Some(restored), "the order of a map is not kept");
    assert!(sizes.len() <= data.len());
}
