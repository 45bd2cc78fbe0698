//! A cycle: its queries run concurrently, so that none waits for another's failure; then the answers are
//! applied.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::backfill::BackfillStep;
use super::side_queries::Answers;
use super::walks::{SharedLedger, TimeBudget, WalkSummary};
use super::{Jobs, audit, lookup, queries};
use crate::collectors::collector::{Collected, Part};
use crate::jobs::{ChangeField, Ledger, Live};
use crate::metric::Samples;
use crate::netbackup::{Error, Query, Session};

/// The length of a step of the backfill if all else works: the next one follows at once.
const STEP: Duration = Duration::from_secs(5);

struct Fetched {
    live: Result<Live, Error>,
    field: ChangeField,
    changed: WalkSummary,
    late: WalkSummary,
    filled: BackfillStep,
    answers: Answers,
}

impl Fetched {
    fn rows(&self) -> usize {
        let live = self.live.as_ref().map_or(0, Live::len);
        live + self.changed.rows + self.late.rows + self.filled.rows
    }

    fn is_unfinished(&self) -> bool {
        self.changed.is_unfinished() || self.filled.unfinished
    }

    /// Returns whether the server lists no job at all.
    fn claims_emptiness(&self) -> bool {
        self.rows() == 0 && (self.live.is_ok() || self.changed.complete)
    }
}

impl Jobs {
    /// Runs the queries, applies the rows and saves. An error means that nothing at all is known.
    pub(super) async fn cycle(&mut self, session: &Session) -> Result<Collected, Error> {
        // A proof that comes after an empty answer says nothing of it: the permission may be new.
        let mut proven = std::mem::take(&mut self.proven);
        if !proven {
            let any = Query::all().limited(1);
            proven = queries::any(session, &any).await.unwrap_or_default();
        }
        // The queries that run concurrently are many: their state is not one of every caller.
        let Some(fetched) = Box::pin(self.fetch_changes(session)).await else {
            return Ok(Collected::default());
        };
        let filled = fetched.filled.pages > 0;
        let mut collected =
            Collected { unfinished: fetched.is_unfinished(), ..Collected::default() };
        if fetched.rows() > 0 {
            collected.permitted = Some(true);
        } else if fetched.claims_emptiness() {
            collected.permitted =
                queries::may_see_jobs(session).await.inspect_err(|_| self.backfill.discard())?;
            if collected.permitted.is_none() && !self.trusts_emptiness() {
                self.add_unknown(&mut collected);
                return Ok(collected);
            }
        }
        self.proven = collected.permitted == Some(true);
        collected.unfinished |= self.proven && !proven;
        let trusted = if self.proven { proven } else { fetched.claims_emptiness() };
        let (live, finished) = self.apply(session, fetched, trusted, &mut collected);
        // What was counted is on disk before anything else is asked; what these learn goes with the next save.
        if let (Some(ledger), Some(store)) = (&mut self.ledger, &mut self.store) {
            store.save(ledger).await;
        }
        if let (None, Some(ledger)) = (&finished, &mut self.ledger)
            && ledger.is_whole()
        {
            lookup::look_up(session, ledger).await;
            if filled {
                // The rest is asked by a run that follows at once, so that the samples of the window need not wait.
                collected.unfinished = true;
            } else {
                self.status_texts.ask(session, ledger).await;
                if let Some(interval) = self.settings.audit_interval {
                    audit::audit(session, &mut self.audit, ledger, interval).await;
                }
            }
        }
        self.add_parts(&mut collected, live, finished);
        Ok(collected)
    }

    async fn fetch_changes(&mut self, session: &Session) -> Option<Fetched> {
        let ledger = self.ledger.as_mut()?;
        let (changes, backfill, side_queries) =
            (&mut self.changes, &mut self.backfill, &mut self.side_queries);
        backfill.aim(ledger.next_backfill());
        for span in std::mem::take(&mut ledger.backfill.rereads) {
            backfill.add(span);
        }
        let (late_span, now) = (ledger.next_late_walk(), ledger.progress.now);
        let shared = SharedLedger::new(ledger, self.backup_sizes.as_ref());
        let failing = AtomicBool::new(false);
        let (begun, left) =
            (Instant::now(), session.deadline().saturating_duration_since(Instant::now()));
        let live = async {
            let live = queries::live(session).await;
            failing.fetch_or(live.is_err(), Ordering::Relaxed);
            live
        };
        let finished = async {
            let half = begun + left / 2;
            let budget = TimeBudget { until: half, at_most: half, failing: &failing };
            let (field, changed) = changes.read(session, &shared, &budget, now).await;
            let (mut late, mut answers) = (WalkSummary::default(), Answers::default());
            if changed.error.is_none() {
                if let Some(span) = late_span {
                    late = changes.read_late(session, &shared, field, span).await;
                }
                answers = side_queries.ask(session, &shared).await;
            }
            let fails = changed.error.is_some() || late.error.is_some();
            failing.fetch_or(fails, Ordering::Relaxed);
            (field, changed, late, answers)
        };
        // It does not wait for the changes: on a slow server each wait would delay the first window.
        let filled = async {
            let (until, at_most) = (begun + STEP, begun + left * 3 / 4);
            let budget = TimeBudget { until, at_most, failing: &failing };
            backfill.step(session, &shared, &budget).await
        };
        let (live, (field, changed, late, answers), filled) = tokio::join!(live, finished, filled);
        Some(Fetched { live, field, changed, late, filled, answers })
    }

    /// Returns whether an empty list whose permission is unproved is that of a quiet server.
    fn trusts_emptiness(&self) -> bool {
        self.ledger.as_ref().is_some_and(|ledger| ledger.has_met_jobs() && !ledger.expects_jobs())
    }

    /// Adds the parts of a cycle in which nothing tells an empty list from a forbidden one.
    fn add_unknown(&mut self, collected: &mut Collected) {
        self.backfill.discard();
        // Going on at once would read the same.
        collected.unfinished = false;
        let known = self.ledger.as_ref().is_some_and(Ledger::has_met_jobs);
        // Zeros would claim that nothing runs.
        let part = || if known { Part::Kept } else { Part::Fresh(Samples::new()) };
        collected.parts.extend([("live", part()), ("finished", part()), ("failures", part())]);
        self.add_kept(collected);
    }

    /// Applies what was read. Returns the errors of the live jobs and of the finished ones.
    fn apply(
        &mut self,
        session: &Session,
        fetched: Fetched,
        trusted: bool,
        collected: &mut Collected,
    ) -> (Option<Error>, Option<Error>) {
        let Fetched { live, field, changed, late, filled, answers } = fetched;
        let Some(ledger) = &mut self.ledger else { return (None, None) };
        let live = live.map(|live| ledger.apply_live(live)).err();
        // An empty list that may be forbidden does not prove that all was read.
        if trusted {
            answers.apply(ledger, session.client().site());
            if let (true, Some(span)) = (late.complete, ledger.progress.late_walk.left()) {
                ledger.progress.late_walk.advance(span.to);
            }
            if changed.complete {
                ledger.finish_walk(field);
            }
            if let Some(horizon) = self.backfill.take_covered() {
                ledger.finish_backfill(horizon);
                self.audit.request();
            }
        } else if filled.pages > 0 {
            self.backfill.discard();
        }
        // Beyond the window it is nice to have.
        let fill_error = filled.error.filter(|_| !ledger.cancel_backfill_beyond_window());
        // The window is complete as far as is known; these failures are reported nevertheless.
        collected.parts.extend(late.error.map(|error| ("late", Part::Failed(error))));
        collected.parts.extend(fill_error.map(|error| ("backfill", Part::Failed(error))));
        (live, changed.error)
    }
}
