//! Tells an empty list of jobs from a forbidden one.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::LIVE;
use crate::netbackup::wire::jobs::JOBS;
use crate::netbackup::{Error, ErrorKind, Query, Session};

/// Whether a list of jobs has any.
pub(super) async fn any(session: &Session, query: &Query) -> Result<bool, Error> {
    let body = session.get(&JOBS, query).await?;
    Ok(!body.read::<AnyPage>()?.data.is_empty())
}

/// A page of which only matters whether it has rows.
#[derive(Deserialize)]
struct AnyPage {
    #[serde(default)]
    data: Vec<IgnoredAny>,
}

/// An empty list and a forbidden one both answer 200 with no data (contract, section 1.2): the count
/// of jobs takes the same permission and does fail without it.
///
/// `None` where the server or something before it does not take the question.
///
/// # Errors
///
/// Where the permission is missing, or the probe failed otherwise: an empty list then proves nothing.
pub(super) async fn probe(session: &Session) -> Result<Option<bool>, Error> {
    let error = match session.job_count(LIVE).await {
        Ok(0) => return Ok(Some(true)),
        Ok(count) => {
            // One may have begun in between.
            if any(session, &Query::filtered(LIVE).limited(1)).await? {
                return Ok(Some(true));
            }
            let detail = format!(
                "the list of jobs is empty, and {count} are counted: the role of the key sees none of them"
            );
            return Err(session.forbidden(&JOBS, &detail));
        }
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::Unauthorized | ErrorKind::Forbidden => Err(session.forbidden(
            &JOBS,
            "the list of jobs is empty, and counting them is refused: the role of the key lacks the permission",
        )),
        // Read-only proxies and policies may block a POST.
        ErrorKind::NotFound
        | ErrorKind::Version
        | ErrorKind::BadRequest
        | ErrorKind::Redirect
        | ErrorKind::ServerError => Ok(None),
        _ => Err(error),
    }
}
