//! Reading a span backwards: in slices that are read beside each other, in turns, so that live
//! numbers go on and progress is seen.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::walks::{self, Shared};
use crate::jobs::Span;
use crate::netbackup::{Error, Session};

/// Slices that are read at once; the server's budget of requests holds all the same.
const SLICES: i64 = 4;

/// How long a turn takes, the page under way not counted.
const TURN: Duration = Duration::from_secs(5);

/// A span that is being read.
#[derive(Debug)]
pub(super) struct Fill {
    pub(super) span: Span,
    /// What is left of each slice.
    slices: Vec<Span>,
    started: Instant,
    rows: usize,
    pages: u32,
}

/// What one turn came to.
#[derive(Debug)]
pub(super) struct Turn {
    /// Why it did not go on.
    pub(super) error: Option<Error>,
    pub(super) rows: usize,
    pub(super) unreadable: usize,
}

impl Fill {
    pub(super) fn new(span: Span) -> Self {
        let length = span.to - span.from;
        let edge = |slice: i64| span.from + length * slice / SLICES;
        let slices = (0..SLICES).map(|slice| Span { from: edge(slice), to: edge(slice + 1) });
        Self { span, slices: slices.collect(), started: Instant::now(), rows: 0, pages: 0 }
    }

    /// How much of it is read, 0 to 1, by time.
    pub(super) fn progress(&self) -> f64 {
        let left: i64 = self.slices.iter().map(|slice| slice.to - slice.from).sum();
        let all = (self.span.to - self.span.from).max(1);
        1.0 - left as f64 / all as f64
    }

    /// All of it is read.
    pub(super) fn is_complete(&self) -> bool {
        self.slices.iter().all(|slice| slice.from >= slice.to)
    }

    /// Reads on for a while.
    pub(super) async fn turn(
        &mut self,
        session: &Session,
        ledger: &Shared<'_>,
        site: &str,
    ) -> Turn {
        let until = Instant::now() + TURN;
        let left = self.slices.iter_mut().filter(|slice| slice.from < slice.to);
        let walks = left.map(|slice| walks::filled(session, ledger, slice, until));
        let walked = join_all(walks).await;
        let (rows, pages) = walked
            .iter()
            .fold((0, 0), |(rows, pages), walk| (rows + walk.rows, pages + walk.pages));
        self.rows += rows;
        self.pages += pages;
        let unreadable = walked.iter().map(|walk| walk.unreadable).sum();
        // A slice that failed is taken up in the next cycle, where it stood.
        let error = walked.into_iter().find_map(|walk| walk.error);
        self.tell(site);
        Turn { error, rows, unreadable }
    }

    fn tell(&self, site: &str) {
        let (jobs, pages) = (self.rows, self.pages);
        let seconds = self.started.elapsed().as_secs_f64();
        let seconds = (seconds * 10.0).round() / 10.0;
        if self.is_complete() {
            tracing::info!(site, jobs, pages, seconds, "the window of jobs is read");
        } else {
            let percent = (self.progress() * 100.0).floor();
            tracing::info!(site, percent, jobs, pages, seconds, "reading the window of jobs");
        }
    }
}
