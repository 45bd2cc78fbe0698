//! Times as OTLP has them: nanoseconds, which fit into 64 bits until the year 2554.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns a duration in nanoseconds.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns a time as nanoseconds since 1970; 0 for one before.
pub(super) fn unix_nanos(time: SystemTime) -> u64 {
    nanos(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}
