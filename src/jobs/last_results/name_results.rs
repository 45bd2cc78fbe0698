//! The results of one name.

use std::collections::{BTreeMap, BTreeSet};

use super::class_result::ClassResult;
use super::last_result::{LastResult, raise};
use super::lookup::LookupAnswer;
use super::subject::Subject;
use crate::jobs::completion::{Completion, Outcome};
use crate::jobs::row::BACKUP;
use crate::jobs::schedule::ScheduleClass;
use crate::metric::UNKNOWN;

/// Job types of one name that are told apart. The API knows 43; one client or policy has a few.
pub(super) const MOST_TYPES: usize = 32;

/// An answer to a look-up that found nothing is old after this time, ms.
const ASK_AGAIN: i64 = 86_400_000;

/// The type of jobs of further types.
const OTHER_TYPE: &str = "OTHER";

/// Pairs of policy and job type of one client that have a last success of their own.
pub(super) const MOST_PAIRS: usize = 100;

/// Spellings of one name that are remembered.
const MOST_SPELLINGS: usize = 8;

/// An answer of the server that named no backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lookup {
    /// The server's time of the answer.
    pub(super) at: i64,
    /// There is none; otherwise the server could not tell.
    pub(super) none: bool,
}

/// A policy, and a job type.
type Pair = (Box<str>, Box<str>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct NameResults {
    pub(super) label: Box<str>,
    /// Its place in the order in which names came; not saved.
    pub(super) order: u64,
    /// Newest end of a BACKUP with status 0.
    pub(super) backup: Option<i64>,
    /// The server's last answer to the question for that, where it found none.
    pub(super) lookup: Option<Lookup>,
    /// Other spellings than the label's under which the server lists the name.
    pub(super) spellings: BTreeSet<Box<str>>,
    /// By job type.
    pub(super) types: BTreeMap<Box<str>, LastResult>,
    /// Newest end of a job with status 0, the newest of them; of clients only.
    pub(super) pairs: BTreeMap<Pair, i64>,
    /// By class of schedule; of policies and workloads.
    pub(super) classes: BTreeMap<ScheduleClass, ClassResult>,
}

impl NameResults {
    pub(super) fn new(label: &str, order: u64) -> Self {
        Self { label: label.into(), order, ..Self::default() }
    }

    /// Returns whether it ever had a backup, if that is known.
    pub(super) fn has_backup(&self) -> Option<bool> {
        let none = self.lookup.is_some_and(|lookup| lookup.none);
        if self.backup.is_some() { Some(true) } else { none.then_some(false) }
    }

    /// Returns whether the newest backup is to be looked up: none is known, and the last answer is old.
    pub(super) fn is_lookup_due(&self, now: i64) -> bool {
        let is_old = |lookup: Lookup| now.saturating_sub(lookup.at) >= ASK_AGAIN || lookup.at > now;
        self.backup.is_none() && self.lookup.is_none_or(is_old)
    }

    /// Applies the server's answer; an end after `limit` is in the future. Returns whether anything changed.
    pub(super) fn apply_lookup(&mut self, answer: LookupAnswer, now: i64, limit: i64) -> bool {
        let before = (self.backup, self.lookup);
        match answer {
            LookupAnswer::Found(end) if end <= limit => {
                raise(&mut self.backup, Some(end));
                self.lookup = None;
            }
            LookupAnswer::None => self.lookup = Some(Lookup { at: now, none: true }),
            LookupAnswer::Found(_) | LookupAnswer::Unknown => {
                self.lookup = Some(Lookup { at: now, none: false });
            }
        }
        before != (self.backup, self.lookup)
    }

    /// Returns when the newest of its jobs ended.
    pub(super) fn newest(&self) -> Option<i64> {
        let types = self.types.values().filter_map(LastResult::end);
        let classes = self.classes.values().filter_map(|class| class.last.end());
        types.chain(classes).chain(self.backup).max()
    }

    /// Adds a completion whose name is spelt `name`. Returns whether anything changed.
    pub(super) fn add(&mut self, job: &Completion<'_>, name: &str, subject: Subject) -> bool {
        let mut news = self.add_spelling(name);
        if subject != Subject::Workload {
            news |= self.add_job(job, subject == Subject::Client);
        }
        if subject != Subject::Client && job.protects() {
            news |= self.classes.entry(job.class).or_default().add(job);
        }
        news
    }

    /// Returns it under another label; the one before is a spelling that was seen.
    pub(super) fn labelled(mut self, label: &str) -> Self {
        let before = std::mem::replace(&mut self.label, label.into());
        self.add_spelling(&before);
        self.spellings.remove(label);
        self
    }

    fn add_spelling(&mut self, name: &str) -> bool {
        let new = *name != *self.label && self.spellings.len() < MOST_SPELLINGS;
        new && self.spellings.insert(name.into())
    }

    fn add_job(&mut self, job: &Completion<'_>, with_pairs: bool) -> bool {
        let job_type = if job.job_type.is_empty() { UNKNOWN } else { job.job_type };
        let last = LastResult::of(job);
        let full = self.types.len() >= MOST_TYPES && !self.types.contains_key(job_type);
        let slot = if full { OTHER_TYPE } else { job_type };
        let mut news = self.types.entry(slot.into()).or_default().merge(&last);
        if Outcome::of(job.status) == Outcome::Success {
            if job_type == BACKUP {
                news |= raise(&mut self.backup, Some(job.end));
                self.lookup = None;
            }
            if with_pairs {
                let policy = if job.policy.is_empty() { UNKNOWN } else { job.policy };
                news |= self.add_pair(&(policy.into(), slot.into()), job.end);
            }
        }
        news
    }

    /// Drops what ended after `limit`. Returns whether there was any.
    pub(super) fn drop_after(&mut self, limit: i64) -> bool {
        let mut dropped = self.backup.take_if(|end| *end > limit).is_some();
        let pairs = self.pairs.len();
        self.pairs.retain(|_, end| *end <= limit);
        dropped |= self.pairs.len() < pairs;
        self.types.retain(|_, last| {
            dropped |= last.drop_after(limit);
            *last != LastResult::default()
        });
        self.classes.retain(|_, class| {
            dropped |= class.drop_after(limit);
            *class != ClassResult::default()
        });
        dropped
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
