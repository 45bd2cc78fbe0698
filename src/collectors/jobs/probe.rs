//! Tells an empty list of jobs from a forbidden one.

use serde::de::IgnoredAny;

use super::queries::LIVE;
use crate::netbackup::wire::jobs::JOBS;
use crate::netbackup::{Error, ErrorKind, Query, Session};

/// Returns whether a list of jobs has any.
pub(super) async fn any(session: &Session, query: &Query) -> Result<bool, Error> {
    let rows = session.get(&JOBS, query).await?.list::<IgnoredAny>()?;
    Ok(!rows.is_empty())
}

/// Returns whether the role of the key may see jobs, where all lists that were asked for are empty.
/// An empty list and a forbidden one both answer 200 with no data
/// (docs/netbackup-api.md#jobs-empty-without-permission). Any row of the list without a filter is
/// proof; where there is none, the count of jobs takes the same permission and does fail without
/// it. `None` where neither tells.
///
/// # Errors
///
/// If the permission is missing.
pub(super) async fn probe(session: &Session) -> Result<Option<bool>, Error> {
    match any(session, &Query::all().limited(1)).await {
        Ok(true) => return Ok(Some(true)),
        Ok(false) => {}
        Err(error) => {
            tracing::debug!(site = session.client().site(), %error, "cannot tell from the list of all jobs whether the API key may read jobs");
            return Ok(None);
        }
    }
    count(session).await
}

/// Asks for the number of live jobs, of which the list shows none.
pub(super) async fn count(session: &Session) -> Result<Option<bool>, Error> {
    let error = match session.job_count(LIVE).await {
        Ok(0) => return Ok(Some(true)),
        Ok(count) => {
            // One may have begun in between.
            match any(session, &Query::filtered(LIVE).limited(1)).await {
                Ok(true) => return Ok(Some(true)),
                Ok(false) => {}
                Err(_) => return Ok(None),
            }
            let detail = format!(
                "the job list is empty, but the server counts {count} jobs: the API key's role \
                 may read none of them"
            );
            return Err(session.forbidden(&JOBS, &detail));
        }
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::Unauthorized | ErrorKind::Forbidden => Err(session.forbidden(
            &JOBS,
            "the job list is empty, and the server refuses to count jobs: the API key's role \
             lacks the permission",
        )),
        // Read-only proxies and policies may block a POST, and a question that is not needed may fail.
        _ => {
            tracing::debug!(site = session.client().site(), %error, "cannot tell from the job count whether the API key may read jobs");
            Ok(None)
        }
    }
}
