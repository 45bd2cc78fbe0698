//! Filters on the list of jobs, the lists that fit into one walk, and what tells an empty list from a
//! forbidden one.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::de::IgnoredAny;

use crate::jobs::{ChangeField, Live};
use crate::netbackup::wire::jobs::{JOBS, JobRow};
use crate::netbackup::{CursorPager, Error, ErrorKind, Query, Session};

pub(super) const LIVE: &str = "state ne 'DONE'";

pub(super) async fn live(session: &Session) -> Result<Live, Error> {
    let query = Query::filtered(LIVE).sorted("jobId");
    let mut live = Live::default();
    let mut walk = CursorPager::new(session, &JOBS, &query);
    while let Some(page) = walk.next_page::<JobRow<'_>>().await? {
        page.rows.iter().for_each(|row| live.add(row));
    }
    Ok(live)
}

/// Returns the end of the oldest finished job that succeeded, of those that the server still has.
pub(super) async fn oldest_success(session: &Session) -> Result<Option<i64>, Error> {
    let query = Query::filtered("state eq 'DONE' and status eq 0").sorted("endTime").limited(1);
    Ok(first_row(session, &query).await?.and_then(|(_, end)| end))
}

/// Returns the highest number of a job that the server lists, if it lists any.
pub(super) async fn highest_id(session: &Session) -> Result<Option<i64>, Error> {
    Ok(first_row(session, &Query::all().sorted("-jobId").limited(1)).await?.map(|(id, _)| id))
}

async fn first_row(session: &Session, query: &Query) -> Result<Option<(i64, Option<i64>)>, Error> {
    let mut walk = CursorPager::new(session, &JOBS, query);
    let page = walk.next_page::<JobRow<'_>>().await?;
    Ok(page.and_then(|page| page.rows.first().map(|row| (row.job_id, row.end_time))))
}

pub(super) async fn any(session: &Session, query: &Query) -> Result<bool, Error> {
    let rows = session.get(&JOBS, query).await?.list::<IgnoredAny>()?;
    Ok(!rows.is_empty())
}

/// Returns whether the role of the key may see jobs, where all lists that were asked for are empty.
/// An empty list and a forbidden one both answer 200 with no data
/// (docs/netbackup-api.md#jobs-empty-without-permission). Any row of the list without a filter is
/// proof; where there is none, the count of jobs takes the same permission and does fail without
/// it. `None` where neither tells. Fails if the permission is missing.
pub(super) async fn may_see_jobs(session: &Session) -> Result<Option<bool>, Error> {
    match any(session, &Query::all().limited(1)).await {
        Ok(true) => return Ok(Some(true)),
        Ok(false) => {}
        Err(error) => {
            tracing::debug!(site = session.client().site(), %error, "cannot tell from the list of all jobs whether the API key may read jobs");
            return Ok(None);
        }
    }
    count_live(session).await
}

/// Asks for the number of live jobs, of which the list shows none.
pub(super) async fn count_live(session: &Session) -> Result<Option<bool>, Error> {
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

/// Returns a filter on the finished jobs: `lower` and `upper` are comparisons of `field` with a time.
pub(super) fn finished(
    field: ChangeField,
    lower: (&str, i64),
    upper: Option<(&str, i64)>,
) -> String {
    let property = field.property();
    let mut filter = format!("state eq 'DONE' and {property} {} {}", lower.0, time(lower.1));
    if let Some((compare, ms)) = upper {
        // Writing to a string cannot fail.
        let _ = write!(filter, " and {property} {compare} {}", time(ms));
    }
    filter
}

/// Returns a time as filters take it: unquoted (docs/netbackup-api.md#filters).
pub(super) fn time(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MIN);
    format!("{time:.3}")
}
