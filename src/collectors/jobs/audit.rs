//! Runs the queries of an audit of the ledger. They are optional: one that fails ends the audit until
//! later, and nothing else.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout_at};

use super::queries;
use crate::jobs::audit::{Audit, AuditQuery, AuditResult, Listed, PageQuery};
use crate::jobs::{ChangeField, Ledger, Span};
use crate::netbackup::wire::jobs::{JOBS, JobRow};
use crate::netbackup::{CursorPager, Error, Query, Session};

/// Time that an audit may take of one cycle; it goes on in the next.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks for an audit that is under way or due, and has the ledger read again what it lacked twice.
pub(super) async fn audit(
    session: &Session,
    audit: &mut Audit,
    ledger: &mut Ledger,
    interval: Duration,
) {
    let (until, site) = (Instant::now() + AUDIT_TIMEOUT, session.client().site());
    while let Some(query) = audit.next(ledger, interval) {
        match timeout_at(until, ask(session, query, audit, ledger)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(site, %error, "job ledger audit postponed");
                audit.failed();
                return;
            }
            Err(_) => {
                // A query that takes longer than all of the time would never be answered.
                audit.postpone();
                return;
            }
        }
        if let Some(result) = audit.finish(ledger, SystemTime::now()) {
            conclude(site, ledger, &result);
        }
    }
}

async fn ask(
    session: &Session,
    query: AuditQuery,
    audit: &mut Audit,
    ledger: &Ledger,
) -> Result<(), Error> {
    match query {
        AuditQuery::Page(PageQuery { span, .. }) => {
            let query = Query::filtered(finished(span)).sorted(ChangeField::End.property());
            let mut walk = CursorPager::new(session, &JOBS, &query);
            let mut rows = Vec::new();
            if let Some(page) = walk.next_page::<JobRow<'_>>().await? {
                rows.extend(page.rows.iter().filter_map(|row| {
                    let end = row.end_time?;
                    let changed = row.last_update_time.unwrap_or(end);
                    Some(Listed { id: row.job_id, end, changed })
                }));
            }
            audit.page(ledger, &rows, walk.is_done());
        }
        AuditQuery::Count { span, .. } => {
            // It is a POST, which a proxy may block.
            let count = session.job_count(&finished(span)).await.ok();
            audit.count(ledger, count.and_then(|count| usize::try_from(count).ok()));
        }
    }
    Ok(())
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
        ledger.backfill.reread(*span);
    }
}
