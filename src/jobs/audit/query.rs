//! The queries of an audit.

use std::time::Duration;

use crate::jobs::ledger::Ledger;
use crate::jobs::time::Span;

/// Slices of the window of which an audit reads one page each.
const SLICES: i64 = 6;

/// Rows of one page.
pub(super) const PAGE: usize = 100;

/// The share of a slice by which the page moves from one audit to the next: multiples of the golden
/// ratio never come back to the same place, and cover the slice evenly.
const STEP: f64 = 0.618_033_988_749_895;

/// A query of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuditQuery {
    /// The first page of the finished jobs that ended in this span, by the time of their end.
    Page(PageQuery),
    /// The number of finished jobs that ended in a span.
    Count(CountQuery),
}

/// A count of the finished jobs that ended in `(from, to]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CountQuery {
    /// `(from, to]`.
    pub(crate) span: Span,
    /// The span after it, and the server's count of both together.
    pub(super) rest: Option<(Span, usize)>,
}

/// A page to be read, and the span to be read again if it lacks jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageQuery {
    /// `(from, to]`.
    pub(crate) span: Span,
    pub(super) backfill: Span,
}

/// A finished job as the server lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its number.
    pub(crate) id: i64,
    /// Its end.
    pub(crate) end: i64,
    /// Its last change.
    pub(crate) changed: i64,
}

/// Returns a page of each slice of a window, at a place that moves from pass to pass, but never so far
/// that less than half a page of known jobs would follow.
pub(super) fn sample(ledger: &Ledger, window: Span, pass: u32) -> impl Iterator<Item = AuditQuery> {
    let length = (window.to - window.from) / SLICES;
    // In whole thousandths of the slice.
    let place = Duration::from_secs_f64((f64::from(pass) * STEP).fract()).subsec_millis();
    let shift = length / 1000 * i64::from(place);
    (0..SLICES).map(move |slice| {
        let from = window.from + length * slice;
        let to = if slice + 1 == SLICES { window.to } else { from + length };
        let slice = Span { from, to };
        let span = Span { from: (from + shift).min(last_page(ledger, slice)), to };
        AuditQuery::Page(PageQuery { span, backfill: slice })
    })
}

/// Returns the time in the span after which half a page of its jobs ended; its beginning, if it has no
/// more than a page.
fn last_page(ledger: &Ledger, span: Span) -> i64 {
    let rank = |count: usize| (count > PAGE).then(|| count - PAGE / 2 - 1);
    ledger.finished().nth_end(span, rank).unwrap_or(span.from)
}
