//! Sizes of pools that the list tells none for: a server may tell them by id.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::Deserialize;
use tokio::time::Instant;

use super::row::{DISK_POOLS, PoolRow, Sizes};
use crate::netbackup::lenient;
use crate::netbackup::{Error, ErrorKind, Session};

/// Pools that are asked for in one run.
const POOLS: usize = 200;

/// Requests at once.
const AT_ONCE: usize = 2;

/// Time that one request may take, so that a pool that hangs does not take the run from the others.
const PATIENCE: Duration = Duration::from_secs(10);

/// Failures after which a run asks no more: it is not the pools then.
const FAILURES: usize = 3;

/// The time after which a pool without sizes is asked for again.
const AGAIN: Duration = Duration::from_secs(24 * 3600);

/// Pools that are remembered.
const MAX_KNOWN: usize = 2_000;

/// Answer by id: the same object as a row of the list.
#[derive(Debug, Deserialize)]
struct Answer<'a> {
    #[serde(borrow, deserialize_with = "lenient::required_object")]
    data: Data<'a>,
}

#[derive(Debug, Deserialize)]
struct Data<'a> {
    #[serde(borrow, deserialize_with = "lenient::required_object")]
    attributes: PoolRow<'a>,
}

/// Memory of the pools that have no sizes by id, either.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    without: HashMap<String, Instant>,
    /// Those that failed in the last run: the others come first.
    failed: HashSet<String>,
}

/// Knowledge of the sizes of a pool beyond the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Sizes(Sizes),
    /// The server has none: its volumes are what there is.
    None,
    /// It did not answer, or was not asked.
    Unknown,
}

impl Lookup {
    /// Asks for pools by id. A request that fails leaves its own pool unknown; several end the run's questions.
    pub(super) async fn ask(
        &mut self,
        session: &Session,
        ids: &[String],
    ) -> HashMap<String, Found> {
        let now = Instant::now();
        self.without.retain(|_, since| now < *since + AGAIN);
        let mut found = HashMap::new();
        let mut due = Vec::new();
        for id in ids {
            // A path would leave out the segment that such an id is.
            if self.without.contains_key(id) || matches!(id.as_str(), "" | "." | "..") {
                found.insert(id.clone(), Found::None);
            } else if due.len() < POOLS {
                due.push(id.clone());
            } else {
                found.insert(id.clone(), Found::Unknown);
            }
        }
        let before = std::mem::take(&mut self.failed);
        due.sort_by_key(|id| before.contains(id));
        let answers =
            stream::iter(due.clone()).map(|id| async move { (sizes(session, &id).await, id) });
        let mut answers = answers.buffer_unordered(AT_ONCE);
        while let Some((answer, id)) = answers.next().await {
            match answer {
                Ok(Some(sizes)) => drop(found.insert(id, Found::Sizes(sizes))),
                Ok(None) => {
                    if self.without.len() < MAX_KNOWN {
                        self.without.insert(id.clone(), now);
                    }
                    found.insert(id, Found::None);
                }
                Err(error) => {
                    let (site, error) = (session.client().site(), error.to_string());
                    tracing::debug!(
                        site,
                        pool = id,
                        error,
                        "the sizes of a disk pool are not known; retrying in the next run"
                    );
                    self.failed.insert(id);
                    if self.failed.len() >= FAILURES {
                        break;
                    }
                }
            }
        }
        for id in due {
            if !found.contains_key(&id) {
                found.insert(id.clone(), Found::Unknown);
                // Of those that were not asked, the ones that failed before wait again.
                if before.contains(&id) {
                    self.failed.insert(id);
                }
            }
        }
        found
    }
}

/// Returns the sizes of a pool; `None` if the server tells none.
async fn sizes(session: &Session, id: &str) -> Result<Option<Sizes>, Error> {
    let deadline = session.deadline().min(Instant::now() + PATIENCE);
    let session = session.client().with_deadline(deadline);
    let body = match session.get_member(&DISK_POOLS, id).await {
        Ok(body) => body,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::BadRequest) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    Ok(body.read::<Answer<'_>>()?.data.attributes.sizes())
}
