//! The ledger as records: what a state file holds. A transaction is a sequence of them.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::classes::{Class, Labels};
use super::keys::Job;
use super::lasts::{LastChanges, Named};
use super::ledger::{Ledger, Position};
use super::names::Name;
use super::totals::{Pair, Total, Totals};
use super::unfinished::Known;
use crate::metric::Distribution;

/// Roughly how large a part of everything is.
const PART: usize = 256 * 1024;

/// One fact. The order of the variants, and of the fields of what they hold, is the format: new ones
/// go to the end.
#[derive(Debug, Serialize, Deserialize)]
enum Record<'a> {
    Position {
        position: Position,
        /// Since when the totals count, Unix ms by our clock.
        origin: i64,
        /// When this was written, Unix ms by our clock.
        written: i64,
    },
    Name(Name, Cow<'a, str>),
    Class(Class, Labels),
    Job(Job),
    /// A job that is no longer remembered.
    NoJob(i64),
    /// A job of which no key tells its present state.
    Known(i64, Known),
    /// A job of which that is no longer true.
    NotKnown(i64),
    Total(Class, Cow<'a, Total>),
    Durations(Pair, Cow<'a, [u64]>, f64),
    /// A record of the last jobs of clients or policies, or that there is none any more.
    Last(Named, Cow<'a, [u8]>, Option<Cow<'a, [u8]>>),
}

/// The part of the ledger that is not saved yet.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The rest is saved; otherwise all of it has to be.
    kept: bool,
    jobs: HashSet<i64>,
    known: HashSet<i64>,
    classes: BTreeSet<Class>,
    pairs: BTreeSet<Pair>,
    /// How many names and classes are saved.
    names: usize,
    labels: usize,
}

impl Changes {
    pub(super) fn job(&mut self, id: i64) {
        if self.kept {
            self.jobs.insert(id);
        }
    }

    pub(super) fn known(&mut self, id: i64) {
        if self.kept {
            self.known.insert(id);
        }
    }

    pub(super) fn total(&mut self, class: Class, pair: Pair) {
        if self.kept {
            self.classes.insert(class);
            self.pairs.insert(pair);
        }
    }

    /// Takes back what was handed over and did not reach the disk.
    fn take_back(&mut self, earlier: Self) {
        self.kept = earlier.kept;
        self.jobs.extend(earlier.jobs);
        self.known.extend(earlier.known);
        self.classes.extend(earlier.classes);
        self.pairs.extend(earlier.pairs);
        (self.names, self.labels) = (earlier.names, earlier.labels);
    }
}

/// The part of the ledger that was handed over to be written, and is not acknowledged yet.
#[derive(Debug, Default)]
pub(super) struct HandedOver {
    changes: Changes,
    lasts: Vec<(Named, LastChanges)>,
}

/// The reason why the records of a state file cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// They do not fit together.
    #[error("its records do not fit together")]
    Damaged,
    /// A newer version of the agent wrote one of this kind.
    #[error("it has a record of kind {0} that this version does not know")]
    Newer(u8),
}

use RestoreError::Damaged;

impl Ledger {
    /// Returns what changed since it was handed over last, as one transaction, and hands it over:
    /// [`Ledger::saved`] or [`Ledger::not_saved`] must follow.
    pub fn changed_records(&mut self, written: SystemTime) -> Vec<u8> {
        let mut out = Vec::new();
        let changes = &self.changes;
        let known = |id: &i64| {
            self.known.get(id).map_or(Record::NotKnown(*id), |known| Record::Known(*id, *known))
        };
        let job = |id: &i64| self.keys.get(*id).map_or(Record::NoJob(*id), |job| Record::Job(*job));
        let records = self
            .name_records(changes.names)
            .chain(self.class_records(changes.labels))
            .chain(changes.jobs.iter().map(job))
            .chain(changes.known.iter().map(known))
            .chain(changes.classes.iter().filter_map(|class| self.total_record(*class)))
            .chain(changes.pairs.iter().filter_map(|pair| self.durations_record(*pair)))
            .chain(std::iter::once(self.position_record(written)));
        for record in records {
            put(&mut out, &record);
        }
        for table in &self.lasts {
            for (key, value) in table.changed_records() {
                put(&mut out, &Record::Last(table.named(), key.into(), value.map(Cow::from)));
            }
        }
        self.hand_over_all();
        out
    }

    /// All records, in parts of a bounded size; together they are one transaction.
    pub fn all_records(&self, written: SystemTime) -> impl Iterator<Item = Vec<u8>> {
        let known = self.known.iter().map(|(id, known)| Record::Known(*id, *known));
        let mut records = self
            .name_records(0)
            .chain(self.class_records(0))
            .chain(self.keys.iter().map(|job| Record::Job(*job)))
            .chain(known)
            .chain(self.totals.classes().filter_map(|class| self.total_record(class)))
            .chain(self.totals.pairs().filter_map(|pair| self.durations_record(pair)))
            .chain(self.last_records())
            .chain(std::iter::once(self.position_record(written)));
        std::iter::from_fn(move || {
            let mut part = Vec::new();
            while part.len() < PART {
                let Some(record) = records.next() else { break };
                put(&mut part, &record);
            }
            (!part.is_empty()).then_some(part)
        })
    }

    /// Notes that everything up to here was handed over to be written; what changes from here on is
    /// remembered.
    pub fn hand_over_all(&mut self) {
        let kept = Changes {
            kept: true,
            names: self.names.len(),
            labels: self.classes.len(),
            ..Changes::default()
        };
        let changes = std::mem::replace(&mut self.changes, kept);
        let lasts = self.lasts.iter_mut().map(|table| (table.named(), table.hand_over()));
        let mut next = HandedOver { changes, lasts: lasts.collect() };
        if let Some(before) = self.handed_over.take() {
            // Not acknowledged yet.
            next.changes.take_back(before.changes);
            next.lasts.extend(before.lasts);
        }
        self.handed_over = Some(next);
    }

    /// Notes that what was handed over is on disk.
    pub fn saved(&mut self) {
        self.handed_over = None;
    }

    /// Notes that what was handed over did not reach the disk: the next save has it again.
    pub fn not_saved(&mut self) {
        let Some(HandedOver { changes, lasts }) = self.handed_over.take() else { return };
        self.changes.take_back(changes);
        for (named, changes) in lasts {
            if let Some(table) = self.lasts_mut(named) {
                table.take_back(changes);
            }
        }
    }

    /// Returns whether what changed since the last save is known, so that it alone needs saving.
    pub fn knows_what_changed(&self) -> bool {
        self.changes.kept
    }

    /// Notes that it is not known any more what is saved: the next save has to be one of everything.
    pub fn unsaved(&mut self) {
        self.changes = Changes::default();
        self.handed_over = None;
    }

    /// Begins the totals at 0, at `origin`: those that were restored are not the last ones that were shown.
    pub fn restart_totals(&mut self, origin: SystemTime) {
        self.totals = Totals::new(from_ms(to_ms(origin)));
        let shown = self.keys.iter().filter(|job| self.window.holds(job.end));
        for job in shown {
            if let Some(labels) = self.classes.get(job.class) {
                let pair = (labels.job_type, labels.policy_type);
                self.totals.seen(job.class, pair, job.leaf);
            }
        }
        self.position.gap = 0;
        for table in &mut self.lasts {
            table.restart_folded();
        }
        self.unsaved();
    }

    /// Takes the records of a part or a transaction in.
    ///
    /// # Errors
    ///
    /// Where they are none, or refer to what is not there.
    pub fn restore(&mut self, mut bytes: &[u8]) -> Result<(), RestoreError> {
        while !bytes.is_empty() {
            let (record, rest) = postcard::take_from_bytes(bytes).map_err(|_| Damaged)?;
            self.restore_record(record)?;
            bytes = rest;
        }
        Ok(())
    }

    /// All records were taken in. Whether they were whole.
    ///
    /// # Errors
    ///
    /// Where the position is missing.
    pub fn restored(&mut self) -> Result<(), RestoreError> {
        if self.written.is_none() {
            return Err(Damaged);
        }
        self.refold();
        self.hand_over_all();
        self.saved();
        self.advance_last_results(self.position.now, true);
        // Those that these rules select newly learn of the window, as after a reload.
        self.refill_lasts();
        Ok(())
    }

    fn restore_record(&mut self, record: Record<'_>) -> Result<(), RestoreError> {
        let fits = match record {
            Record::Name(name, text) => self.names.intern(&text) == name,
            Record::Class(class, labels) => {
                self.has(labels.job_type)
                    && self.has(labels.policy_type)
                    && self.classes.intern(labels) == class
            }
            Record::Job(job) => {
                let whole = self.classes.get(job.class).is_some()
                    && self.has(job.client)
                    && self.has(job.policy);
                if whole {
                    self.keys.insert(job);
                }
                whole
            }
            Record::NoJob(id) => {
                self.keys.remove(id);
                true
            }
            Record::Known(id, known) => {
                self.known.insert(id, known);
                true
            }
            Record::NotKnown(id) => {
                self.known.remove(&id);
                true
            }
            Record::Total(class, total) => {
                self.totals.restore_total(class, total.into_owned());
                self.classes.get(class).is_some()
            }
            Record::Durations(pair, counts, sum) => {
                let durations = Distribution { counts: counts.into_owned(), sum };
                self.has(pair.0)
                    && self.has(pair.1)
                    && self.totals.restore_durations(pair, durations)
            }
            Record::Last(named, key, value) => match (self.lasts_mut(named), value) {
                // Of a table that is switched off nothing is kept.
                (None, _) => true,
                (Some(table), Some(value)) => table.restore(&key, &value).is_ok(),
                (Some(table), None) => {
                    table.forget(&key);
                    true
                }
            },
            Record::Position { position, origin, written } => {
                self.position = position;
                self.totals.origin = from_ms(origin);
                self.written = Some(from_ms(written));
                true
            }
        };
        if fits { Ok(()) } else { Err(Damaged) }
    }

    fn has(&self, name: Name) -> bool {
        (name.0 as usize) < self.names.len()
    }

    fn name_records(&self, first: usize) -> impl Iterator<Item = Record<'_>> {
        self.names.since(first).map(|(name, text)| Record::Name(name, Cow::Borrowed(text)))
    }

    fn class_records(&self, first: usize) -> impl Iterator<Item = Record<'_>> {
        self.classes.since(first).map(|(class, labels)| Record::Class(class, *labels))
    }

    fn total_record(&self, class: Class) -> Option<Record<'_>> {
        Some(Record::Total(class, Cow::Borrowed(self.totals.total(class)?)))
    }

    fn durations_record(&self, pair: Pair) -> Option<Record<'_>> {
        let durations = self.totals.durations(pair)?;
        Some(Record::Durations(pair, Cow::Borrowed(&durations.counts), durations.sum))
    }

    fn last_records(&self) -> impl Iterator<Item = Record<'_>> {
        self.lasts.iter().flat_map(|table| {
            let records = table.all_records();
            records.map(|(key, value)| Record::Last(table.named(), key.into(), Some(value.into())))
        })
    }

    fn position_record(&self, written: SystemTime) -> Record<'_> {
        let (origin, written) = (to_ms(self.totals.origin), to_ms(written));
        Record::Position { position: self.position, origin, written }
    }
}

fn put(out: &mut Vec<u8>, record: &Record<'_>) {
    // Extending a vector cannot fail, and every record can be written.
    if let Ok(bytes) = postcard::to_stdvec(record) {
        out.extend(bytes);
    }
}

pub(super) fn to_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn from_ms(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
