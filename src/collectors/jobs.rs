//! Jobs: those that ended in the window and those that are live (contract, section 1).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Cadence, Collected, Collector, Row, Settings};
use crate::jobs::{Finished, Live, Window, definitions};
use crate::metric::Samples;
use crate::netbackup::wire::jobs::{JOBS, JobRow};
use crate::netbackup::{Error, ErrorKind, Query, Resource, Session};

pub(super) const ROW: Row = Row {
    name: "jobs",
    resource: &JOBS,
    cadence: Cadence::EveryPoll,
    core: true,
    metrics: definitions,
    enabled: |_| true,
    build: |settings| {
        Box::new(Jobs {
            window: settings.window,
            action_names: settings.collectors.action_names.clone(),
            actions: BTreeSet::new(),
        })
    },
    same: |one, other| {
        one.window == other.window
            && one.collectors.action_names == other.collectors.action_names
            && one.state == other.state
    },
};

/// Jobs that have not ended.
const LIVE: &str = "state ne 'DONE'";

struct Jobs {
    window: Duration,
    action_names: BTreeMap<String, String>,
    /// Actions that are in the window or live: each has its explicit zeros in both parts.
    actions: BTreeSet<String>,
}

#[async_trait]
impl Collector for Jobs {
    async fn collect(&mut self, session: &Session) -> Result<Collected, Error> {
        // The window is one of the server's time, never of ours.
        let now = session.ping().await?.server_time_ms();
        let window = Window::ending(now, self.window);
        let (live, finished) = tokio::join!(
            sweep(session, &self.action_names),
            walk(session, window, &self.action_names)
        );
        let mut collected = Collected::default();
        match (&live, &finished) {
            (Ok((live, _)), Ok((finished, _))) if live.is_empty() && finished.is_empty() => {
                collected.permitted = probe(session).await?;
                if collected.permitted.is_none() {
                    // Zeros would claim that nothing runs.
                    collected.parts =
                        vec![("live", Ok(Samples::new())), ("finished", Ok(Samples::new()))];
                    return Ok(collected);
                }
            }
            (Ok(_), _) | (_, Ok(_)) => collected.permitted = Some(true),
            _ => {}
        }
        if let Ok((finished, unreadable)) = &finished {
            self.actions = finished.actions().map(String::from).collect();
            collected.unreadable += *unreadable as u64;
        }
        if let Ok((live, unreadable)) = &live {
            self.actions.extend(live.actions().map(String::from));
            collected.unreadable += *unreadable as u64;
        }
        let actions = &self.actions;
        collected.parts = vec![
            ("live", live.map(|(live, _)| live.samples(actions))),
            ("finished", finished.map(|(finished, _)| finished.samples(actions))),
        ];
        Ok(collected)
    }

    fn reconfigure(&mut self, settings: &Settings<'_>) {
        self.window = settings.window;
        if self.action_names != settings.collectors.action_names {
            self.action_names.clone_from(&settings.collectors.action_names);
            // They have other names now.
            self.actions.clear();
        }
    }

    /// One job that is seen is proof; an empty list proves nothing.
    async fn permitted(
        &mut self,
        session: &Session,
        resource: &'static Resource,
    ) -> Result<Option<bool>, Error> {
        debug_assert_eq!(resource, &JOBS);
        if any(session, &Query::all().limited(1)).await? {
            Ok(Some(true))
        } else {
            probe(session).await
        }
    }
}

/// Whether a list of jobs has any.
async fn any(session: &Session, query: &Query) -> Result<bool, Error> {
    let body = session.get(&JOBS, query).await?;
    Ok(!body.read::<AnyPage>()?.data.is_empty())
}

/// A page of which only matters whether it has rows.
#[derive(Deserialize)]
struct AnyPage {
    #[serde(default)]
    data: Vec<IgnoredAny>,
}

async fn sweep<'n>(
    session: &Session,
    action_names: &'n BTreeMap<String, String>,
) -> Result<(Live<'n>, usize), Error> {
    let query = Query::filtered(LIVE).sorted("jobId");
    let mut live = Live::new(action_names);
    let mut unreadable = 0;
    let mut walk = session.cursor_walk(&JOBS, &query);
    while let Some(page) = walk.next_page::<JobRow<'_>>().await? {
        unreadable += page.unreadable;
        page.rows.iter().for_each(|row| live.add(row));
    }
    Ok((live, unreadable))
}

async fn walk<'n>(
    session: &Session,
    window: Window,
    action_names: &'n BTreeMap<String, String>,
) -> Result<(Finished<'n>, usize), Error> {
    let query = Query::filtered(finished_filter(window)).sorted("endTime");
    let mut finished = Finished::new(window, action_names);
    let mut unreadable = 0;
    let mut walk = session.cursor_walk(&JOBS, &query);
    while let Some(page) = walk.next_page::<JobRow<'_>>().await? {
        unreadable += page.unreadable;
        page.rows.iter().for_each(|row| finished.add(row));
    }
    Ok((finished, unreadable))
}

/// Jobs that ended after the window's beginning. Times are unquoted (contract, section 1.4).
fn finished_filter(window: Window) -> String {
    let from = Timestamp::from_millisecond(window.from).unwrap_or(Timestamp::MIN);
    format!("state eq 'DONE' and endTime gt {from:.3}")
}

/// Tells an empty list from a forbidden one, since both answer 200 with no data (contract, section
/// 1.2): the count of jobs takes the same permission and does fail without it.
///
/// `None` where the server or something before it does not take the question.
///
/// # Errors
///
/// Where the permission is missing, or the probe failed otherwise: an empty list then proves nothing.
async fn probe(session: &Session) -> Result<Option<bool>, Error> {
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
