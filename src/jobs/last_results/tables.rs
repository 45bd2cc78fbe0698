//! The last results of clients and of policies, as far as they are enabled.

use std::borrow::Cow;
use std::sync::Arc;

use super::lookup::LookupQuery;
use super::metrics;
use super::name_filter::NameFilterConfig;
use super::results::{AHEAD, LastResults, SavedRecord};
use super::subject::Subject;
use crate::jobs::completion::Completion;
use crate::jobs::format::{LastV1, Record};
use crate::jobs::row::Actions;
use crate::metric::{Samples, SeriesGroups};

/// Last results by subject.
#[derive(Debug, Default)]
pub(crate) struct LastResultTables(pub(in crate::jobs) Vec<LastResults>);

impl LastResultTables {
    /// Applies a configuration; what is enabled keeps its results.
    pub(in crate::jobs) fn select(
        &mut self,
        clients: &NameFilterConfig,
        policies: &NameFilterConfig,
        workloads: &NameFilterConfig,
        now: i64,
    ) {
        let mut before = std::mem::take(&mut self.0);
        let all = [
            (Subject::Client, clients),
            (Subject::Policy, policies),
            (Subject::Workload, workloads),
        ];
        for (subject, config) in all {
            let place = before.iter().position(|table| table.subject == subject);
            let table = place.map(|place| before.swap_remove(place));
            if config.enabled {
                let mut table = table.unwrap_or_else(|| LastResults::new(subject, config));
                table.reconfigure(config);
                table.set_now(now);
                self.0.push(table);
            }
        }
    }

    pub(in crate::jobs) fn of(&self, subject: Subject) -> Option<&LastResults> {
        self.0.iter().find(|table| table.subject == subject)
    }

    pub(crate) fn of_mut(&mut self, subject: Subject) -> Option<&mut LastResults> {
        self.0.iter_mut().find(|table| table.subject == subject)
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
    pub(crate) fn next_lookups(&mut self, limit: usize) -> Vec<LookupQuery> {
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

    /// Returns the series of all names in groups, those of groups in which nothing changed as they were.
    pub(in crate::jobs) fn samples(&mut self, actions: &Actions) -> SeriesGroups {
        let mut folded = Samples::new();
        for table in &self.0 {
            folded.record(&metrics::FOLDED, [table.subject.label()], table.folded as f64);
        }
        let mut groups = vec![Arc::new(folded.finish().0)];
        groups.extend(self.0.iter_mut().flat_map(|table| table.samples(actions)));
        groups
    }

    /// Returns the records that changed since they were handed over last.
    pub(in crate::jobs) fn changed_records(&self) -> impl Iterator<Item = Record<'_>> {
        self.0.iter().flat_map(|table| {
            let results = table.changed_records().map(|saved| Record::Last(record(table, saved)));
            let classes = table.changed_class_records();
            results.chain(classes.map(|saved| Record::Classes(record(table, saved))))
        })
    }

    pub(in crate::jobs) fn all_records(&self) -> impl Iterator<Item = Record<'_>> {
        self.0.iter().flat_map(|table| {
            let results = table.all_records().map(|saved| Record::Last(record(table, saved)));
            let classes = table.all_class_records();
            results.chain(classes.map(|saved| Record::Classes(record(table, saved))))
        })
    }

    /// Restores a record, unless its subject is not enabled; returns whether it is valid.
    pub(in crate::jobs) fn restore(&mut self, record: &LastV1<'_>) -> bool {
        let Some(subject) = Subject::from_number(record.subject) else { return false };
        let Some(table) = self.of_mut(subject) else { return true };
        table.restore(&record.key, record.value.as_deref()).is_some()
    }

    /// Forgets the results by class of schedule.
    pub(in crate::jobs) fn forget_classes(&mut self) {
        self.0.iter_mut().for_each(LastResults::forget_classes);
    }

    /// Restores a record of classes, likewise. One of a subject that this build does not know is passed over.
    pub(in crate::jobs) fn restore_classes(&mut self, record: &LastV1<'_>) -> bool {
        let table = Subject::from_number(record.subject).and_then(|subject| self.of_mut(subject));
        table.is_none_or(|table| {
            table.restore_classes(&record.key, record.value.as_deref()).is_some()
        })
    }
}

fn record(table: &LastResults, (key, value): SavedRecord) -> LastV1<'static> {
    LastV1 { subject: table.subject as u8, key: Cow::Owned(key), value: value.map(Cow::Owned) }
}
