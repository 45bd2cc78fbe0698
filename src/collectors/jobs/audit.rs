//! Runs the queries of an audit of the ledger. They are optional: one that fails ends the audit until
//! later, and nothing else.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::queries;
use crate::jobs::audit::{Audit, AuditQuery, AuditResult, CountQuery, Listed, PageQuery};
use crate::jobs::{ChangeField, Ledger, Span};
use crate::netbackup::wire::jobs::{JOBS, JobRow};
use crate::netbackup::{CursorPager, Error, Query, Session};

/// Time that an audit may take of one cycle; it goes on in the next.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks for an audit that is under way or due and has the ledger read again
/// what it lacked twice.
pub(super) async fn audit(session: &Session, audit: &mut Audit, ledger: &mut Ledger) {
    let until = Instant::now() + AUDIT_TIMEOUT;
    while let Some(query) = audit.next(ledger) {
        let Ok(answered) = tokio::time::timeout_at(until, ask(session, query)).await else {
            // A query that takes longer than all of the time would never be answered.
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
        if let Some(result) = audit.finish(ledger, SystemTime::now()) {
            conclude(session.client().site(), ledger, &result);
        }
    }
}

enum Answer {
    Page(Vec<Listed>, bool),
    Count(Option<usize>),
}

async fn ask(session: &Session, query: AuditQuery) -> Result<Answer, Error> {
    match query {
        AuditQuery::Page(query) => page(session, query).await,
        AuditQuery::Count(query) => Ok(Answer::Count(count(session, query).await)),
    }
}

async fn page(session: &Session, query: PageQuery) -> Result<Answer, Error> {
    let query = Query::filtered(finished(query.span)).sorted(ChangeField::End.property());
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

/// Returns the server's count; `None` where it has none: the query is a POST, which a proxy may block.
async fn count(session: &Session, query: CountQuery) -> Option<usize> {
    let count = session.job_count(&finished(query.span)).await.ok()?;
    usize::try_from(count).ok()
}

fn finished(span: Span) -> String {
    queries::finished(ChangeField::End, ("gt", span.from), Some(("le", span.to)))
}

fn conclude(site: &str, ledger: &mut Ledger, result: &AuditResult) {
    if result.standing.is_empty() {
        tracing::debug!(site, difference = result.difference, "job ledger audited");
        return;
    }
    tracing::warn!(
        site,
        jobs = result.difference,
        example = result.example,
        "the server lists jobs that the job ledger lacks, for the second time; re-reading that \
         part of the window; please report this with the surrounding log"
    );
    for span in &result.standing {
        ledger.reread(*span);
    }
}
