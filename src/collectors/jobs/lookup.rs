//! The newest successful backup of clients and policies beyond the window: asked for once, a few
//! names a cycle, and remembered.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use crate::jobs::{Ledger, Named};
use crate::netbackup::wire::jobs::{JOBS, JobRow};
use crate::netbackup::{Error, Query, Session};

/// Names that are asked for in one cycle, and at once.
const NAMES: usize = 20;
const AT_ONCE: usize = 4;

/// What all of it may take in one cycle.
const PATIENCE: Duration = Duration::from_secs(10);

/// Rows of other policies that are passed over before a policy counts as not found: a filter can
/// only tell how its name begins and ends (contract, section 1.4).
const PAGES: u32 = 3;

/// Asks for the names that are due. One that fails is due in the next cycle again.
pub(super) async fn look_up(session: &Session, ledger: &mut Ledger) {
    let names = ledger.to_look_up(NAMES);
    let asked = stream::iter(names).map(|(named, name)| async move {
        let newest = newest_success(session, named, &name).await;
        (named, name, newest)
    });
    let mut answers = asked.buffer_unordered(AT_ONCE);
    let take = async {
        while let Some((named, name, newest)) = answers.next().await {
            match newest {
                Ok(newest) => ledger.looked_up(named, &name, newest),
                Err(error) => {
                    let site = session.client().site();
                    tracing::debug!(site, %error, "a last success beyond the window is still to be asked for");
                    return;
                }
            }
        }
    };
    // What is not answered by then is asked for again.
    let _ = tokio::time::timeout(PATIENCE, take).await;
}

async fn newest_success(session: &Session, named: Named, name: &str) -> Result<Option<i64>, Error> {
    let quoted = name.replace('\'', "''");
    let of_name = match named {
        Named::Client => format!("clientName eq '{quoted}'"),
        Named::Policy => {
            format!("startswith(policyName,'{quoted}') and endswith(policyName,'{quoted}')")
        }
    };
    let filter = format!("state eq 'DONE' and status eq 0 and jobType eq 'BACKUP' and {of_name}");
    let query = Query::filtered(filter).sorted("-endTime");
    let query = if named == Named::Client { query.limited(1) } else { query };
    let mut walk = session.cursor_walk(&JOBS, &query).max_pages(PAGES);
    while walk.pages() < PAGES {
        let Some(page) = walk.next_page::<JobRow<'_>>().await? else { return Ok(None) };
        let found = page
            .rows
            .iter()
            .find(|row| named == Named::Client || row.policy_name.as_deref() == Some(name));
        if let Some(row) = found {
            return Ok(row.end_time);
        }
    }
    Ok(None)
}
