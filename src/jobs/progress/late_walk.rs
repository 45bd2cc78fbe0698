//! The late walk: reads a span before the watermark again, for rows that became visible late.

use crate::jobs::time::Span;

/// Length of the span that is read again, and time from the start of one late walk to the next, ms.
const LENGTH: i64 = 600_000;
const INTERVAL: i64 = 300_000;

/// The state of the late walk. Times are the server's, Unix ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LateWalk {
    /// Due at once: after a start, or after the server's clock was set back.
    Due {
        /// The rest of a walk that was interrupted.
        left: Option<Span>,
    },
    /// Under way, possibly over several cycles.
    Running {
        began: i64,
        /// The span that is not read yet.
        left: Span,
    },
    Finished {
        began: i64,
    },
}

impl LateWalk {
    /// Returns the span to be read up to `to`, if a walk is due or under way.
    pub(super) fn next(&mut self, now: i64, watermark: i64, to: i64) -> Option<Span> {
        let from = match *self {
            // It keeps its span, so that it can continue from a cursor.
            Self::Running { left, .. } => return Some(left),
            Self::Finished { began } if began <= now && now - began < INTERVAL => return None,
            // What became visible since the last walk began may have been missed by it.
            Self::Finished { began } => (watermark - LENGTH).min(began - INTERVAL),
            Self::Due { left } => left.map_or(i64::MAX, |left| left.from).min(watermark - LENGTH),
        };
        let left = Span { from, to };
        *self = Self::Running { began: now, left };
        Some(left)
    }

    pub(crate) fn left(&self) -> Option<Span> {
        match *self {
            Self::Due { left } => left,
            Self::Running { left, .. } => Some(left),
            Self::Finished { .. } => None,
        }
    }

    /// Records that everything before `reached` was read.
    pub(crate) fn advance(&mut self, reached: i64) {
        let rest = |left: Span| {
            (reached < left.to).then_some(Span { from: left.from.max(reached), to: left.to })
        };
        *self = match *self {
            Self::Due { left } => Self::Due { left: left.and_then(rest) },
            Self::Running { began, left } => match rest(left) {
                Some(left) => Self::Running { began, left },
                None => Self::Finished { began },
            },
            Self::Finished { began } => Self::Finished { began },
        };
    }

    pub(super) fn make_due(&mut self) {
        *self = Self::Due { left: self.left() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_walk_keeps_its_span_until_it_is_read() {
        let mut walk = LateWalk::Due { left: None };
        let whole = Span { from: 1_000_000 - LENGTH, to: 970_000 };
        assert_eq!(walk.next(1_000_000, 1_000_000, 970_000), Some(whole));
        walk.advance(500_000);
        let rest = Span { from: 500_000, ..whole };
        assert_eq!(walk.next(1_060_000, 1_060_000, 1_030_000), Some(rest));
        walk.advance(whole.to);
        assert_eq!(walk, LateWalk::Finished { began: 1_000_000 });
        assert_eq!(walk.next(1_000_000 + INTERVAL - 1, 1_200_000, 1_170_000), None);
        // From where the last one began, or further back.
        let next = walk.next(1_000_000 + 10 * INTERVAL, 4_000_000, 3_970_000);
        assert_eq!(next, Some(Span { from: 1_000_000 - INTERVAL, to: 3_970_000 }));
    }

    #[test]
    fn clock_set_back_reschedules_the_late_walk() {
        let mut walk =
            LateWalk::Running { began: 900_000, left: Span { from: 100_000, to: 800_000 } };
        walk.make_due();
        assert_eq!(walk.next(850_000, 850_000, 820_000), Some(Span { from: 100_000, to: 820_000 }));
        walk.advance(820_000);
        assert!(walk.next(840_000, 850_000, 820_000).is_some(), "began in the future");
    }
}
