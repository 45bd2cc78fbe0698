//! Names seen in job rows, each stored once and known by a number.

use std::collections::HashMap;
use std::sync::Arc;

/// A name's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(pub(super) u32);

/// Names and their numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    /// The number of `text`, a new one where it was not seen before.
    pub(super) fn intern(&mut self, text: &str) -> Name {
        if let Some(number) = self.numbers.get(text) {
            return Name(*number);
        }
        // More than four billion distinct names do not fit into memory either.
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let shared: Arc<str> = Arc::from(text);
        self.names.push(Arc::clone(&shared));
        self.numbers.insert(shared, number);
        Name(number)
    }

    /// The name of a number that this set gave.
    pub(super) fn get(&self, name: Name) -> &str {
        self.names.get(name.0 as usize).map_or("", AsRef::as_ref)
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The names from a number on, in the order of their numbers.
    pub(super) fn since(&self, first: usize) -> impl Iterator<Item = (Name, &str)> {
        let numbers = (first..).map(|number| Name(u32::try_from(number).unwrap_or(u32::MAX)));
        numbers.zip(self.names.get(first..).unwrap_or_default().iter().map(AsRef::as_ref))
    }
}
