//! Numbers of rows of the lists that the fixtures have.

use std::collections::BTreeMap;

/// A list whose number of rows can be set.
#[derive(Debug)]
pub struct RowCount {
    /// Name in [`Rows`] and in `--rows NAME=N`.
    pub name: &'static str,
    /// The number where nothing is said.
    pub default: usize,
    /// The rows, in a line of help.
    pub help: &'static str,
}

/// Numbers of rows by the name of the list, such as `alerts`; by default as the fixture of the list says. A
/// simulator does not start with a name that no list has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows(BTreeMap<String, usize>);

impl Rows {
    /// Returns the numbers with another one for this list.
    #[must_use]
    pub fn with(mut self, name: &str, number: usize) -> Self {
        self.0.insert(name.to_owned(), number);
        self
    }

    /// Returns the number of rows of a list.
    pub(crate) fn of(&self, list: &RowCount) -> usize {
        self.0.get(list.name).copied().unwrap_or(list.default)
    }

    /// Returns the names of the lists that have another number than by default.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
