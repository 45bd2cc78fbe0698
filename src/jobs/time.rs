//! Times and spans of time. A server's times are Unix ms, by its own clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A span of the server's time, Unix ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first instant; of a window, the last one before it.
    pub from: i64,
    /// The last instant; of a late walk or a gap, the first one after it.
    pub to: i64,
}

impl Span {
    /// Returns whether a time is in `(from, to]`.
    pub(super) const fn contains(self, time: i64) -> bool {
        self.from < time && time <= self.to
    }
}

pub(super) fn ms(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

/// Returns a time as Unix ms; 0 for one before 1970.
pub(super) fn to_unix_ms(time: SystemTime) -> i64 {
    ms(time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO))
}

pub(super) fn from_unix_ms(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
