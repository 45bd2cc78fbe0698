//! Names seen in job rows, and the combinations of label values of jobs, each stored once and known by a
//! number. A name that nothing refers to any more is forgotten, and its number given to another one: clients
//! and policies come and go for years.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NameId(pub(super) u32);

/// The numbers that a state file may have: no more names than that fit into memory beside their jobs.
const MAX_NAMES: u32 = 1 << 24;

/// A number of names that is never too large.
const GROWTH: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Interner {
    numbers: HashMap<Arc<str>, u32>,
    /// `None` where a number is free.
    texts: Vec<Option<Arc<str>>>,
    free: Vec<u32>,
    /// Numbers that were given again, until they are taken.
    pub(super) reused: BTreeSet<NameId>,
    /// Names that were in use when the others were forgotten last.
    kept: usize,
}

impl Interner {
    /// Returns whether it is worth looking for names that nothing refers to.
    pub(super) fn has_grown(&self) -> bool {
        self.numbers.len() >= GROWTH.max(2 * self.kept)
    }

    /// Returns the number of `text`, a new one if it was not seen before.
    pub(super) fn intern(&mut self, text: &str) -> NameId {
        if let Some(number) = self.numbers.get(text) {
            return NameId(*number);
        }
        let shared: Arc<str> = Arc::from(text);
        let number = if let Some(number) = self.free.pop() {
            self.reused.insert(NameId(number));
            self.texts[number as usize] = Some(Arc::clone(&shared));
            number
        } else {
            // More than four billion distinct names do not fit into memory either.
            let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
            self.texts.push(Some(Arc::clone(&shared)));
            number
        };
        self.numbers.insert(shared, number);
        NameId(number)
    }

    /// Gives `text` the number that it has on disk, in place of an older name. Returns whether that fits.
    pub(super) fn restore(&mut self, name: NameId, text: &str) -> bool {
        let index = name.0 as usize;
        if name.0 >= MAX_NAMES {
            return false;
        }
        if let Some(before) = self.numbers.remove(text) {
            // It was forgotten, and came back under another number.
            self.texts[before as usize] = None;
        }
        if self.texts.len() <= index {
            self.texts.resize(index + 1, None);
        }
        let shared: Arc<str> = Arc::from(text);
        if let Some(before) = self.texts[index].replace(Arc::clone(&shared)) {
            self.numbers.remove(&before);
        }
        self.numbers.insert(shared, name.0);
        true
    }

    /// Forgets the names that are not `used`; their numbers are given again.
    pub(super) fn keep(&mut self, used: &[bool]) {
        self.free.clear();
        for (number, slot) in (0..).zip(&mut self.texts) {
            if !used.get(number as usize).is_some_and(|used| *used) {
                if let Some(text) = slot.take() {
                    self.numbers.remove(&text);
                }
                self.free.push(number);
            }
        }
        self.kept = self.numbers.len();
    }

    pub(super) fn get(&self, name: NameId) -> &str {
        self.texts.get(name.0 as usize).and_then(Option::as_deref).unwrap_or("")
    }

    /// Returns a name to keep; it stays when the number is given to another.
    pub(super) fn share(&self, name: NameId) -> Arc<str> {
        let text = self.texts.get(name.0 as usize).and_then(Option::as_ref);
        text.map_or_else(|| Arc::from(""), Arc::clone)
    }

    /// Returns the number of `text`, if it has one.
    pub(super) fn find(&self, text: &str) -> Option<NameId> {
        self.numbers.get(text).copied().map(NameId)
    }

    pub(super) fn has(&self, name: NameId) -> bool {
        self.texts.get(name.0 as usize).is_some_and(Option::is_some)
    }

    /// Returns the first number that was never given.
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Returns the names from a number on, in the order of their numbers.
    pub(super) fn since(&self, first: usize) -> impl Iterator<Item = (NameId, &str)> {
        let numbers = (first..).map(|number| NameId(u32::try_from(number).unwrap_or(u32::MAX)));
        let names = numbers.zip(self.texts.get(first..).unwrap_or_default());
        names.filter_map(|(name, text)| Some((name, text.as_deref()?)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LabelSetId(pub(super) u32);

impl LabelSetId {
    /// Returns the number of the label set at a place. There are as many as series.
    pub(super) fn at(place: usize) -> Self {
        Self(u32::try_from(place).unwrap_or(u32::MAX))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LabelSet {
    pub(super) job_type: NameId,
    pub(super) policy_type: NameId,
    pub(super) status: Option<i64>,
}

pub(super) type TypePair = (NameId, NameId);

impl LabelSet {
    pub(super) fn pair(&self) -> TypePair {
        (self.job_type, self.policy_type)
    }
}

/// Label sets and their numbers. There are as many as series with these labels.
#[derive(Debug, Default)]
pub(super) struct LabelSets {
    numbers: HashMap<LabelSet, u32>,
    labels: Vec<LabelSet>,
    /// Statuses among them.
    pub(super) statuses: BTreeSet<i64>,
}

impl LabelSets {
    /// Returns the number of `labels`, a new one if they were not seen before.
    pub(super) fn intern(&mut self, labels: LabelSet) -> LabelSetId {
        if let Some(number) = self.numbers.get(&labels) {
            return LabelSetId(*number);
        }
        let LabelSetId(number) = LabelSetId::at(self.labels.len());
        self.labels.push(labels);
        self.statuses.extend(labels.status);
        self.numbers.insert(labels, number);
        LabelSetId(number)
    }

    pub(super) fn get(&self, label_set: LabelSetId) -> Option<&LabelSet> {
        self.labels.get(label_set.0 as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Returns the label sets from a number on, in the order of their numbers.
    pub(super) fn since(&self, first: usize) -> impl Iterator<Item = (LabelSetId, &LabelSet)> {
        let numbers = (first..).map(LabelSetId::at);
        numbers.zip(self.labels.get(first..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_a_forgotten_name_is_given_again() {
        let mut names = Interner::default();
        let [a, b, c] = ["a", "b", "c"].map(|text| names.intern(text));
        names.keep(&[true, false, true]);
        assert_eq!((names.numbers.len(), names.has(b)), (2, false));
        assert_eq!(names.intern("d"), b);
        assert_eq!(names.intern("b"), NameId(3));
        assert_eq!([a, b, c].map(|name| names.get(name)), ["a", "d", "c"]);
        assert_eq!(names.reused, [b].into());
    }

    #[test]
    fn names_are_restored_with_gaps_and_replacements() {
        let mut names = Interner::default();
        assert!(names.restore(NameId(2), "c") && names.restore(NameId(0), "a"));
        assert!(names.restore(NameId(2), "d"));
        assert_eq!((names.get(NameId(2)), names.numbers.len()), ("d", 2));
        // One that came back under another number, and a number beyond all reason.
        assert!(names.restore(NameId(1), "a") && !names.restore(NameId(MAX_NAMES), "x"));
        assert!(!names.has(NameId(0)));
        names.keep(&[true, true, true]);
        let all: Vec<_> = names.since(0).collect();
        assert_eq!(all, [(NameId(1), "a"), (NameId(2), "d")]);
    }
}
