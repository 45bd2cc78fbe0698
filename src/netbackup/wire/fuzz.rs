//! Fuzz targets of pages and of times.

#![allow(clippy::unwrap_used, reason = "a fuzz target may panic")]

use std::sync::OnceLock;

use jiff::Timestamp;

use super::job_count::JobCount;
use super::jobs::JobRow;
use super::list::{decode_list, decode_page_repaired, last_cursor, read_page, server_message};
use super::page::Record;
use super::status_code::StatusCode;
use super::timestamp;

/// Decodes a page of jobs. The fast way and that of serde_json agree, a repair loses nothing, and no row comes from
/// nowhere.
pub(crate) fn page(data: &[u8]) {
    let fast = read_page::<JobRow<'_>>(data);
    let slow = decode_list::<Record<'_, JobRow<'_>>>(data).map(super::list::List::into_page);
    match (&fast, &slow) {
        (Ok(fast), Ok(slow)) => {
            assert_eq!(fast.rows, slow.rows);
            assert_eq!((fast.unreadable, fast.total), (slow.unreadable, slow.total));
            assert_eq!(fast.pagination, slow.pagination);
            assert!(fast.received() <= data.len());
        }
        (fast, slow) => assert_eq!(fast.as_ref().err(), slow.as_ref().err()),
    }
    let repaired = OnceLock::new();
    let repaired = decode_page_repaired::<JobRow<'_>>(data, &repaired);
    if let Ok(page) = fast {
        assert!(repaired.unwrap().rows.len() >= page.rows.len());
    }
    assert!(last_cursor(data).is_none_or(|cursor| cursor.len() <= data.len()));
    assert!(server_message(data).is_none_or(|message| message.len() <= data.len() + 40));
    if let Ok(code) = serde_json::from_slice::<StatusCode<'_>>(data) {
        assert!(code.message().is_none_or(|message| message.len() <= data.len()));
    }
    if let Ok(count) = serde_json::from_slice::<JobCount<'_>>(data) {
        assert!(count.count() >= 0);
    }
}

/// Reads a time. It is after 1970, and the same when it is written and read again.
pub(crate) fn timestamp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(ms) = timestamp::parse(text) else { return };
    assert!(ms > 0);
    let written = Timestamp::from_millisecond(ms).unwrap().to_string();
    assert_eq!(timestamp::parse(&written), Some(ms), "{written}");
}
