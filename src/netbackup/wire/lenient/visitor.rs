//! The visitors behind the readers: one for fields, which accepts every kind of JSON value, and one
//! for objects.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Conversions from each kind of JSON value to a kind of field.
pub(crate) trait FieldReader<'de> {
    type Value: Default;
    fn from_i64(_: i64) -> Self::Value {
        Self::Value::default()
    }
    fn from_f64(_: f64) -> Self::Value {
        Self::Value::default()
    }
    fn from_bool(_: bool) -> Self::Value {
        Self::Value::default()
    }
    fn from_str(_: &str) -> Self::Value {
        Self::Value::default()
    }
    fn from_borrowed_str(text: &'de str) -> Self::Value {
        Self::from_str(text)
    }
}

/// Reads a field of the kind `F`.
pub(crate) fn read_field<'de, F: FieldReader<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<F::Value, D::Error> {
    deserializer.deserialize_any(FieldVisitor::<F>(PhantomData))
}

struct FieldVisitor<F>(PhantomData<F>);

impl<'de, F: FieldReader<'de>> Visitor<'de> for FieldVisitor<F> {
    type Value = F::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_i64<E>(self, value: i64) -> Result<F::Value, E> {
        Ok(F::from_i64(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<F::Value, E> {
        Ok(i64::try_from(value).map(F::from_i64).unwrap_or_default())
    }
    fn visit_f64<E>(self, value: f64) -> Result<F::Value, E> {
        Ok(F::from_f64(value))
    }
    fn visit_bool<E>(self, value: bool) -> Result<F::Value, E> {
        Ok(F::from_bool(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<F::Value, E> {
        Ok(F::from_str(value))
    }
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<F::Value, E> {
        Ok(F::from_borrowed_str(value))
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

pub(super) struct ObjectVisitor<T>(pub(super) PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
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
