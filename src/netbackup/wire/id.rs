//! Ids of records, which are text in the vendor's schema and integers in its examples.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer};

use super::lenient::{FieldReader, read_field, whole_number};

/// The id of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Id<'a> {
    /// Absent, null, or neither text nor integer.
    #[default]
    Missing,
    /// An integer.
    Number(i64),
    /// A text.
    Text(Cow<'a, str>),
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => Ok(()),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Id<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_field::<IdField, D>(deserializer)
    }
}

struct IdField;

impl<'de> FieldReader<'de> for IdField {
    type Value = Id<'de>;
    fn from_i64(value: i64) -> Id<'de> {
        Id::Number(value)
    }
    fn from_f64(value: f64) -> Id<'de> {
        whole_number(value).map(Id::Number).unwrap_or_default()
    }
    fn from_str(value: &str) -> Id<'de> {
        Id::Text(Cow::Owned(value.to_owned()))
    }
    fn from_borrowed_str(value: &'de str) -> Id<'de> {
        Id::Text(Cow::Borrowed(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_read_from_text_number_or_null() {
        let id = |json: &str| serde_json::from_str::<Id<'_>>(json).unwrap().to_string();
        assert_eq!(id("7"), "7");
        assert_eq!(id(r#""a:b""#), "a:b");
        assert_eq!(id("null"), "");
    }
}
