//! The newest successful backup of clients and policies beyond the window: a few names a cycle, each
//! until the server has told.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use super::walks::time;
use crate::jobs::{Answer, Ledger, Question, Subject};
use crate::netbackup::wire::jobs::{JOBS, JobRow};
use crate::netbackup::{CursorPager, Error, ErrorKind, Query, Session};

/// Names that are asked for in one cycle, and at once.
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

/// What came of one name; `None` where it was not its turn any more.
type Outcome = Option<Result<Answer, Option<Error>>>;

/// Asks for the names that are due. One that fails, or takes too long, is asked again after the others.
pub(super) async fn look_up(session: &Session, ledger: &mut Ledger) {
    let until = session.deadline().min(Instant::now() + CYCLE_TIMEOUT);
    let asked = stream::iter(ledger.to_look_up(NAMES)).map(|question| async move {
        let outcome = ask(session, &question, until).await;
        (question, outcome)
    });
    let mut answers = asked.buffer_unordered(AT_ONCE);
    while let Some((question, outcome)) = answers.next().await {
        match outcome {
            None => {}
            Some(Ok(answer)) => ledger.looked_up(question.subject, &question.name, answer),
            Some(Err(error)) => {
                ledger.look_up_failed(question.subject, &question.name);
                let site = session.client().site();
                let error = error.map_or_else(|| "no answer in time".into(), |e| e.to_string());
                tracing::debug!(site, %error, "look-up of a last success before the window failed; retrying later");
            }
        }
    }
}

async fn ask(session: &Session, question: &Question, until: Instant) -> Outcome {
    let now = Instant::now();
    if now >= until {
        return None;
    }
    if question.name.len() > LONGEST {
        return Some(Ok(Answer::Unknown));
    }
    let limit = if question.retried { until } else { until.min(now + NAME_TIMEOUT) };
    match timeout_at(limit, newest_success(session, question)).await {
        Ok(Ok(answer)) => Some(Ok(answer)),
        // The server does not take such a question: another one would fare no better.
        Ok(Err(error)) if error.kind() == ErrorKind::BadRequest => Some(Ok(Answer::Unknown)),
        Ok(Err(error)) => Some(Err(Some(error))),
        Err(_) => Some(Err(None)),
    }
}

async fn newest_success(session: &Session, question: &Question) -> Result<Answer, Error> {
    if question.subject == Subject::Policy {
        return newest_of_policy(session, question).await;
    }
    let all = newest_of_client(session, question, &question.spellings).await;
    match (&all, question.spellings.first()) {
        // Not every release may take an alternative.
        (Err(error), Some(first))
            if error.kind() == ErrorKind::BadRequest && question.spellings.len() > 1 =>
        {
            newest_of_client(session, question, std::slice::from_ref(first)).await
        }
        _ => all,
    }
}

async fn newest_of_client(
    session: &Session,
    question: &Question,
    spellings: &[String],
) -> Result<Answer, Error> {
    let each: Vec<String> =
        spellings.iter().map(|name| format!("clientName eq '{}'", quoted(name))).collect();
    let of_client = match &each[..] {
        [one] => one.clone(),
        several => format!("({})", several.join(" or ")),
    };
    let query = query(question, &of_client).limited(1);
    let mut walk = CursorPager::new(session, &JOBS, &query);
    let Some(page) = walk.next_page::<JobRow<'_>>().await? else { return Ok(Answer::None) };
    Ok(match page.rows.first() {
        Some(row) => row.end_time.map_or(Answer::Unknown, Answer::Found),
        None if page.unreadable > 0 => Answer::Unknown,
        None => Answer::None,
    })
}

async fn newest_of_policy(session: &Session, question: &Question) -> Result<Answer, Error> {
    let name = quoted(&question.name);
    let of_policy = format!("startswith(policyName,'{name}') and endswith(policyName,'{name}')");
    let mut walk = CursorPager::new(session, &JOBS, &query(question, &of_policy)).max_pages(PAGES);
    let mut unreadable = 0;
    while walk.pages() < PAGES {
        let Some(page) = walk.next_page::<JobRow<'_>>().await? else { break };
        unreadable += page.unreadable;
        let name = Some(question.name.as_str());
        if let Some(row) = page.rows.iter().find(|row| row.policy_name.as_deref() == name) {
            return Ok(row.end_time.map_or(Answer::Unknown, Answer::Found));
        }
    }
    Ok(if walk.is_done() && unreadable == 0 { Answer::None } else { Answer::Unknown })
}

fn query(question: &Question, of_name: &str) -> Query {
    let until = time(question.until);
    Query::filtered(format!(
        "state eq 'DONE' and status eq 0 and jobType eq 'BACKUP' and endTime le {until} and {of_name}"
    ))
    .sorted("-endTime")
}

fn quoted(name: &str) -> String {
    name.replace('\'', "''")
}
