//! Queries beside the collection, which neither fail nor delay it: those that are not answered are
//! repeated, less and less often.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::queries;
use crate::jobs::Ledger;
use crate::netbackup::{Error, Session};

/// The limit of all queries of one cycle.
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

/// The server's answer.
#[derive(Debug, Clone, Copy, Default)]
enum Answer {
    /// None, or it was not asked.
    #[default]
    Owed,
    /// The value of a job, if it lists any.
    Is(Option<i64>),
}

/// The server's answers.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The highest number of a job that it lists.
    highest_id: Answer,
    /// The end of the oldest successful job that it lists.
    oldest: Answer,
}

/// The answers that a ledger lacks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lacking {
    highest_id: bool,
    oldest: bool,
}

impl Lacking {
    pub(super) fn of(ledger: &Ledger) -> Self {
        Self { highest_id: ledger.lacks_highest_id(), oldest: ledger.lacks_oldest_job() }
    }
}

impl SideQueries {
    /// Asks for what the ledger lacks, except in the pause after a failure.
    pub(super) async fn ask(&mut self, session: &Session, lacking: Lacking) -> Answers {
        let mut answers = Answers::default();
        if !lacking.highest_id && !lacking.oldest {
            return answers;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return answers;
        }
        let left = session.deadline().saturating_duration_since(Instant::now());
        let until = Instant::now() + TIMEOUT.min(left / 2);
        let site = session.client().site();
        if lacking.highest_id {
            answers.highest_id = within(until, site, queries::highest_id(session)).await;
        }
        if lacking.oldest {
            answers.oldest = within(until, site, queries::oldest_success(session)).await;
        }
        let owes = |lacks: bool, answer| lacks && matches!(answer, Answer::Owed);
        let answered =
            !owes(lacking.highest_id, answers.highest_id) && !owes(lacking.oldest, answers.oldest);
        self.failures = if answered { 0 } else { self.failures.saturating_add(1) };
        // The first time, it is asked again in the next cycle.
        let doubled = 1_u32.checked_shl(self.failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.pause = (doubled - 1).min(MAX_PAUSE);
        answers
    }
}

async fn within(
    until: Instant,
    site: &str,
    query: impl Future<Output = Result<Option<i64>, Error>>,
) -> Answer {
    match timeout_at(until, query).await {
        Ok(Ok(answer)) => Answer::Is(answer),
        Ok(Err(error)) => {
            tracing::debug!(site, %error, "side request failed; retrying later");
            Answer::Owed
        }
        Err(_) => {
            tracing::debug!(site, "side request timed out; retrying later");
            Answer::Owed
        }
    }
}

impl Answers {
    /// Applies the answers to the ledger, if empty lists are known not to be forbidden ones.
    pub(super) fn apply(self, ledger: &mut Ledger, site: &str) {
        if let Answer::Is(id) = self.highest_id {
            ledger.learn_highest_id(id.unwrap_or(0));
        }
        let Answer::Is(oldest) = self.oldest else { return };
        let lost = ledger.record_gap(oldest);
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
