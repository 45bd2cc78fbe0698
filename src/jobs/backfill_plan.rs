//! The spans of endTime that are to be read backwards.

use super::progress::SLACK;
use super::time::Span;

/// Spans to be read, Unix ms.
#[derive(Debug, Default)]
pub(crate) struct BackfillPlan {
    /// The horizon that a backfill under way is to reach.
    pub(super) goal: Option<i64>,
    /// Spans to be read again although they are covered.
    pub(crate) rereads: Vec<Span>,
}

impl BackfillPlan {
    /// Returns the span to be read, if the finished jobs after `horizon` are fewer than those after
    /// `needed`, or a backfill is under way. It reaches further than needed: the window moves on.
    pub(super) fn next(&mut self, needed: i64, horizon: i64) -> Option<Span> {
        if needed < horizon {
            let goal = self.goal.filter(|goal| *goal <= needed);
            self.goal = Some(goal.unwrap_or_else(|| needed.saturating_sub(SLACK)));
        }
        self.goal.filter(|from| *from < horizon).map(|from| Span { from, to: horizon })
    }

    /// Ends the backfill if the horizon has reached its goal.
    pub(super) fn reached(&mut self, horizon: i64) {
        self.goal = self.goal.filter(|goal| *goal < horizon);
    }

    /// Requests the span `(from, to]` of endTime to be read again, although it is covered. A completion
    /// found there counts once, if it is unknown and ended after the ledger began.
    pub(crate) fn reread(&mut self, span: Span) {
        if span.from < span.to && !self.rereads.contains(&span) {
            self.rereads.push(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backfill_keeps_its_goal_until_the_window_needs_more() {
        let mut backfill = BackfillPlan::default();
        assert_eq!(backfill.next(100, 50), None);
        assert_eq!(backfill.next(100, 200), Some(Span { from: 100 - SLACK, to: 200 }));
        assert_eq!(backfill.next(90, 80), Some(Span { from: 100 - SLACK, to: 80 }));
        let more = 50 - SLACK;
        assert_eq!(backfill.next(more, 80), Some(Span { from: more - SLACK, to: 80 }));
        backfill.reached(more - SLACK);
        assert_eq!(backfill.goal, None);
    }
}
