//! What happens again and again: images, scans and alerts are made anew every 36 hours, so that a world
//! that lives for long has as many of the last 24 hours as a young one.

use fastrand::Rng;

/// 36 hours in milliseconds: two thirds of what recurs is of the last 24 hours.
const PERIOD: i64 = 36 * 3_600_000;

/// When in the period something happens.
pub(crate) fn phase(rng: &mut Rng) -> i64 {
    rng.i64(0..PERIOD)
}

/// When it happened last, in world time.
pub(crate) fn latest(phase: i64, now: i64) -> i64 {
    now - (now - phase).rem_euclid(PERIOD)
}
