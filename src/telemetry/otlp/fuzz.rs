//! Fuzz target of the increments on disk.

#![allow(clippy::expect_used, reason = "a fuzz target may panic")]

use std::collections::HashMap;

use super::delta::Delta;
#[cfg(test)]
use super::delta::Outgoing;

/// Restores increments. What was restored is the same when it is saved and restored again, and its requests, all in
/// doubt, stay.
pub(crate) fn increments(data: &[u8]) {
    let Ok(mut delta) = Delta::decode(data) else { return };
    let saved = delta.encode().expect("what was restored can be saved");
    let again = Delta::decode(&saved).expect("what was saved can be restored");
    assert_eq!(again.encode(), Some(saved));
    assert!(delta.series() + delta.outbox.len() <= data.len());
    let requests = delta.outbox.len();
    delta.settle(HashMap::new(), 0);
    assert_eq!(delta.outbox.len(), requests);
}

/// Returns increments as they are saved, with a request that waits.
#[cfg(test)]
pub(crate) fn saved() -> Vec<u8> {
    let mut delta = Delta::opened_at(1);
    delta.outbox.push(Outgoing::new(b"body".as_slice().into(), 3, Vec::new()));
    let saved = delta.encode().expect("it can be saved");
    [&[2], &saved[..]].concat()
}
