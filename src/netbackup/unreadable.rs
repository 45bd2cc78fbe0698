//! Records that cannot be decoded: each is counted once, however often the server lists it, and the
//! first ones are logged.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::wire::BadRecord;
use crate::net::redact::Redactor;

/// Remembered records of a resource; older ones count again if the server lists them again.
const REMEMBERED: usize = 10_000;

const LOG_INTERVAL: Duration = Duration::from_secs(600);

/// Characters of an id and of a problem that a warning shows.
const SHOWN: usize = 200;

#[derive(Debug, Default)]
pub(super) struct UnreadableRecords(Mutex<BTreeMap<&'static str, Resource>>);

#[derive(Debug, Default)]
struct Resource {
    count: u64,
    known: HashSet<u64>,
    /// The same records, oldest first.
    order: VecDeque<u64>,
    logged: Option<Instant>,
    /// Counted since the last warning.
    since: u64,
}

impl Resource {
    fn insert_new(&mut self, identity: u64) -> bool {
        if !self.known.insert(identity) {
            return false;
        }
        self.order.push_back(identity);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

impl UnreadableRecords {
    /// Counts the records of `bad` that are new, and logs the first of them.
    pub(super) fn note(
        &self,
        site: &str,
        resource: &'static str,
        redactor: &Redactor,
        bad: &[BadRecord],
    ) {
        if bad.is_empty() {
            return;
        }
        let mut all = self.lock();
        let known = all.entry(resource).or_default();
        let mut first = None;
        for record in bad {
            if known.insert_new(record.identity) {
                known.count += 1;
                known.since += 1;
                first = first.or(Some(record));
            }
        }
        let Some(first) = first else { return };
        let id = redactor.line(&first.id, SHOWN);
        let problem = redactor.line(&first.problem, SHOWN);
        if known.logged.is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
            known.logged = Some(Instant::now());
            let records = std::mem::take(&mut known.since);
            tracing::warn!(
                site,
                resource,
                records,
                id,
                problem,
                "the server sent records that cannot be decoded; they are skipped and counted; \
                 please report this with the NetBackup release"
            );
        } else {
            tracing::debug!(site, resource, id, problem, "cannot decode a record");
        }
    }

    pub(super) fn count(&self, resource: &str) -> u64 {
        self.lock().get(resource).map_or(0, |known| known.count)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Resource>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(identity: u64) -> BadRecord {
        BadRecord { identity, id: identity.to_string(), problem: String::new() }
    }

    fn note(records: &UnreadableRecords, identities: impl IntoIterator<Item = u64>) -> u64 {
        let bad: Vec<_> = identities.into_iter().map(bad).collect();
        records.note("site", "jobs", &Redactor::default(), &bad);
        records.count("jobs")
    }

    #[test]
    fn record_listed_twice_counts_once() {
        let records = UnreadableRecords::default();
        assert_eq!(note(&records, [1, 2, 1]), 2);
        assert_eq!(note(&records, [2, 3]), 3);
        assert_eq!(note(&records, []), 3);
        assert_eq!(records.count("alerts"), 0);
    }

    #[test]
    fn remembered_records_are_bounded() {
        let records = UnreadableRecords::default();
        let most = REMEMBERED as u64;
        assert_eq!(note(&records, 0..2 * most), 2 * most);
        let all = records.lock();
        assert_eq!((all["jobs"].known.len(), all["jobs"].order.len()), (REMEMBERED, REMEMBERED));
    }
}
