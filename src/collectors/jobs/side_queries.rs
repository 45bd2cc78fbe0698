//! Questions beside the collection, which must neither fail nor delay it: what is not answered is asked
//! again.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::walks;
use crate::jobs::Ledger;
use crate::netbackup::{Error, Session};

/// How long all of them may take in one cycle.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most cycles that questions rest after one that was not answered.
const MOST_REST: u32 = 63;

/// When questions are asked again.
#[derive(Debug, Default)]
pub(super) struct SideQueries {
    failures: u32,
    /// Cycles to go.
    rest: u32,
}

/// What the server answered.
#[derive(Debug, Clone, Copy, Default)]
enum Answer {
    /// Nothing, or it was not asked.
    #[default]
    Owed,
    /// The value of a job, if it lists any.
    Is(Option<i64>),
}

/// What the server answered to all questions.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The highest number of a job that it lists.
    highest_id: Answer,
    /// The end of the oldest successful job that it lists.
    oldest: Answer,
}

/// What a ledger is to be told.
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
    /// Asks for what the ledger lacks, unless it was not answered lately.
    pub(super) async fn ask(&mut self, session: &Session, lacking: Lacking) -> Answers {
        let mut answers = Answers::default();
        if !lacking.highest_id && !lacking.oldest {
            return answers;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return answers;
        }
        let left = session.deadline().saturating_duration_since(Instant::now());
        let until = Instant::now() + TIMEOUT.min(left / 2);
        let site = session.client().site();
        if lacking.highest_id {
            answers.highest_id = within(until, site, walks::highest_id(session)).await;
        }
        if lacking.oldest {
            answers.oldest = within(until, site, walks::oldest_success(session)).await;
        }
        let owes = |lacks: bool, answer| lacks && matches!(answer, Answer::Owed);
        let answered =
            !owes(lacking.highest_id, answers.highest_id) && !owes(lacking.oldest, answers.oldest);
        self.failures = if answered { 0 } else { self.failures.saturating_add(1) };
        // The first time, it is asked again in the next cycle.
        let doubled = 1_u32.checked_shl(self.failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.rest = (doubled - 1).min(MOST_REST);
        answers
    }
}

async fn within(
    until: Instant,
    site: &str,
    question: impl Future<Output = Result<Option<i64>, Error>>,
) -> Answer {
    match timeout_at(until, question).await {
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
    /// Tells the ledger. An empty list counts where it is known not to be a forbidden one.
    pub(super) fn tell(self, ledger: &mut Ledger, site: &str) {
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
