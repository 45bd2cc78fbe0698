//! The exposition as data, for the tests. A crate of its own, since it is built optimised: tests read thousands of pages.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a page that is wrong fails the test that reads it"
)]

use std::collections::BTreeMap;

/// A series: its name and its labels, sorted.
pub type Series = (String, Vec<(String, String)>);

/// A page of the text format 0.0.4, strictly read: a series that occurs twice is an error.
#[derive(Debug, Clone)]
pub struct Page {
    text: String,
    series: BTreeMap<Series, f64>,
    types: BTreeMap<String, String>,
}

impl Page {
    /// Reads a page.
    ///
    /// # Panics
    ///
    /// If the page breaks the format, or a series occurs twice.
    pub fn parse(text: &str) -> Self {
        let mut series: Vec<(Series, f64)> = Vec::new();
        let mut types = BTreeMap::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("TYPE names a kind");
                let twice = types.insert(name.to_owned(), kind.to_owned());
                assert!(twice.is_none(), "{name} has two TYPE lines");
            } else if !line.starts_with('#') {
                series.push(sample(line));
            }
        }
        // A map that is built at once costs less than one that grows.
        series.sort_by(|(one, _), (other, _)| one.cmp(other));
        for pair in series.windows(2) {
            assert!(pair[0].0 != pair[1].0, "{:?} occurs twice", pair[0].0);
        }
        Self { text: text.to_owned(), series: series.into_iter().collect(), types }
    }

    /// The page as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All series.
    pub fn series(&self) -> &BTreeMap<Series, f64> {
        &self.series
    }

    /// The kinds of the metrics.
    pub fn types(&self) -> &BTreeMap<String, String> {
        &self.types
    }

    /// The value of the series that has exactly these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.series.get(&key(name, labels)).copied()
    }

    /// The series of a site whose names `wanted` takes.
    pub fn of_site(&self, site: &str, wanted: impl Fn(&str) -> bool) -> BTreeMap<Series, f64> {
        let belongs = |labels: &[(String, String)]| {
            labels.iter().any(|(key, value)| key == "site" && value == site)
        };
        self.series
            .iter()
            .filter(|((name, labels), _)| wanted(name) && belongs(labels))
            .map(|(series, value)| (series.clone(), *value))
            .collect()
    }

    /// Returns whether any series has this label.
    pub fn has_label(&self, key: &str, value: &str) -> bool {
        self.series.keys().any(|(_, labels)| labels.iter().any(|(k, v)| k == key && v == value))
    }
}

/// A series' key from what a test writes.
pub fn key(name: &str, labels: &[(&str, &str)]) -> Series {
    let mut labels: Vec<_> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    labels.sort();
    (name.to_owned(), labels)
}

fn sample(line: &str) -> (Series, f64) {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    let value = value.parse().expect("a number");
    let Some((name, rest)) = series.split_once('{') else {
        return ((series.to_owned(), Vec::new()), value);
    };
    let mut labels = Vec::new();
    let mut rest = rest;
    while let Some((label, after)) = rest.split_once("=\"") {
        let (text, after) = quoted(after);
        labels.push((label.to_owned(), text));
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    assert_eq!(rest, "}", "{line}");
    assert!(labels.is_sorted_by_key(|(label, _)| label == "le"), "`le` comes last: {line}");
    labels.sort();
    ((name.to_owned(), labels), value)
}

/// A quoted text up to its closing quote, and what comes after.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let end = rest.find(['"', '\\']).unwrap_or_else(|| panic!("a label does not end: {text}"));
        value.push_str(&rest[..end]);
        let mut after = rest[end..].chars();
        if after.next() == Some('"') {
            return (value, after.as_str());
        }
        match after.next() {
            Some('n') => value.push('\n'),
            Some(other) => value.push(other),
            None => panic!("a label does not end: {text}"),
        }
        rest = after.as_str();
    }
}
