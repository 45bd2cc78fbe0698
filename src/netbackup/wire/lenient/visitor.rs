//! The visitors behind the readers: one for fields, which takes every kind of JSON value, and one for
//! objects.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Text;
use crate::netbackup::wire::Id;
use crate::netbackup::wire::timestamp;

/// How one kind of field reads each kind of JSON value.
pub(super) trait Field<'de> {
    type Value: Default;
    fn signed(_: i64) -> Self::Value {
        Self::Value::default()
    }
    fn float(_: f64) -> Self::Value {
        Self::Value::default()
    }
    fn flag(_: bool) -> Self::Value {
        Self::Value::default()
    }
    fn words(_: &str) -> Self::Value {
        Self::Value::default()
    }
    fn borrowed(words: &'de str) -> Self::Value {
        Self::words(words)
    }
}

pub(super) struct Any<F>(pub(super) PhantomData<F>);

impl<'de, F: Field<'de>> Visitor<'de> for Any<F> {
    type Value = F::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_i64<E>(self, value: i64) -> Result<F::Value, E> {
        Ok(F::signed(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<F::Value, E> {
        Ok(i64::try_from(value).map(F::signed).unwrap_or_default())
    }
    fn visit_f64<E>(self, value: f64) -> Result<F::Value, E> {
        Ok(F::float(value))
    }
    fn visit_bool<E>(self, value: bool) -> Result<F::Value, E> {
        Ok(F::flag(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<F::Value, E> {
        Ok(F::words(value))
    }
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<F::Value, E> {
        Ok(F::borrowed(value))
    }
    fn visit_unit<E>(self) -> Result<F::Value, E> {
        Ok(F::Value::default())
    }
    fn visit_none<E>(self) -> Result<F::Value, E> {
        Ok(F::Value::default())
    }
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<F::Value, D::Error> {
        inner.deserialize_any(self)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<F::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(F::Value::default())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<F::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(F::Value::default())
    }
}

/// A float that is a whole number in the range in which floats count exactly, and a little beyond:
/// counters of kilobytes may be written as `1.2e9`.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked just before")]
fn whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9.0e18;
    (value.fract() == 0.0 && value.abs() < LIMIT).then_some(value as i64)
}

pub(super) struct Integer;

impl Field<'_> for Integer {
    type Value = Option<i64>;
    fn signed(value: i64) -> Option<i64> {
        Some(value)
    }
    fn float(value: f64) -> Option<i64> {
        whole(value)
    }
    fn words(value: &str) -> Option<i64> {
        let value = value.trim();
        value.parse().ok().or_else(|| whole(value.parse().ok()?))
    }
}

pub(super) struct Float;

impl Field<'_> for Float {
    type Value = Option<f64>;
    fn signed(value: i64) -> Option<f64> {
        Some(value as f64)
    }
    fn float(value: f64) -> Option<f64> {
        Some(value)
    }
    fn words(value: &str) -> Option<f64> {
        value.trim().parse().ok().filter(|value: &f64| value.is_finite())
    }
}

pub(super) struct Boolean;

impl Field<'_> for Boolean {
    type Value = Option<bool>;
    fn signed(value: i64) -> Option<bool> {
        match value {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
    fn flag(value: bool) -> Option<bool> {
        Some(value)
    }
    fn words(value: &str) -> Option<bool> {
        match value.trim() {
            "0" => Some(false),
            "1" => Some(true),
            word if word.eq_ignore_ascii_case("true") => Some(true),
            word if word.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }
}

pub(super) struct Words;

impl<'de> Field<'de> for Words {
    type Value = Text<'de>;
    fn signed(value: i64) -> Text<'de> {
        Some(Cow::Owned(value.to_string()))
    }
    fn float(value: f64) -> Text<'de> {
        Some(Cow::Owned(value.to_string()))
    }
    fn flag(value: bool) -> Text<'de> {
        Some(Cow::Borrowed(if value { "true" } else { "false" }))
    }
    fn words(value: &str) -> Text<'de> {
        Some(Cow::Owned(value.to_owned()))
    }
    fn borrowed(value: &'de str) -> Text<'de> {
        Some(Cow::Borrowed(value))
    }
}

pub(super) struct Identity;

impl<'de> Field<'de> for Identity {
    type Value = Id<'de>;
    fn signed(value: i64) -> Id<'de> {
        Id::Number(value)
    }
    fn float(value: f64) -> Id<'de> {
        whole(value).map(Id::Number).unwrap_or_default()
    }
    fn words(value: &str) -> Id<'de> {
        Id::Text(Cow::Owned(value.to_owned()))
    }
    fn borrowed(value: &'de str) -> Id<'de> {
        Id::Text(Cow::Borrowed(value))
    }
}

pub(super) struct Moment;

impl Field<'_> for Moment {
    type Value = Option<i64>;
    fn signed(value: i64) -> Option<i64> {
        Some(value).filter(|ms| *ms > 0)
    }
    fn float(value: f64) -> Option<i64> {
        whole(value).and_then(Self::signed)
    }
    fn words(value: &str) -> Option<i64> {
        timestamp::parse(value)
    }
}

pub(super) struct Object<T>(pub(super) PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Some)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Option<T>, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Option<T>, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Option<T>, E> {
        Ok(None)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Option<T>, E> {
        Ok(None)
    }
    fn visit_str<E>(self, _: &str) -> Result<Option<T>, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<T>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
