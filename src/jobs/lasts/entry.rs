//! One name, and what is known of its jobs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::last::{Last, raise};
use crate::jobs::{BACKUP, Completion, Outcome};
use crate::metric::UNKNOWN;

/// How many job types of one name are told apart. The API knows 43; one client or policy has a few.
pub(super) const MOST_TYPES: usize = 32;

/// What stands for the types beyond.
const OTHER_TYPE: &str = "OTHER";

/// How many pairs of policy and job type of one client have a last success of their own.
pub(super) const MOST_PAIRS: usize = 100;

/// A policy, and a job type.
type Pair = (Box<str>, Box<str>);

/// What is known of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The value of the label.
    pub(super) label: Box<str>,
    /// When it came among the others; not for the disk.
    #[serde(skip)]
    pub(super) order: u64,
    /// Newest end of a BACKUP with status 0.
    pub(super) backup: Option<i64>,
    /// Whether the server was asked for that.
    pub(super) answered: bool,
    /// By job type.
    pub(super) types: BTreeMap<Box<str>, Last>,
    /// Newest end of a job with status 0, the newest of them; of clients only.
    pub(super) pairs: BTreeMap<Pair, i64>,
}

impl Entry {
    pub(super) fn new(label: &str, order: u64) -> Self {
        Self { label: label.into(), order, ..Self::default() }
    }

    /// Whether nobody knows yet if it ever had a backup.
    pub(super) fn is_open(&self) -> bool {
        !self.answered && self.backup.is_none()
    }

    /// Takes one job; whether it was news.
    pub(super) fn add(&mut self, job: &Completion<'_>, with_pairs: bool) -> bool {
        let job_type = if job.job_type.is_empty() { UNKNOWN } else { job.job_type };
        let last = Last::of(job);
        let full = self.types.len() >= MOST_TYPES && !self.types.contains_key(job_type);
        let slot = if full { OTHER_TYPE } else { job_type };
        let mut news = self.types.entry(slot.into()).or_default().merge(&last);
        if Outcome::of(job.status) == Outcome::Success {
            if job_type == BACKUP {
                news |= raise(&mut self.backup, Some(job.end));
            }
            if with_pairs {
                let policy = if job.policy.is_empty() { UNKNOWN } else { job.policy };
                news |= self.add_pair(&(policy.into(), slot.into()), job.end);
            }
        }
        news
    }

    /// Keeps the newest: one that left comes back with a newer end, or has no place among them. So
    /// what is kept does not depend on the order.
    fn add_pair(&mut self, pair: &Pair, end: i64) -> bool {
        let known = self.pairs.entry(pair.clone()).or_insert(i64::MIN);
        let news = end > *known;
        *known = end.max(*known);
        if self.pairs.len() <= MOST_PAIRS {
            return news;
        }
        let oldest = self.pairs.iter().min_by_key(|(pair, end)| (**end, *pair));
        let Some(oldest) = oldest.map(|(pair, _)| pair.clone()) else { return news };
        self.pairs.remove(&oldest);
        oldest != *pair
    }
}
