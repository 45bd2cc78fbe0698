//! Asks what an audit of the ledger wants to know. Optional in every respect: a question that fails ends
//! the audit until later, and nothing else.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::walks;
use crate::jobs::audit::{Audit, CountQuestion, Listed, PageQuestion, Question, Verdict};
use crate::jobs::{ChangeField, Ledger, Span};
use crate::netbackup::wire::jobs::{JOBS, JobRow};
use crate::netbackup::{CursorPager, Error, Query, Session};

/// Time that an audit may take of one cycle; it goes on in the next.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks for an audit that is under way or due and has the ledger read again
/// what it lacked twice.
pub(super) async fn audit(session: &Session, audit: &mut Audit, ledger: &mut Ledger) {
    let until = Instant::now() + AUDIT_TIMEOUT;
    while let Some(question) = audit.next(ledger) {
        let Ok(answered) = tokio::time::timeout_at(until, ask(session, question)).await else {
            // A question that takes longer than all of the time would never be answered.
            audit.postpone();
            return;
        };
        match answered {
            Ok(Answer::Page(rows, whole)) => audit.page(ledger, &rows, whole),
            Ok(Answer::Count(count)) => audit.count(ledger, count),
            Err(error) => {
                let site = session.client().site();
                tracing::debug!(site, %error, "job ledger audit postponed");
                audit.failed();
                return;
            }
        }
        if let Some(verdict) = audit.finish(ledger, SystemTime::now()) {
            conclude(session.client().site(), ledger, &verdict);
        }
    }
}

enum Answer {
    Page(Vec<Listed>, bool),
    Count(Option<usize>),
}

async fn ask(session: &Session, question: Question) -> Result<Answer, Error> {
    match question {
        Question::Page(question) => page(session, question).await,
        Question::Count(question) => Ok(Answer::Count(count(session, question).await)),
    }
}

async fn page(session: &Session, question: PageQuestion) -> Result<Answer, Error> {
    let query = Query::filtered(finished(question.span)).sorted(ChangeField::End.property());
    let mut walk = CursorPager::new(session, &JOBS, &query);
    let mut rows = Vec::new();
    if let Some(page) = walk.next_page::<JobRow<'_>>().await? {
        let listed = page.rows.iter().filter_map(|row| {
            let end = row.end_time?;
            Some(Listed { id: row.job_id, end, changed: row.last_update_time.unwrap_or(end) })
        });
        rows.extend(listed);
    }
    Ok(Answer::Page(rows, walk.is_done()))
}

/// Returns the server's count; `None` where it has none: the question is a POST, which a proxy may block.
async fn count(session: &Session, question: CountQuestion) -> Option<usize> {
    let count = session.job_count(&finished(question.span)).await.ok()?;
    usize::try_from(count).ok()
}

fn finished(span: Span) -> String {
    walks::finished(ChangeField::End, ("gt", span.from), Some(("le", span.to)))
}

fn conclude(site: &str, ledger: &mut Ledger, verdict: &Verdict) {
    if verdict.standing.is_empty() {
        tracing::debug!(site, difference = verdict.difference, "job ledger audited");
        return;
    }
    tracing::warn!(
        site,
        jobs = verdict.difference,
        example = verdict.example,
        "the server lists jobs that the job ledger lacks, for the second time; re-reading that \
         part of the window; please report this with the surrounding log"
    );
    for span in &verdict.standing {
        ledger.reread(*span);
    }
}
