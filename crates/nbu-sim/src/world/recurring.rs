//! Recurring events: images, scans and alerts are made again every 36 hours, so that a world that
//! runs for long has as many of the last 24 hours as a new one.

use fastrand::Rng;

/// 36 hours in milliseconds: two thirds of what recurs is of the last 24 hours.
const PERIOD: i64 = 36 * 3_600_000;

/// Draws the offset of an event in the period.
pub(crate) fn phase(rng: &mut Rng) -> i64 {
    rng.i64(0..PERIOD)
}

/// Returns the time of the last occurrence, in world time.
pub(crate) fn latest(phase: i64, now: i64) -> i64 {
    now - (now - phase).rem_euclid(PERIOD)
}
