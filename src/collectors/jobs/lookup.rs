//! Looks up the newest successful backup of clients and policies beyond the window: a few names per
//! cycle, each until the server has answered.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use super::queries::time;
use crate::jobs::{Ledger, LookupAnswer, LookupQuery, Subject};
use crate::netbackup::wire::jobs::{JOBS, JobRow};
use crate::netbackup::{CursorPager, Error, ErrorKind, Query, Session};

/// Names that are looked up in one cycle, and concurrently.
const NAMES: usize = 20;
const AT_ONCE: usize = 4;

/// Limits of all names of one cycle, and of a name that was not slow before.
const CYCLE_TIMEOUT: Duration = Duration::from_secs(10);
const NAME_TIMEOUT: Duration = Duration::from_secs(3);

/// Pages of rows of other policies that are passed over: a filter can only tell how a policy's name
/// begins and ends (docs/netbackup-api.md#filters).
const PAGES: u32 = 3;

/// Bytes of a name that is asked for: no client or policy has a longer one.
const LONGEST: usize = 512;

/// Looks up the names that are due. One that fails, or takes too long, is retried after the others.
pub(super) async fn look_up(session: &Session, ledger: &mut Ledger) {
    let until = session.deadline().min(Instant::now() + CYCLE_TIMEOUT);
    let asked = stream::iter(ledger.last_results.next_lookups(NAMES)).map(|lookup| async move {
        let outcome = ask(session, &lookup, until).await;
        (lookup, outcome)
    });
    let mut answers = asked.buffer_unordered(AT_ONCE);
    while let Some((lookup, outcome)) = answers.next().await {
        let Some(results) = ledger.last_results.of_mut(lookup.subject) else { continue };
        match outcome {
            None => {}
            Some(Ok(answer)) => results.apply_lookup(&lookup.name, answer),
            Some(Err(error)) => {
                results.note_failed_lookup(&lookup.name);
                let site = session.client().site();
                tracing::debug!(site, %error, "look-up of a last success before the window failed; retrying later");
            }
        }
    }
}

/// Returns the answer, or the error of a look-up; `None` if there was no time for it.
async fn ask(
    session: &Session,
    lookup: &LookupQuery,
    until: Instant,
) -> Option<Result<LookupAnswer, String>> {
    let now = Instant::now();
    if now >= until {
        return None;
    }
    if lookup.name.len() > LONGEST {
        return Some(Ok(LookupAnswer::Unknown));
    }
    let limit = if lookup.retried { until } else { until.min(now + NAME_TIMEOUT) };
    match timeout_at(limit, newest_success(session, lookup)).await {
        Ok(Ok(answer)) => Some(Ok(answer)),
        // The server does not take such a filter: another one would fare no better.
        Ok(Err(error)) if error.kind() == ErrorKind::BadRequest => Some(Ok(LookupAnswer::Unknown)),
        Ok(Err(error)) => Some(Err(error.to_string())),
        Err(_) => Some(Err("no answer in time".to_owned())),
    }
}

async fn newest_success(session: &Session, lookup: &LookupQuery) -> Result<LookupAnswer, Error> {
    if lookup.subject == Subject::Policy {
        return newest_of_policy(session, lookup).await;
    }
    let all = newest_of_client(session, lookup, &lookup.spellings).await;
    match (&all, lookup.spellings.first()) {
        // Not every release may take an alternative.
        (Err(error), Some(first))
            if error.kind() == ErrorKind::BadRequest && lookup.spellings.len() > 1 =>
        {
            newest_of_client(session, lookup, std::slice::from_ref(first)).await
        }
        _ => all,
    }
}

async fn newest_of_client(
    session: &Session,
    lookup: &LookupQuery,
    spellings: &[String],
) -> Result<LookupAnswer, Error> {
    let each: Vec<String> =
        spellings.iter().map(|name| format!("clientName eq '{}'", quoted(name))).collect();
    let of_client = match &each[..] {
        [one] => one.clone(),
        several => format!("({})", several.join(" or ")),
    };
    let query = list_query(lookup, &of_client).limited(1);
    let mut walk = CursorPager::new(session, &JOBS, &query);
    let Some(page) = walk.next_page::<JobRow<'_>>().await? else { return Ok(LookupAnswer::None) };
    Ok(match page.rows.first() {
        Some(row) => row.end_time.map_or(LookupAnswer::Unknown, LookupAnswer::Found),
        None if page.unreadable > 0 => LookupAnswer::Unknown,
        None => LookupAnswer::None,
    })
}

async fn newest_of_policy(session: &Session, lookup: &LookupQuery) -> Result<LookupAnswer, Error> {
    let name = quoted(&lookup.name);
    let of_policy = format!("startswith(policyName,'{name}') and endswith(policyName,'{name}')");
    let mut walk =
        CursorPager::new(session, &JOBS, &list_query(lookup, &of_policy)).max_pages(PAGES);
    let mut unreadable = 0;
    while walk.pages() < PAGES {
        let Some(page) = walk.next_page::<JobRow<'_>>().await? else { break };
        unreadable += page.unreadable;
        let name = Some(lookup.name.as_str());
        if let Some(row) = page.rows.iter().find(|row| row.policy_name.as_deref() == name) {
            return Ok(row.end_time.map_or(LookupAnswer::Unknown, LookupAnswer::Found));
        }
    }
    Ok(if walk.is_done() && unreadable == 0 { LookupAnswer::None } else { LookupAnswer::Unknown })
}

fn list_query(lookup: &LookupQuery, of_name: &str) -> Query {
    let until = time(lookup.until);
    Query::filtered(format!(
        "state eq 'DONE' and status eq 0 and jobType eq 'BACKUP' and endTime le {until} and {of_name}"
    ))
    .sorted("-endTime")
}

fn quoted(name: &str) -> String {
    name.replace('\'', "''")
}
