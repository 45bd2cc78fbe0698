//! The kinds of fields, and the JSON values from which each can be read.

use std::borrow::Cow;

use super::visitor::FieldReader;
use crate::netbackup::wire::timestamp;

/// A text that borrows from the page if it has no escapes; `None` if the field is null, absent, or
/// neither text nor number.
pub(crate) type Text<'a> = Option<Cow<'a, str>>;

/// Converts a float without a fraction: counters of kilobytes may be written as `1.2e9`. The range
/// goes a little beyond the one in which floats are exact.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked just before")]
pub(crate) fn whole_number(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9.0e18;
    (value.fract() == 0.0 && value.abs() < LIMIT).then_some(value as i64)
}

pub(super) struct Integer;

impl FieldReader<'_> for Integer {
    type Value = Option<i64>;
    fn from_i64(value: i64) -> Option<i64> {
        Some(value)
    }
    fn from_f64(value: f64) -> Option<i64> {
        whole_number(value)
    }
    fn from_str(value: &str) -> Option<i64> {
        let value = value.trim();
        value.parse().ok().or_else(|| whole_number(value.parse().ok()?))
    }
}

pub(super) struct Float;

impl FieldReader<'_> for Float {
    type Value = Option<f64>;
    fn from_i64(value: i64) -> Option<f64> {
        Some(value as f64)
    }
    fn from_f64(value: f64) -> Option<f64> {
        Some(value)
    }
    fn from_str(value: &str) -> Option<f64> {
        value.trim().parse().ok().filter(|value: &f64| value.is_finite())
    }
}

pub(super) struct Boolean;

impl FieldReader<'_> for Boolean {
    type Value = Option<bool>;
    fn from_i64(value: i64) -> Option<bool> {
        match value {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
    fn from_bool(value: bool) -> Option<bool> {
        Some(value)
    }
    fn from_str(value: &str) -> Option<bool> {
        match value.trim() {
            "0" => Some(false),
            "1" => Some(true),
            word if word.eq_ignore_ascii_case("true") => Some(true),
            word if word.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }
}

pub(super) struct OptionalText;

impl<'de> FieldReader<'de> for OptionalText {
    type Value = Text<'de>;
    fn from_i64(value: i64) -> Text<'de> {
        Some(Cow::Owned(value.to_string()))
    }
    fn from_f64(value: f64) -> Text<'de> {
        Some(Cow::Owned(value.to_string()))
    }
    fn from_bool(value: bool) -> Text<'de> {
        Some(Cow::Borrowed(if value { "true" } else { "false" }))
    }
    fn from_str(value: &str) -> Text<'de> {
        Some(Cow::Owned(value.to_owned()))
    }
    fn from_borrowed_str(value: &'de str) -> Text<'de> {
        Some(Cow::Borrowed(value))
    }
}

pub(super) struct Timestamp;

impl FieldReader<'_> for Timestamp {
    type Value = Option<i64>;
    fn from_i64(value: i64) -> Option<i64> {
        Some(value).filter(|ms| *ms > 0)
    }
    fn from_f64(value: f64) -> Option<i64> {
        whole_number(value).and_then(Self::from_i64)
    }
    fn from_str(value: &str) -> Option<i64> {
        timestamp::parse(value)
    }
}
