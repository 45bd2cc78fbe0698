//! The last results of the clients, or of the policies, of one site. Fed with completions in any order; the
//! result does not depend on it, as long as there is room for all names.

use super::lookup::{LookupAnswer, LookupQuery, LookupQueue};
use super::name_filter::NameFilter;
use super::name_results::NameResults;
use super::persist::{LastResultChanges, RecordKey, Unreadable};
use super::places::Places;
use super::present::Present;
use super::subject::Subject;
use super::{format, samples};
use crate::jobs::completion::Completion;
use crate::jobs::name_filter::NameFilterConfig;
use crate::metric::Samples;

/// The key of a record and its value; `None` if it is to be removed.
pub(in crate::jobs) type Change = (Vec<u8>, Option<Vec<u8>>);

/// Last results of one subject.
#[derive(Debug)]
pub(in crate::jobs) struct LastResults {
    subject: Subject,
    filter: NameFilter,
    places: Places,
    /// Completions of names that had no room.
    folded: u64,
    present: Present,
    lookups: LookupQueue,
    changes: LastResultChanges,
}

impl LastResults {
    /// Creates empty results.
    pub(in crate::jobs) fn new(subject: Subject, config: &NameFilterConfig) -> Self {
        let mut results = Self {
            subject,
            filter: NameFilter::new(subject, config),
            places: Places::default(),
            folded: 0,
            present: Present::default(),
            lookups: LookupQueue::default(),
            changes: LastResultChanges::default(),
        };
        results.places.reserve(&results.filter, config.limit);
        results.present.set_forget_after(config.forget_after);
        results
    }

    pub(in crate::jobs) fn subject(&self) -> Subject {
        self.subject
    }

    /// Applies another configuration. Names that are still selected, and have room, keep their results;
    /// the others are dropped. Names that are new are unknown until [`fill`](Self::fill).
    pub(in crate::jobs) fn reconfigure(&mut self, config: &NameFilterConfig) {
        self.filter = NameFilter::new(self.subject, config);
        self.present.set_forget_after(config.forget_after);
        let changed = self.places.reconfigure(&self.filter, config.limit);
        self.changes.names.extend(changed);
        self.lookups.retain(|key| self.places.has(key));
    }

    /// Records a completion. One that is recorded again changes nothing but the number of folded ones.
    pub(in crate::jobs) fn record(&mut self, job: &Completion<'_>) {
        if self.add(job) == Some(false) {
            self.folded += 1;
            self.changes.folded = true;
        }
    }

    /// Adds completions that may have been recorded before: for names that were not selected then, or
    /// had no room.
    pub(in crate::jobs) fn fill<'c>(&mut self, jobs: impl Iterator<Item = Completion<'c>>) {
        for job in jobs {
            self.add(&job);
        }
    }

    /// Adds a completion. Returns whether its name had room; `None` if it is not selected.
    fn add(&mut self, job: &Completion<'_>) -> Option<bool> {
        let (name, with_pairs) = (self.subject.of(job), self.subject == Subject::Client);
        let key = self.subject.key(name);
        if !self.filter.admits_key(&key) {
            return None;
        }
        if job.end > self.present.limit() {
            return Some(self.places.has_room_for(&key));
        }
        let Some(entry) = self.entry(&key, name) else { return Some(false) };
        if entry.add(job, name, with_pairs) {
            self.changes.names.insert(key.into());
        }
        Some(true)
    }

    /// Returns the results of a name that is selected, created if there is room.
    fn entry(&mut self, key: &str, name: &str) -> Option<&mut NameResults> {
        if self.places.assign(key, name)? {
            self.present.check_soon();
        }
        self.places.get_mut(key)
    }

    /// Returns the label under which jobs of `name` count: its own, `other` if it has no room, `None` if
    /// it is not selected. It stays the same for a name that was recorded, until
    /// [`reconfigure`](Self::reconfigure). A client has one label, however it is spelt.
    pub(in crate::jobs) fn label<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let key = self.subject.key(name);
        self.filter.admits_key(&key).then(|| self.places.label(&key, name))
    }

    /// Sets the server's present time, and forgets the names whose last job ended too long ago. Those
    /// that the configuration spells out stay.
    pub(in crate::jobs) fn set_now(&mut self, now: i64) {
        let others = self.places.others().map(|(key, entry)| (key, entry.newest()));
        for key in self.present.set_now(now, others) {
            self.places.remove(&key);
            self.lookups.forget(&key);
            self.changes.names.insert(key);
        }
    }

    /// Drops the results that lie in the future: the server's clock was set back, or was wrong when
    /// they were stored. Returns whether there were any; [`fill`](Self::fill) finds those again that
    /// were hidden behind them.
    pub(in crate::jobs) fn drop_future(&mut self) -> bool {
        let limit = self.present.limit();
        self.present.check_soon();
        let mut any = false;
        for (key, entry) in self.places.iter_mut() {
            if entry.drop_after(limit) {
                any = true;
                self.changes.names.insert(key.into());
            }
        }
        any
    }

    /// Returns the names of which it is not known whether they ever had a successful backup, and that
    /// are due, at most so many: those that the configuration spells out, others that were seen, then
    /// those that failed before.
    pub(in crate::jobs) fn next_lookups(&mut self, limit: usize) -> Vec<LookupQuery> {
        let now = self.present.now();
        let reserved = self.places.all_reserved();
        let reserved =
            reserved.filter(|(_, entry)| entry.is_none_or(|entry| entry.is_lookup_due(now)));
        let others = self.places.others().filter(|(_, entry)| entry.is_lookup_due(now));
        let due = reserved.map(|(key, _)| key).chain(others.map(|(key, _)| key));
        let next = self.lookups.next(due, limit);
        next.into_iter().map(|(key, retried)| self.query(key, retried)).collect()
    }

    fn query(&self, key: &str, retried: bool) -> LookupQuery {
        let entry = self.places.get(key);
        let label = entry.map(|entry| entry.label.as_ref()).or_else(|| self.places.reserved(key));
        let name = label.unwrap_or(key);
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
        let (subject, until) = (self.subject, self.present.limit());
        LookupQuery { subject, name: name.to_owned(), spellings, retried, until }
    }

    /// Applies the server's answer for `name`. One for a name that lost its place meanwhile is dropped.
    pub(in crate::jobs) fn apply_lookup(&mut self, name: &str, answer: LookupAnswer) {
        let key = self.subject.key(name).into_owned();
        self.lookups.forget(&key);
        if !self.places.has(&key) || !self.filter.admits_key(&key) {
            return;
        }
        let (now, limit) = (self.present.now(), self.present.limit());
        let Some(entry) = self.entry(&key, name) else { return };
        if entry.apply_lookup(answer, now, limit) {
            self.changes.names.insert(key.into());
        }
    }

    /// Records that the server could not be asked for `name`: others go first from here on.
    pub(in crate::jobs) fn note_failed_lookup(&mut self, name: &str) {
        let key = self.subject.key(name);
        if self.places.has(&key) {
            self.lookups.note_failure(&key);
        }
    }

    /// Adds the series of all names. `action` renames job types; types with one action are merged.
    pub(in crate::jobs) fn samples<'a>(
        &'a self,
        action: impl Fn(&'a str) -> &'a str,
        samples: &mut Samples,
    ) {
        for (_, entry) in self.places.iter() {
            samples::record(self.subject, entry, &action, samples);
        }
        samples::record_folded(self.subject, self.folded, samples);
    }

    /// Returns the records that changed since they were handed over last.
    pub(in crate::jobs) fn changed_records(&self) -> impl Iterator<Item = Change> {
        let names = self.changes.names.iter().filter_map(|key| match self.places.get(key) {
            // What cannot be encoded does not exist; should it, the old record stays.
            Some(entry) => encoded(key, entry).map(|(key, value)| (key, Some(value))),
            None => Some((RecordKey::Name(key).bytes(), None)),
        });
        let folded = self.changes.folded.then(|| self.folded_record());
        names.chain(folded.map(|(key, value)| (key, Some(value))))
    }

    /// Returns all records.
    pub(in crate::jobs) fn all_records(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let names = self.places.iter().filter_map(|(key, entry)| encoded(key, entry));
        names.chain((self.folded > 0).then(|| self.folded_record()))
    }

    fn folded_record(&self) -> (Vec<u8>, Vec<u8>) {
        (RecordKey::Folded.bytes(), self.folded.to_le_bytes().to_vec())
    }

    /// Hands over the changes; later ones are recorded separately.
    pub(in crate::jobs) fn hand_over(&mut self) -> LastResultChanges {
        std::mem::take(&mut self.changes)
    }

    /// Takes back changes that did not reach the disk.
    pub(in crate::jobs) fn take_back(&mut self, changes: LastResultChanges) {
        self.changes.names.extend(changes.names);
        self.changes.folded |= changes.folded;
    }

    /// Counts folded jobs from 0 again.
    pub(in crate::jobs) fn restart_folded(&mut self) {
        self.folded = 0;
    }

    /// Forgets a name whose record was removed after it was written.
    pub(in crate::jobs) fn forget(&mut self, key: &[u8]) {
        if let Some(RecordKey::Name(key)) = RecordKey::parse(key) {
            self.places.remove(key);
        }
    }

    /// Restores a record, before anything else is recorded. One of a name that is no longer selected, or
    /// has no room, is dropped, and is among the changes as removed.
    ///
    /// # Errors
    ///
    /// If the record cannot be read; nothing of it is restored.
    pub(in crate::jobs) fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        let key = match RecordKey::parse(key).ok_or(Unreadable)? {
            RecordKey::Name(key) => key,
            RecordKey::Folded => {
                self.folded = u64::from_le_bytes(value.try_into().map_err(|_| Unreadable)?);
                return Ok(());
            }
        };
        let saved = format::decode(value).ok_or(Unreadable)?;
        let admitted = self.filter.admits_key(key);
        let changed = match if admitted { self.entry(key, &saved.label) } else { None } {
            Some(entry) => {
                // The configuration may spell it otherwise by now.
                let label = entry.label.clone();
                let changed = label != saved.label;
                *entry = NameResults { order: entry.order, ..saved.labelled(&label) };
                changed
            }
            None => true,
        };
        if changed {
            self.changes.names.insert(key.into());
        }
        Ok(())
    }
}

fn encoded(key: &str, entry: &NameResults) -> Option<(Vec<u8>, Vec<u8>)> {
    Some((RecordKey::Name(key).bytes(), format::encode(entry)?))
}
