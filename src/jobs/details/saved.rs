//! Saves and restores details (docs/adr/0011-state.md).

use std::borrow::Cow;

use super::Details;
use super::catalogue::{CatalogueBackup, RootJob};
use super::changes::Changes;
use super::counters::{Count, Counter, CounterKey};
use super::failures::{Failure, FailureKey};
use super::sizes::Sizes;
use super::stalls::Progressed;
use super::texts::StatusText;
use crate::jobs::format::{
    CatalogueBackupV1, CounterV1, DetailsV1, FailureV1, Record, RootJobV1, SizesV1, StallV1,
    StatusTextV1,
};
use crate::jobs::interner::{Interner, NameId};
use crate::jobs::time::{from_unix_ms, to_unix_ms};
use crate::metric::Distribution;

impl From<RootJob> for RootJobV1 {
    fn from(RootJob { end, id, status, start, kilobytes }: RootJob) -> Self {
        Self { end, id, status, start, kilobytes }
    }
}

impl From<RootJobV1> for RootJob {
    fn from(RootJobV1 { end, id, status, start, kilobytes }: RootJobV1) -> Self {
        Self { end, id, status, start, kilobytes }
    }
}

impl Details {
    /// Returns the records that changed since they were handed over last.
    pub(in crate::jobs) fn changed_records(&self) -> impl Iterator<Item = Record<'_>> {
        let changes = &self.changes;
        std::iter::once(self.own_record())
            .chain(changes.counters.iter().filter_map(|key| self.counter_record(key)))
            .chain(changes.failures.iter().filter_map(|key| self.failure_record(*key)))
            .chain(changes.sizes.iter().map(|key| self.sizes_record(*key)))
            .chain(changes.stalls.iter().map(|id| self.stall_record(*id)))
            .chain(changes.texts.iter().filter_map(|status| self.text_record(*status)))
            .chain(changes.catalogue.then(|| self.catalogue_record()))
    }

    pub(in crate::jobs) fn all_records(&self) -> impl Iterator<Item = Record<'_>> {
        std::iter::once(self.own_record())
            .chain(self.counters.keys().filter_map(|key| self.counter_record(key)))
            .chain(self.failures.all.keys().filter_map(|key| self.failure_record(*key)))
            .chain(self.sizes.all.keys().map(|key| self.sizes_record(*key)))
            .chain(self.stalls.all_saved().map(|id| self.stall_record(id)))
            .chain(self.texts.answers.keys().filter_map(|status| self.text_record(*status)))
            .chain(std::iter::once(self.catalogue_record()))
    }

    /// Records that all of it was handed over to be written.
    pub(in crate::jobs) fn hand_over(&mut self) {
        let next = Changes { recorded: true, ..Changes::default() };
        let mut changes = std::mem::replace(&mut self.changes, next);
        if let Some(earlier) = self.handed_over.take() {
            changes.add(earlier);
        }
        self.handed_over = Some(changes);
    }

    /// Records that what was handed over is on disk.
    pub(in crate::jobs) fn mark_saved(&mut self) {
        self.handed_over = None;
    }

    /// Records that the contents of the disk are unknown.
    pub(in crate::jobs) fn mark_all_dirty(&mut self) {
        (self.changes, self.handed_over) = (Changes::default(), None);
    }

    /// Ends a transaction that was restored. Returns whether it told nothing of the details that ones before it did.
    pub(in crate::jobs) fn end_transaction(&mut self) -> bool {
        let told = std::mem::take(&mut self.told);
        std::mem::replace(&mut self.restored, told) && !told
    }

    /// Records that what was handed over did not reach the disk: the next save has it again.
    pub(in crate::jobs) fn mark_not_saved(&mut self) {
        if let Some(earlier) = self.handed_over.take() {
            self.changes.add(earlier);
        }
    }

    fn own_record(&self) -> Record<'_> {
        Record::Details(DetailsV1 { origin: to_unix_ms(self.origin) })
    }

    fn counter_record(&self, key: &CounterKey) -> Option<Record<'_>> {
        let (count, bounds) = self.counters.get(key)?;
        let CounterKey { counter, job_type, other } = *key;
        let (number, counts, sum) = match count {
            Count::Sum(sum) => (*sum, &[][..], 0.0),
            Count::Times(times) => (0, &times.counts[..], times.sum),
        };
        Some(Record::Counter(CounterV1 {
            counter: counter as u8,
            job_type: job_type.0,
            other: other.0,
            number,
            bounds: bounds.into(),
            counts: counts.into(),
            sum,
        }))
    }

    fn failure_record(&self, key: FailureKey) -> Option<Record<'_>> {
        let failure = self.failures.all.get(&key)?;
        Some(Record::Failure(FailureV1 {
            end: key.0,
            id: key.1,
            status: failure.status,
            on_tape: failure.on_tape,
            storage_unit: Cow::Borrowed(&failure.storage_unit),
            media_server: Cow::Borrowed(&failure.media_server),
            policy: Cow::Borrowed(&failure.policy),
            client: Cow::Borrowed(&failure.client),
        }))
    }

    fn sizes_record(&self, key: u64) -> Record<'_> {
        let sizes = self.sizes.all.get(&key);
        let all = sizes.map_or(&[][..], |sizes| &sizes.all);
        Record::Sizes(SizesV1 { key, day: sizes.map_or(0, |sizes| sizes.day), all: all.into() })
    }

    fn stall_record(&self, id: i64) -> Record<'_> {
        let job = self.stalls.saved(id).map(|job| (job.print, job.since));
        Record::Stall(StallV1 { id, job })
    }

    fn text_record(&self, status: i64) -> Option<Record<'_>> {
        let answer = self.texts.answers.get(&status)?;
        let text = answer.text.as_deref().map(Cow::Borrowed);
        Some(Record::StatusText(StatusTextV1 { status, text, at: answer.at }))
    }

    fn catalogue_record(&self) -> Record<'_> {
        let CatalogueBackup { last, good } = self.catalogue;
        Record::Catalogue(CatalogueBackupV1 {
            last: last.map(Into::into),
            good: good.map(Into::into),
        })
    }

    /// Restores a record; those of other parts of the ledger are none of its business.
    pub(in crate::jobs) fn restore(&mut self, record: Record<'_>) {
        match record {
            Record::Details(saved) => {
                self.origin = from_unix_ms(saved.origin);
                self.told = true;
            }
            Record::Failure(saved) => self.restore_failure(&saved),
            Record::Sizes(saved) => self.restore_sizes(saved),
            Record::Stall(saved) => self.restore_stall(&saved),
            Record::StatusText(saved) => self.restore_text(&saved),
            Record::Catalogue(saved) => self.restore_catalogue(saved),
            _ => {}
        }
    }

    /// Restores a counter, if it fits to the names, and is not one of a newer build.
    pub(in crate::jobs) fn restore_counter(&mut self, saved: CounterV1<'_>, names: &Interner) {
        let (job_type, other) = (NameId(saved.job_type), NameId(saved.other));
        let counter = Counter::from_number(saved.counter);
        let counter = counter.filter(|_| names.has(job_type) && names.has(other));
        let Some(counter) = counter else { return };
        let count = if saved.bounds.is_empty() {
            Count::Sum(saved.number)
        } else {
            Count::Times(Distribution { counts: saved.counts.into_owned(), sum: saved.sum })
        };
        let key = CounterKey { counter, job_type, other };
        self.counters.restore(key, &saved.bounds, count);
    }

    fn restore_failure(&mut self, saved: &FailureV1<'_>) {
        let failure = Failure {
            status: saved.status,
            on_tape: saved.on_tape,
            storage_unit: (&*saved.storage_unit).into(),
            media_server: (&*saved.media_server).into(),
            policy: (&*saved.policy).into(),
            client: (&*saved.client).into(),
        };
        self.failures.add((saved.end, saved.id), failure);
    }

    fn restore_sizes(&mut self, saved: SizesV1<'_>) {
        let SizesV1 { key, day, all } = saved;
        if all.is_empty() {
            self.sizes.all.remove(&key);
        } else {
            self.sizes.all.insert(key, Sizes { all: all.into_owned(), day });
        }
    }

    fn restore_stall(&mut self, saved: &StallV1) {
        let job = saved.job.map(|(print, since)| Progressed { print, since });
        self.stalls.restore(saved.id, job);
    }

    fn restore_text(&mut self, saved: &StatusTextV1<'_>) {
        let text = saved.text.as_deref().map(Into::into);
        self.texts.answers.insert(saved.status, StatusText { text, at: saved.at });
    }

    fn restore_catalogue(&mut self, saved: CatalogueBackupV1) {
        let CatalogueBackupV1 { last, good } = saved;
        self.catalogue = CatalogueBackup { last: last.map(Into::into), good: good.map(Into::into) };
    }
}
