//! Fuzz target of paging.

use std::collections::HashSet;

use serde::de::IgnoredAny;

use super::Positions;
use super::cursor::Cursors;
use super::offset::Offsets;
use crate::netbackup::wire::read_page;

/// Reads lists whose pages are separated by NULs; the first byte chooses between cursors and offsets, and the limit. No
/// page is asked for twice, so that each list ends.
pub(crate) fn paging(data: &[u8]) {
    let Some((choice, pages)) = data.split_first() else { return };
    let limit = u32::from(choice >> 1) + 1;
    if choice & 1 == 0 { walk::<Cursors>(pages, limit) } else { walk::<Offsets>(pages, limit) }
}

fn walk<P: Positions>(pages: &[u8], limit: u32) {
    let (mut positions, mut position) = (P::default(), P::Position::default());
    let mut requested = HashSet::new();
    for body in pages.split(|byte| *byte == 0) {
        let request = P::parameter(&position);
        assert!(requested.insert(request.clone()), "{request:?} is asked for twice");
        let Ok(page) = read_page::<IgnoredAny>(body) else { return };
        match positions.next(&position, &page, body, limit) {
            Ok(Some(next)) => position = next,
            Ok(None) | Err(_) => return,
        }
    }
}
