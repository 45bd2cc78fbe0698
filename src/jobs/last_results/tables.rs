//! The last results of clients and of policies, as far as they are enabled.

use std::borrow::Cow;

use super::lookup::{LookupAnswer, LookupQuery};
use super::persist::LastResultChanges;
use super::present::AHEAD;
use super::results::LastResults;
use super::subject::Subject;
use crate::jobs::actions::Actions;
use crate::jobs::completion::Completion;
use crate::jobs::format::LastV1;
use crate::jobs::name_filter::NameFilterConfig;
use crate::metric::Samples;

/// Last results by subject.
#[derive(Debug, Default)]
pub(in crate::jobs) struct LastResultTables(Vec<LastResults>);

impl LastResultTables {
    /// Applies a configuration; what is enabled keeps its results.
    pub(in crate::jobs) fn select(
        &mut self,
        clients: &NameFilterConfig,
        policies: &NameFilterConfig,
        now: i64,
    ) {
        let mut before = std::mem::take(&mut self.0);
        for (subject, config) in [(Subject::Client, clients), (Subject::Policy, policies)] {
            let place = before.iter().position(|table| table.subject() == subject);
            let table = place.map(|place| before.swap_remove(place));
            if config.enabled {
                let mut table = table.unwrap_or_else(|| LastResults::new(subject, config));
                table.reconfigure(config);
                table.set_now(now);
                self.0.push(table);
            }
        }
    }

    /// Returns the last results of a subject, if they are enabled.
    pub(in crate::jobs) fn of(&self, subject: Subject) -> Option<&LastResults> {
        self.0.iter().find(|table| table.subject() == subject)
    }

    fn of_mut(&mut self, subject: Subject) -> Option<&mut LastResults> {
        self.0.iter_mut().find(|table| table.subject() == subject)
    }

    /// Records a completion.
    pub(in crate::jobs) fn record(&mut self, job: &Completion<'_>) {
        self.0.iter_mut().for_each(|table| table.record(job));
    }

    /// Adds all remembered completions, for names that are newly selected.
    pub(in crate::jobs) fn fill<'c, I>(&mut self, jobs: impl Fn() -> I)
    where
        I: Iterator<Item = Completion<'c>>,
    {
        self.0.iter_mut().for_each(|table| table.fill(jobs()));
    }

    /// Moves on from the time `last` to `now`: jobs that lay in the future count now; after a clock that
    /// was set back, those that lie there no longer count. `jobs` returns the completions that ended in
    /// `(after, until]`.
    pub(in crate::jobs) fn advance<'c, I>(
        &mut self,
        last: i64,
        now: i64,
        set_back: bool,
        jobs: impl Fn(i64, i64) -> I,
    ) where
        I: Iterator<Item = Completion<'c>>,
    {
        let until = now.saturating_add(AHEAD);
        for table in &mut self.0 {
            table.set_now(now);
            let after = if !set_back {
                last.saturating_add(AHEAD)
            } else if table.drop_future() {
                i64::MIN / 2
            } else {
                continue;
            };
            if after < until {
                table.fill(jobs(after, until));
            }
        }
    }

    /// Returns the names to be looked up, at most so many. Clients and policies take turns.
    pub(in crate::jobs) fn next_lookups(&mut self, limit: usize) -> Vec<LookupQuery> {
        let mut queues: Vec<_> =
            self.0.iter_mut().map(|table| table.next_lookups(limit).into_iter()).collect();
        let mut queries = Vec::new();
        while queries.len() < limit {
            let before = queries.len();
            queries.extend(queues.iter_mut().filter_map(Iterator::next));
            if queries.len() == before {
                break;
            }
        }
        queries.truncate(limit);
        queries
    }

    /// Applies the server's answer for a name.
    pub(in crate::jobs) fn apply_lookup(
        &mut self,
        subject: Subject,
        name: &str,
        answer: LookupAnswer,
    ) {
        if let Some(table) = self.of_mut(subject) {
            table.apply_lookup(name, answer);
        }
    }

    /// Records that the server could not be asked for a name.
    pub(in crate::jobs) fn note_failed_lookup(&mut self, subject: Subject, name: &str) {
        if let Some(table) = self.of_mut(subject) {
            table.note_failed_lookup(name);
        }
    }

    /// Returns the samples of all names.
    pub(in crate::jobs) fn samples(&self, actions: &Actions) -> Samples {
        let mut samples = Samples::new();
        for table in &self.0 {
            table.samples(|job_type| actions.of(job_type), &mut samples);
        }
        samples
    }

    /// Counts folded jobs from 0 again.
    pub(in crate::jobs) fn restart_counters(&mut self) {
        self.0.iter_mut().for_each(LastResults::restart_folded);
    }

    /// Returns the records that changed since they were handed over last.
    pub(in crate::jobs) fn changed_records(&self) -> impl Iterator<Item = LastV1<'_>> {
        self.0.iter().flat_map(|table| {
            let changed = table.changed_records();
            changed.map(|(key, value)| record(table.subject(), key, value))
        })
    }

    /// Returns all records.
    pub(in crate::jobs) fn all_records(&self) -> impl Iterator<Item = LastV1<'_>> {
        self.0.iter().flat_map(|table| {
            let all = table.all_records();
            all.map(|(key, value)| record(table.subject(), key, Some(value)))
        })
    }

    /// Hands over the changes.
    pub(in crate::jobs) fn hand_over(&mut self) -> Vec<(Subject, LastResultChanges)> {
        self.0.iter_mut().map(|table| (table.subject(), table.hand_over())).collect()
    }

    /// Takes back changes that did not reach the disk.
    pub(in crate::jobs) fn take_back(&mut self, changes: Vec<(Subject, LastResultChanges)>) {
        for (subject, changes) in changes {
            if let Some(table) = self.of_mut(subject) {
                table.take_back(changes);
            }
        }
    }

    /// Restores a record; returns whether it is valid. Those of a subject that is not enabled are
    /// dropped.
    pub(in crate::jobs) fn restore(&mut self, record: &LastV1<'_>) -> bool {
        let Some(subject) = Subject::from_number(record.subject) else { return false };
        let Some(table) = self.of_mut(subject) else { return true };
        if let Some(value) = &record.value {
            return table.restore(&record.key, value).is_ok();
        }
        table.forget(&record.key);
        true
    }
}

fn record(subject: Subject, key: Vec<u8>, value: Option<Vec<u8>>) -> LastV1<'static> {
    LastV1 { subject: subject.number(), key: Cow::Owned(key), value: value.map(Cow::Owned) }
}
