//! Filters on the list of jobs, and the lists that fit into one walk.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::jobs::{ChangeField, Live};
use crate::netbackup::wire::jobs::{JOBS, JobRow};
use crate::netbackup::{CursorPager, Error, Query, Session};

/// Selects the jobs that have not ended.
pub(super) const LIVE: &str = "state ne 'DONE'";

/// Reads all jobs that have not ended.
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
