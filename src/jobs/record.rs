//! The ledger as records: what a state file holds. A transaction is a sequence of them.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::classes::{Class, Labels};
use super::keys::Job;
use super::lasts::Lasts;
use super::ledger::{Known, Ledger, Position, Span};
use super::names::Name;
use super::totals::{Pair, Total};
use crate::metric::Distribution;

/// Roughly how large a part of everything is.
const PART: usize = 256 * 1024;

/// One fact. The order of the variants is the format: new ones go to the end.
#[derive(Debug, Serialize, Deserialize)]
enum Record<'a> {
    Position {
        now: i64,
        watermark: i64,
        horizon: i64,
        /// What is left of a look for late rows.
        late: Option<(i64, i64)>,
        gap: i64,
        gap_until: i64,
        /// Since when the totals count, Unix ms by our clock.
        origin: i64,
        /// When this was written, Unix ms by our clock.
        written: i64,
    },
    Name(u32, Cow<'a, str>),
    Class(u32, u32, u32, Option<i64>),
    Job {
        id: i64,
        start: i64,
        end: i64,
        kilobytes: i64,
        files: i64,
        dedup: f64,
        tries: u16,
        class: u32,
        client: u32,
        policy: u32,
        leaf: bool,
        resumed: bool,
    },
    /// A job that is no longer remembered.
    NoJob(i64),
    Known(i64, u16),
    /// A job that is no longer known as unfinished.
    NotKnown(i64),
    Total {
        class: u32,
        parents: u64,
        leaves: u64,
        kilobytes: u64,
        files: u64,
        retries: u64,
        parent_seen: bool,
        leaf_seen: bool,
    },
    Durations(u32, u32, Vec<u64>, f64),
    /// A record of the last jobs of clients (true) or policies, or that there is none any more.
    Last(bool, Cow<'a, [u8]>, Option<Cow<'a, [u8]>>),
}

/// What is not saved yet.
#[derive(Debug, Default)]
pub(super) struct Changes {
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
}

/// A state file whose content does not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its records do not fit together")]
pub struct Damaged;

impl Ledger {
    /// Whether there is anything worth saving: a first window that is not whole is read anew.
    pub fn can_be_saved(&self) -> bool {
        self.position.whole
    }

    /// What changed since the last [`Ledger::saved`], as one transaction.
    pub fn changed_records(&mut self, written: SystemTime) -> Vec<u8> {
        let mut out = Vec::new();
        let changes = &self.changes;
        self.names
            .since(changes.names)
            .for_each(|(name, text)| put(&mut out, &name_record(name, text)));
        let labels = self.classes.since(changes.labels);
        labels.for_each(|(class, labels)| put(&mut out, &class_record(class, *labels)));
        for id in &changes.jobs {
            let record = self.keys.get(*id).map_or(Record::NoJob(*id), job_record);
            put(&mut out, &record);
        }
        for id in &changes.known {
            let known = self.known.get(id);
            let record =
                known.map_or(Record::NotKnown(*id), |known| Record::Known(*id, known.tries));
            put(&mut out, &record);
        }
        let totals = changes.classes.iter().filter_map(|class| self.total_record(*class));
        totals.for_each(|record| put(&mut out, &record));
        let durations = changes.pairs.iter().filter_map(|pair| self.durations_record(*pair));
        durations.for_each(|record| put(&mut out, &record));
        put(&mut out, &self.position_record(written));
        for (clients, table) in [(true, &mut self.clients), (false, &mut self.policies)] {
            // Should they not reach the disk, all records are written next.
            for (key, value) in table.iter_mut().flat_map(Lasts::drain_changes) {
                put(&mut out, &Record::Last(clients, key.into(), value.map(Cow::from)));
            }
        }
        out
    }

    /// All records, in parts of a bounded size; together they are one transaction.
    pub fn all_records(&self, written: SystemTime) -> impl Iterator<Item = Vec<u8>> {
        let names = self.names.since(0).map(|(name, text)| name_record(name, text));
        let classes = self.classes.since(0).map(|(class, labels)| class_record(class, *labels));
        let jobs = self.keys.iter().map(job_record);
        let known = self.known.iter().map(|(id, known)| Record::Known(*id, known.tries));
        let totals = self.totals.classes().filter_map(|class| self.total_record(class));
        let durations = self.totals.pairs().filter_map(|pair| self.durations_record(pair));
        let mut records = names
            .chain(classes)
            .chain(jobs)
            .chain(known)
            .chain(totals)
            .chain(durations)
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

    /// Everything up to here is saved, and what changes from here on is remembered.
    pub fn saved(&mut self) {
        self.changes = Changes {
            kept: true,
            names: self.names.len(),
            labels: self.classes.len(),
            ..Changes::default()
        };
    }

    /// Whether what changed since the last save is known, so that it alone needs saving.
    pub fn knows_what_changed(&self) -> bool {
        self.changes.kept
    }

    /// What is saved is not known any more: the next save has to be one of everything.
    pub fn unsaved(&mut self) {
        self.changes = Changes::default();
    }

    /// Takes the records of a part or a transaction in.
    ///
    /// # Errors
    ///
    /// Where they are none, or refer to what is not there.
    pub fn restore(&mut self, mut bytes: &[u8]) -> Result<(), Damaged> {
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
    pub fn restored(&mut self) -> Result<(), Damaged> {
        if !self.position.whole {
            return Err(Damaged);
        }
        self.refold();
        self.saved();
        Ok(())
    }

    fn restore_record(&mut self, record: Record<'_>) -> Result<(), Damaged> {
        match record {
            Record::Name(number, text) => {
                let fits = self.names.intern(&text) == Name(number);
                return if fits { Ok(()) } else { Err(Damaged) };
            }
            Record::Class(number, job_type, policy_type, status) => {
                let labels = Labels {
                    job_type: self.name(job_type)?,
                    policy_type: self.name(policy_type)?,
                    status,
                };
                let fits = self.classes.intern(labels) == Class(number);
                return if fits { Ok(()) } else { Err(Damaged) };
            }
            Record::Job { class, client, policy, .. } => {
                let (class, client, policy) =
                    (self.class(class)?, self.name(client)?, self.name(policy)?);
                self.keys.insert(restored_job(&record, class, client, policy).ok_or(Damaged)?);
            }
            Record::NoJob(id) => {
                self.keys.remove(id);
            }
            Record::Known(id, tries) => {
                self.known.insert(id, Known { tries, seen: self.position.now });
            }
            Record::NotKnown(id) => {
                self.known.remove(&id);
            }
            Record::Total {
                class,
                parents,
                leaves,
                kilobytes,
                files,
                retries,
                parent_seen,
                leaf_seen,
            } => {
                let total =
                    Total { parents, leaves, kilobytes, files, retries, parent_seen, leaf_seen };
                self.totals.restore_total(self.class(class)?, total);
            }
            Record::Durations(job_type, policy_type, counts, sum) => {
                let pair = (self.name(job_type)?, self.name(policy_type)?);
                let fits = self.totals.restore_durations(pair, Distribution { counts, sum });
                return if fits { Ok(()) } else { Err(Damaged) };
            }
            Record::Last(clients, key, value) => {
                let table = if clients { &mut self.clients } else { &mut self.policies };
                // Of a table that is switched off nothing is kept.
                let Some(table) = table else { return Ok(()) };
                match value {
                    Some(value) => table.restore(&key, &value).map_err(|_| Damaged)?,
                    None => table.forget(&key),
                }
            }
            Record::Position { now, watermark, horizon, late, gap, gap_until, origin, written } => {
                let late = late.map(|(from, to)| Span { from, to });
                // A start looks for late rows whenever one was taken last.
                let late_at = None;
                self.position = Position {
                    now,
                    watermark,
                    horizon,
                    late_at,
                    late,
                    gap,
                    gap_until,
                    whole: true,
                };
                self.totals.origin = from_ms(origin);
                self.written = Some(from_ms(written));
            }
        }
        Ok(())
    }

    fn last_records(&self) -> impl Iterator<Item = Record<'_>> {
        let tables = [(true, &self.clients), (false, &self.policies)];
        tables.into_iter().flat_map(|(clients, table)| {
            let records = table.iter().flat_map(Lasts::all_records);
            records.map(move |(key, value)| Record::Last(clients, key.into(), Some(value.into())))
        })
    }

    fn name(&self, number: u32) -> Result<Name, Damaged> {
        if (number as usize) < self.names.len() { Ok(Name(number)) } else { Err(Damaged) }
    }

    fn class(&self, number: u32) -> Result<Class, Damaged> {
        let class = Class(number);
        self.classes.get(class).map(|_| class).ok_or(Damaged)
    }

    fn total_record(&self, class: Class) -> Option<Record<'_>> {
        let total = self.totals.total(class)?.clone();
        let Total { parents, leaves, kilobytes, files, retries, parent_seen, leaf_seen } = total;
        let class = class.0;
        Some(Record::Total {
            class,
            parents,
            leaves,
            kilobytes,
            files,
            retries,
            parent_seen,
            leaf_seen,
        })
    }

    fn durations_record(&self, (job_type, policy_type): Pair) -> Option<Record<'_>> {
        let durations = self.totals.durations((job_type, policy_type))?;
        Some(Record::Durations(job_type.0, policy_type.0, durations.counts.clone(), durations.sum))
    }

    fn position_record(&self, written: SystemTime) -> Record<'_> {
        let Position { now, watermark, horizon, late, gap, gap_until, .. } = self.position;
        let late = late.map(|late| (late.from, late.to));
        let (origin, written) = (to_ms(self.totals.origin), to_ms(written));
        Record::Position { now, watermark, horizon, late, gap, gap_until, origin, written }
    }
}

fn put(out: &mut Vec<u8>, record: &Record<'_>) {
    // Extending a vector cannot fail, and every record can be written.
    if let Ok(bytes) = postcard::to_stdvec(record) {
        out.extend(bytes);
    }
}

fn name_record(name: Name, text: &str) -> Record<'_> {
    Record::Name(name.0, Cow::Borrowed(text))
}

fn class_record<'a>(class: Class, labels: Labels) -> Record<'a> {
    Record::Class(class.0, labels.job_type.0, labels.policy_type.0, labels.status)
}

fn job_record<'a>(job: &Job) -> Record<'a> {
    Record::Job {
        id: job.id,
        start: job.start,
        end: job.end,
        kilobytes: job.kilobytes,
        files: job.files,
        dedup: job.dedup,
        tries: job.tries,
        class: job.class.0,
        client: job.client.0,
        policy: job.policy.0,
        leaf: job.leaf,
        resumed: job.resumed,
    }
}

fn restored_job(record: &Record<'_>, class: Class, client: Name, policy: Name) -> Option<Job> {
    let Record::Job { id, start, end, kilobytes, files, dedup, tries, leaf, resumed, .. } = *record
    else {
        return None;
    };
    Some(Job {
        id,
        start,
        end,
        kilobytes,
        files,
        dedup,
        tries,
        class,
        client,
        policy,
        leaf,
        resumed,
    })
}

pub(super) fn to_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn from_ms(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
