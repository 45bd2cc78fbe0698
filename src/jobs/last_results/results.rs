//! The last results of the clients, or of the policies, of one site. Fed with completions in any order; the
//! result does not depend on it, as long as there is room for all names.

use std::collections::{BTreeMap, BTreeSet};

use super::lookup::{LookupAnswer, LookupQuery, LookupQueue};
use super::name_filter::{NameFilter, NameFilterConfig};
use super::name_results::NameResults;
use super::places::Places;
use super::subject::Subject;
use super::{format, metrics};
use crate::jobs::completion::Completion;
use crate::jobs::groups::Groups;
use crate::jobs::row::Actions;
use crate::jobs::time::ms;
use crate::metric::{Samples, SeriesGroups};

/// Names of a group of series, about: a name has some twenty series.
const GROUP_SIZE: usize = 16;

/// Time by which an end may be later than the present, ms: clocks of media servers differ a little.
pub(in crate::jobs) const AHEAD: i64 = 60_000;

/// The key of a record: one for each name, and one for the number of folded jobs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::jobs) enum RecordKey {
    Name(Box<str>),
    Folded,
}

impl RecordKey {
    /// Begins the key of a name on disk.
    const NAME: u8 = b'n';
    const FOLDED: &[u8] = b"folded";

    fn parse(key: &[u8]) -> Option<Self> {
        if key == Self::FOLDED {
            return Some(Self::Folded);
        }
        let (_, name) = key.split_first().filter(|(kind, _)| **kind == Self::NAME)?;
        Some(Self::Name(std::str::from_utf8(name).ok()?.into()))
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Name(name) => [&[Self::NAME], name.as_bytes()].concat(),
            Self::Folded => Self::FOLDED.to_vec(),
        }
    }
}

/// The key of a record and its value; `None` if it is to be removed.
pub(super) type SavedRecord = (Vec<u8>, Option<Vec<u8>>);

#[derive(Debug)]
pub(crate) struct LastResults {
    pub(in crate::jobs) subject: Subject,
    filter: NameFilter,
    places: Places,
    /// Completions of names that had no room.
    pub(in crate::jobs) folded: u64,
    /// The server's present time, Unix ms.
    now: Option<i64>,
    /// Time for which names are remembered, ms.
    forget_after: Option<i64>,
    /// No name is gone before then.
    next_gone: i64,
    lookups: LookupQueue,
    /// Records that differ from those on disk, since they were handed over last.
    pub(in crate::jobs) changes: BTreeSet<RecordKey>,
    groups: Groups<Box<str>>,
    /// Number of changes after which a name may have another label.
    pub(in crate::jobs) version: u64,
}

impl LastResults {
    pub(super) fn new(subject: Subject, config: &NameFilterConfig) -> Self {
        let mut results = Self {
            subject,
            filter: NameFilter::default(),
            places: Places::default(),
            folded: 0,
            now: None,
            forget_after: None,
            next_gone: i64::MIN,
            lookups: LookupQueue::default(),
            changes: BTreeSet::new(),
            groups: Groups::of_size(GROUP_SIZE),
            version: 0,
        };
        results.reconfigure(config);
        results
    }

    /// Applies another configuration. Names that are still selected, and have room, keep their results;
    /// the others are dropped. Names that are new are unknown until [`fill`](Self::fill).
    pub(super) fn reconfigure(&mut self, config: &NameFilterConfig) {
        self.filter = NameFilter::new(self.subject, config);
        self.forget_after = config.forget_after.map(ms);
        self.next_gone = i64::MIN;
        let changed = self.places.reconfigure(&self.filter, config.limit);
        self.changes.extend(changed.into_iter().map(RecordKey::Name));
        self.groups.mark_all();
        self.version += 1;
        self.lookups.retain(|key| self.places.has(key));
    }

    /// Returns the latest end that counts: what ended later is in the future.
    fn limit(&self) -> i64 {
        self.now.map_or(i64::MAX, |now| now.saturating_add(AHEAD))
    }

    /// Records a completion. One that is recorded again changes nothing but the number of folded ones.
    pub(in crate::jobs) fn record(&mut self, job: &Completion<'_>) {
        if self.add(job) == Some(false) {
            self.folded += 1;
            self.changes.insert(RecordKey::Folded);
        }
    }

    /// Adds completions, recorded or not: for names that were not selected before, or had no room.
    pub(in crate::jobs) fn fill<'c>(&mut self, jobs: impl Iterator<Item = Completion<'c>>) {
        for job in jobs {
            self.add(&job);
        }
    }

    /// Adds a completion. Returns whether its name had room; `None` if it is not selected.
    fn add(&mut self, job: &Completion<'_>) -> Option<bool> {
        if self.subject == Subject::Workload && !job.protects() {
            return None;
        }
        let name = self.subject.of(job);
        let key = self.subject.key(name);
        if !self.filter.admits(&key) {
            return None;
        }
        if job.end > self.limit() {
            return Some(self.places.has_room_for(&key));
        }
        let subject = self.subject;
        let Some(entry) = self.entry(&key, name) else { return Some(false) };
        if entry.add(job, name, subject) {
            self.mark(&key);
        }
        Some(true)
    }

    /// Notes that the results of a name changed, or that they are gone.
    fn mark(&mut self, key: &str) {
        self.groups.mark(key.into());
        self.changes.insert(RecordKey::Name(key.into()));
    }

    /// Returns the results of a name that is selected, created if there is room.
    fn entry(&mut self, key: &str, name: &str) -> Option<&mut NameResults> {
        if self.places.assign(key, name)? {
            self.next_gone = i64::MIN;
            self.groups.mark(key.into());
            self.version += 1;
        }
        self.places.entries.get_mut(key)
    }

    /// Returns the label under which jobs of `name` count: its own, `other` if it has no room, `None` if
    /// it is not selected. It stays the same for a name that was recorded, until
    /// [`reconfigure`](Self::reconfigure). A client has one label, however it is spelt.
    pub(in crate::jobs) fn label<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let key = self.subject.key(name);
        self.filter.admits(&key).then(|| self.places.label(&key, name))
    }

    /// Sets the present time, and forgets the names, but those spelt out, whose last job ended long ago.
    pub(super) fn set_now(&mut self, now: i64) {
        self.now = Some(now);
        if now < self.next_gone {
            return;
        }
        self.next_gone = i64::MAX;
        let mut gone: Vec<Box<str>> = Vec::new();
        for (key, entry) in self.places.others() {
            let gone_at = match (self.forget_after, entry.newest()) {
                (None, _) => i64::MAX,
                (Some(_), None) => i64::MIN,
                (Some(after), Some(end)) => end.saturating_add(after),
            };
            if gone_at <= now {
                gone.push(key.into());
            } else {
                self.next_gone = self.next_gone.min(gone_at);
            }
        }
        for key in gone {
            self.places.remove(&key);
            self.lookups.forget(&key);
            self.version += 1;
            self.mark(&key);
        }
    }

    /// Drops the results that lie in the future: the server's clock was set back, or was wrong when
    /// they were stored. Returns whether there were any; [`fill`](Self::fill) finds those again that
    /// were hidden behind them.
    pub(super) fn drop_future(&mut self) -> bool {
        let limit = self.limit();
        self.next_gone = i64::MIN;
        let mut any = false;
        for (key, entry) in &mut self.places.entries {
            if entry.drop_after(limit) {
                any = true;
                self.groups.mark(key.clone());
                self.changes.insert(RecordKey::Name(key.clone()));
            }
        }
        any
    }

    /// Returns the names of which it is not known whether they ever had a successful backup, and that
    /// are due, at most so many: those that the configuration spells out, others that were seen, then
    /// those that failed before.
    pub(super) fn next_lookups(&mut self, limit: usize) -> Vec<LookupQuery> {
        // Whether a workload ever had a backup is not told.
        if self.subject == Subject::Workload {
            return Vec::new();
        }
        let due = self.places.due_for_lookup(self.now.unwrap_or(0));
        let next = self.lookups.next(due, limit);
        next.into_iter().map(|(key, retried)| self.query(key, retried)).collect()
    }

    fn query(&self, key: &str, retried: bool) -> LookupQuery {
        let entry = self.places.entries.get(key);
        let name = self.places.own_label(key).unwrap_or(key);
        let seen = entry.filter(|entry| entry.newest().is_some());
        let mut spellings: Vec<String> = Vec::new();
        let mut add = |spelling: &str| {
            if !spellings.iter().any(|known| known == spelling) {
                spellings.push(spelling.to_owned());
            }
        };
        // Spelt as the server does: its filter may mind the case of a host's name.
        seen.into_iter().flat_map(|entry| &entry.spellings).for_each(|spelling| add(spelling));
        add(name);
        if self.subject == Subject::Client && seen.is_none() {
            add(&name.to_ascii_lowercase());
            add(&name.to_ascii_uppercase());
        }
        let (subject, until) = (self.subject, self.limit());
        LookupQuery { subject, name: name.to_owned(), spellings, retried, until }
    }

    /// Applies the server's answer for `name`. One for a name that lost its place meanwhile is dropped.
    pub(crate) fn apply_lookup(&mut self, name: &str, answer: LookupAnswer) {
        let key = self.subject.key(name).into_owned();
        self.lookups.forget(&key);
        if !self.places.has(&key) || !self.filter.admits(&key) {
            return;
        }
        let (now, limit) = (self.now.unwrap_or(0), self.limit());
        let Some(entry) = self.entry(&key, name) else { return };
        if entry.apply_lookup(answer, now, limit) {
            self.mark(&key);
        }
    }

    /// Records that the server could not be asked for `name`: others go first from here on.
    pub(crate) fn note_failed_lookup(&mut self, name: &str) {
        let key = self.subject.key(name);
        if self.places.has(&key) {
            self.lookups.note_failure(&key);
        }
    }

    /// Returns the series of all names in groups, those of groups in which nothing changed as they were, with
    /// other names for job types; types with one action are merged.
    pub(super) fn samples(&mut self, actions: &Actions) -> SeriesGroups {
        let (subject, names) = (self.subject, &self.places.entries);
        name_samples(&mut self.groups, subject, names, actions)
    }

    /// Returns the series of all names as if none was known.
    #[cfg(test)]
    pub(super) fn samples_anew(&self, actions: &Actions) -> SeriesGroups {
        let mut groups = Groups::of_size(GROUP_SIZE);
        name_samples(&mut groups, self.subject, &self.places.entries, actions)
    }

    /// Returns the records that changed since they were handed over last. A workload has none but those of classes.
    pub(super) fn changed_records(&self) -> impl Iterator<Item = SavedRecord> {
        self.changes.iter().filter(|_| !self.is_new()).filter_map(|key| self.record_of(key))
    }

    pub(super) fn all_records(&self) -> impl Iterator<Item = SavedRecord> {
        self.keys().filter(|_| !self.is_new()).filter_map(|key| self.record_of(&key))
    }

    /// Returns the records of classes that changed, each to follow that of the results.
    pub(super) fn changed_class_records(&self) -> impl Iterator<Item = SavedRecord> {
        self.changes.iter().filter_map(|key| self.class_record_of(key))
    }

    pub(super) fn all_class_records(&self) -> impl Iterator<Item = SavedRecord> {
        let records = self.keys().filter_map(|key| self.class_record_of(&key));
        records.filter(|(_, value)| value.is_some())
    }

    fn keys(&self) -> impl Iterator<Item = RecordKey> {
        let names = self.places.entries.keys().map(|key| RecordKey::Name(key.clone()));
        names.chain((self.folded > 0).then_some(RecordKey::Folded))
    }

    /// Returns a record; `None` if it cannot be encoded, which does not happen: the old one would stay.
    fn record_of(&self, key: &RecordKey) -> Option<SavedRecord> {
        let value = match key {
            RecordKey::Name(name) => match self.places.entries.get(name) {
                Some(entry) => Some(format::encode(entry)?),
                None => None,
            },
            RecordKey::Folded => Some(self.folded.to_le_bytes().to_vec()),
        };
        Some((key.bytes(), value))
    }

    /// Returns a record of classes, likewise; `None` of a client too.
    fn class_record_of(&self, key: &RecordKey) -> Option<SavedRecord> {
        if self.subject == Subject::Client {
            return None;
        }
        let RecordKey::Name(name) = key else {
            return if self.is_new() { self.record_of(key) } else { None };
        };
        let entry = self.places.entries.get(name);
        let value = match entry.filter(|entry| self.is_new() || !entry.classes.is_empty()) {
            Some(entry) => Some(format::encode_classes(entry)?),
            None => None,
        };
        Some((key.bytes(), value))
    }

    /// Forgets the results by class of schedule; of workloads, which have no others, all.
    pub(super) fn forget_classes(&mut self) {
        let keys: Vec<Box<str>> = self.places.entries.keys().cloned().collect();
        for key in keys {
            if self.is_new() {
                self.places.remove(&key);
            } else if let Some(entry) = self.places.entries.get_mut(&key) {
                entry.classes.clear();
            }
        }
        self.groups.mark_all();
        self.version += 1;
    }

    /// Returns whether builds before did not know the subject.
    fn is_new(&self) -> bool {
        self.subject == Subject::Workload
    }

    /// Restores a record of classes. One of a policy follows that of its results. `None` if it cannot be read.
    pub(super) fn restore_classes(&mut self, key: &[u8], value: Option<&[u8]>) -> Option<()> {
        if self.is_new() {
            return self.restore_with(key, value, format::decode_classes);
        }
        let RecordKey::Name(key) = RecordKey::parse(key)? else { return Some(()) };
        let classes = value.map(format::decode_classes).map(|saved| saved.map(|it| it.classes));
        let classes = match classes {
            Some(read) => read?,
            None => BTreeMap::new(),
        };
        if let Some(entry) = self.places.entries.get_mut(&key) {
            entry.classes = classes;
            self.groups.mark_all();
        }
        Some(())
    }

    /// Restores a record, before anything else is recorded, or forgets a name whose record was removed. A
    /// record of a name that is no longer selected, or has no room, is dropped, and is among the changes as
    /// removed. `None` if the record cannot be read; nothing of it is restored.
    pub(super) fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Option<()> {
        self.restore_with(key, value, format::decode)
    }

    fn restore_with(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        decode: fn(&[u8]) -> Option<NameResults>,
    ) -> Option<()> {
        self.groups.mark_all();
        self.version += 1;
        let key = RecordKey::parse(key);
        let Some(value) = value else {
            if let Some(RecordKey::Name(key)) = key {
                self.places.remove(&key);
            }
            return Some(());
        };
        let key = match key? {
            RecordKey::Name(key) => key,
            RecordKey::Folded => {
                self.folded = u64::from_le_bytes(value.try_into().ok()?);
                return Some(());
            }
        };
        let saved = decode(value)?;
        let admitted = self.filter.admits(&key);
        let changed = match if admitted { self.entry(&key, &saved.label) } else { None } {
            Some(entry) => {
                // The configuration may spell it otherwise by now.
                let label = entry.label.clone();
                let changed = label != saved.label;
                // Those of a policy have a record of their own.
                let classes = std::mem::take(&mut entry.classes);
                *entry = NameResults { order: entry.order, ..saved.labelled(&label) };
                if entry.classes.is_empty() {
                    entry.classes = classes;
                }
                changed
            }
            None => true,
        };
        if changed {
            self.changes.insert(RecordKey::Name(key));
        }
        Some(())
    }
}

fn name_samples(
    groups: &mut Groups<Box<str>>,
    subject: Subject,
    names: &BTreeMap<Box<str>, NameResults>,
    actions: &Actions,
) -> SeriesGroups {
    let record = |keys: &mut BTreeSet<Box<str>>, samples: &mut Samples| {
        keys.retain(|key| {
            let entry = names.get(key);
            if let Some(entry) = entry {
                metrics::record(subject, entry, &|job_type| actions.of(job_type), samples);
            }
            entry.is_some()
        });
    };
    groups.refresh(actions, names.keys().cloned(), |key| Some(key.clone()), record)
}
