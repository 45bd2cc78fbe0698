//! Queries beside the collection, which neither fail nor delay it: those that are not answered are
//! repeated, less and less often.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::queries;
use super::walks::SharedLedger;
use crate::jobs::Ledger;
use crate::netbackup::{Error, Session};

const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest pause after a query that was not answered, cycles.
const MAX_PAUSE: u32 = 63;

/// The pause before queries are repeated.
#[derive(Debug, Default)]
pub(super) struct SideQueries {
    failures: u32,
    /// Cycles to go.
    pause: u32,
}

/// The server's answers, 0 where it lists no such job; `None` where it was not asked, or did not answer.
#[derive(Debug, Default)]
pub(super) struct Answers {
    highest_id: Option<i64>,
    /// The end of the oldest successful job.
    oldest: Option<i64>,
}

impl SideQueries {
    /// Asks for what the ledger lacks, except in the pause after a failure.
    pub(super) async fn ask(&mut self, session: &Session, ledger: &SharedLedger<'_>) -> Answers {
        let mut answers = Answers::default();
        let (lacks_highest, lacks_oldest) = {
            let progress = &ledger.lock().progress;
            (progress.ids.highest.is_none(), progress.gap.lacks_oldest_job())
        };
        if !lacks_highest && !lacks_oldest {
            return answers;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return answers;
        }
        let left = session.deadline().saturating_duration_since(Instant::now());
        let until = Instant::now() + TIMEOUT.min(left / 2);
        let site = session.client().site();
        let (highest, oldest) = (queries::highest_id(session), queries::oldest_success(session));
        (answers.highest_id, answers.oldest) = tokio::join!(
            within_if(lacks_highest, until, site, highest),
            within_if(lacks_oldest, until, site, oldest),
        );
        let answered = (answers.highest_id.is_some(), answers.oldest.is_some())
            == (lacks_highest, lacks_oldest);
        self.failures = if answered { 0 } else { self.failures.saturating_add(1) };
        // The first time, it is asked again in the next cycle.
        let doubled = 1_u32.checked_shl(self.failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.pause = (doubled - 1).min(MAX_PAUSE);
        answers
    }
}

async fn within_if(
    lacks: bool,
    until: Instant,
    site: &str,
    query: impl Future<Output = Result<Option<i64>, Error>>,
) -> Option<i64> {
    if !lacks {
        return None;
    }
    match timeout_at(until, query).await {
        Ok(Ok(answer)) => return Some(answer.unwrap_or(0)),
        Ok(Err(error)) => tracing::debug!(site, %error, "side request failed; retrying later"),
        Err(_) => tracing::debug!(site, "side request timed out; retrying later"),
    }
    None
}

impl Answers {
    /// Applies the answers to the ledger, if empty lists are known not to be forbidden ones.
    pub(super) fn apply(self, ledger: &mut Ledger, site: &str) {
        if let Some(id) = self.highest_id {
            ledger.progress.ids.highest.get_or_insert(id);
        }
        let Some(oldest) = self.oldest else { return };
        let lost = ledger.progress.gap.record(oldest);
        if !lost.is_zero() {
            tracing::warn!(
                site,
                seconds = lost.as_secs(),
                "gap: jobs that ended in this period may be uncounted because the server has \
                 purged them; keep the agent's downtime shorter than KEEP_JOBS_HOURS"
            );
        }
    }
}
