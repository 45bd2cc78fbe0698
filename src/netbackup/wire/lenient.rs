//! Field readers that never fail on a value of the wrong kind (docs/netbackup-api.md#types).
//!
//! Each is for `#[serde(default, deserialize_with = "lenient::...")]`, reads within the single pass
//! over the page, and yields `None` for null and for values that it cannot interpret.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::timestamp;

/// A text that borrows from the page if it has no escapes; `None` if the field is null, absent, or
/// neither text nor number.
pub(crate) type Text<'a> = Option<Cow<'a, str>>;

/// A JSON value, as far as fields are read from it; an object is read as `O`.
pub(super) enum Value<'a, O = IgnoredAny> {
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Text(Cow<'a, str>),
    Object(O),
    /// Null, a list, or an integer beyond 64 bits.
    Other,
}

/// Reads a field of any kind. `convert` is small enough to be inlined for each kind of value: as fast as a
/// visitor for each kind of field.
pub(super) fn read<'de, D, O, T>(
    deserializer: D,
    convert: impl FnOnce(Value<'de, O>) -> T,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    O: Deserialize<'de>,
{
    deserializer.deserialize_any(ValueVisitor(convert, PhantomData))
}

struct ValueVisitor<F, O>(F, PhantomData<O>);

impl<'de, O, T, F> Visitor<'de> for ValueVisitor<F, O>
where
    O: Deserialize<'de>,
    F: FnOnce(Value<'de, O>) -> T,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_i64<E>(self, value: i64) -> Result<T, E> {
        Ok(self.0(Value::Integer(value)))
    }
    #[inline]
    fn visit_u64<E>(self, value: u64) -> Result<T, E> {
        Ok(self.0(i64::try_from(value).map_or(Value::Other, Value::Integer)))
    }
    fn visit_f64<E>(self, value: f64) -> Result<T, E> {
        Ok(self.0(Value::Float(value)))
    }
    fn visit_bool<E>(self, value: bool) -> Result<T, E> {
        Ok(self.0(Value::Boolean(value)))
    }
    fn visit_str<E>(self, value: &str) -> Result<T, E> {
        Ok(self.0(Value::Text(Cow::Owned(value.to_owned()))))
    }
    #[inline]
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<T, E> {
        Ok(self.0(Value::Text(Cow::Borrowed(value))))
    }
    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(self.0(Value::Other))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.0(Value::Other))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        O::deserialize(MapAccessDeserializer::new(map)).map(|object| self.0(Value::Object(object)))
    }
}

/// Converts a float without a fraction: counters of kilobytes may be written as `1.2e9`. The range
/// goes a little beyond the one in which floats are exact.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked just before")]
pub(super) fn whole_number(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9.0e18;
    (value.fract() == 0.0 && value.abs() < LIMIT).then_some(value as i64)
}

/// Reads an integer from an integer, an integral float or a numeric text.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    read(deserializer, |value: Value<'de>| match value {
        Value::Integer(value) => Some(value),
        Value::Float(value) => whole_number(value),
        Value::Text(text) => parse_integer(text.trim()),
        _ => None,
    })
}

fn parse_integer(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| whole_number(text.parse().ok()?))
}

/// Reads an integer; a record without it is unreadable.
pub(crate) fn required_integer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<i64, D::Error> {
    integer(deserializer)?.ok_or_else(|| D::Error::custom("not an integer"))
}

/// Reads a count of 0 or more; a document without it is unreadable.
pub(super) fn required_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let count = integer(deserializer)?.filter(|count| *count >= 0);
    count.ok_or_else(|| D::Error::custom("not a count"))
}

/// Reads a finite float from a number or a numeric text.
pub(crate) fn float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    read(deserializer, |value: Value<'de>| match value {
        Value::Integer(value) => Some(value as f64),
        Value::Float(value) => Some(value),
        Value::Text(text) => text.trim().parse().ok().filter(|value: &f64| value.is_finite()),
        _ => None,
    })
}

/// Reads a boolean from a boolean, 0 or 1, `true` or `false` as text.
pub(crate) fn boolean<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<bool>, D::Error> {
    read(deserializer, |value: Value<'de>| match value {
        Value::Boolean(value) => Some(value),
        Value::Integer(0) => Some(false),
        Value::Integer(1) => Some(true),
        Value::Text(text) => match text.trim() {
            "0" => Some(false),
            "1" => Some(true),
            word if word.eq_ignore_ascii_case("true") => Some(true),
            word if word.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        },
        _ => None,
    })
}

/// Reads a text; numbers and booleans become their decimal or JSON form.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
    read(deserializer, |value: Value<'de>| match value {
        Value::Text(text) => Some(text),
        Value::Integer(value) => Some(as_text(&value)),
        Value::Float(value) => Some(as_text(&value)),
        Value::Boolean(value) => Some(Cow::Borrowed(if value { "true" } else { "false" })),
        _ => None,
    })
}

fn as_text(number: &impl ToString) -> Cow<'static, str> {
    Cow::Owned(number.to_string())
}

/// Reads a time in Unix milliseconds from ISO 8601 or from epoch milliseconds. The epoch itself means
/// "not set" and is `None`.
pub(crate) fn timestamp<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<i64>, D::Error> {
    let time = read(deserializer, |value: Value<'de>| match value {
        Value::Integer(ms) => Some(ms),
        Value::Float(ms) => whole_number(ms),
        Value::Text(text) => timestamp::parse(&text),
        _ => None,
    })?;
    Ok(time.filter(|ms| *ms > 0))
}

/// Reads an owned [`text`].
pub(crate) fn owned_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(text(deserializer)?.map(Cow::into_owned))
}

/// Reads a text that is not empty; a record without it is unreadable.
pub(crate) fn required_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    let text = owned_text(deserializer)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| D::Error::custom("not a string"))
}

/// Reads an object; anything else is `None`.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    read(deserializer, |value| match value {
        Value::Object(object) => Some(object),
        _ => None,
    })
}

/// Reads a list of objects; other elements are left out, and anything but a list is an empty one.
pub(crate) fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Object<T>(Option<T>);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            object(deserializer).map(Self)
        }
    }

    let elements: Vec<Object<T>> = list(deserializer)?;
    Ok(elements.into_iter().filter_map(|Object(object)| object).collect())
}

/// Reads a list of texts; elements that are neither text nor number are left out, and anything but a list is an
/// empty one.
pub(crate) fn texts<'de, D>(deserializer: D) -> Result<Vec<Cow<'de, str>>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Element<'a>(Text<'a>);

    impl<'de> Deserialize<'de> for Element<'de> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            text(deserializer).map(Self)
        }
    }

    let elements: Vec<Element<'de>> = list(deserializer)?;
    Ok(elements.into_iter().filter_map(|Element(text)| text).collect())
}

/// Reads a list; anything else is an empty one.
fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(ListVisitor(PhantomData))
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(elements)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Vec::new())
    }
    fn visit_bool<E>(self, _: bool) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }
    fn visit_i64<E>(self, _: i64) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }
    fn visit_u64<E>(self, _: u64) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }
    fn visit_f64<E>(self, _: f64) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }
    fn visit_str<E>(self, _: &str) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }
    fn visit_unit<E>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }
}

/// Reads an object; anything else is an error. Derived structs alone would accept lists, by position.
pub(crate) fn required_object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    object(deserializer)?.ok_or_else(|| D::Error::custom("not an object"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct Row<'a> {
        #[serde(deserialize_with = "integer")]
        i: Option<i64>,
        #[serde(deserialize_with = "float")]
        f: Option<f64>,
        #[serde(deserialize_with = "boolean")]
        b: Option<bool>,
        #[serde(borrow, deserialize_with = "text")]
        t: Text<'a>,
        #[serde(deserialize_with = "timestamp")]
        w: Option<i64>,
        #[serde(deserialize_with = "object")]
        o: Option<Inner>,
        #[serde(deserialize_with = "objects")]
        l: Vec<Inner>,
        #[serde(borrow, deserialize_with = "texts")]
        s: Vec<Cow<'a, str>>,
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct Inner {
        #[serde(deserialize_with = "integer")]
        n: Option<i64>,
    }

    fn row(json: &str) -> Row<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn integer_is_read_from_several_spellings() {
        for (json, expected) in [
            (r#"{"i":7}"#, Some(7)),
            (r#"{"i":-7}"#, Some(-7)),
            (r#"{"i":7.0}"#, Some(7)),
            (r#"{"i":1.5e3}"#, Some(1500)),
            (r#"{"i":" 42 "}"#, Some(42)),
            (r#"{"i":"42.0"}"#, Some(42)),
            (r#"{"i":9223372036854775807}"#, Some(i64::MAX)),
            (r#"{"i":18446744073709551615}"#, None),
            (r#"{"i":7.5}"#, None),
            (r#"{"i":1e300}"#, None),
            (r#"{"i":"x"}"#, None),
            (r#"{"i":true}"#, None),
            (r#"{"i":null}"#, None),
            (r#"{"i":[1,{"a":2}]}"#, None),
            (r#"{"i":{"a":[1]}}"#, None),
            ("{}", None),
        ] {
            assert_eq!(row(json).i, expected, "{json}");
        }
    }

    #[test]
    fn float_and_boolean_are_read_from_several_spellings() {
        assert_eq!(row(r#"{"f":1}"#).f, Some(1.0));
        assert_eq!(row(r#"{"f":"2.5"}"#).f, Some(2.5));
        assert_eq!(row(r#"{"f":"NaN"}"#).f, None);
        assert_eq!(row(r#"{"f":{}}"#).f, None);
        assert_eq!(row(r#"{"b":1}"#).b, Some(true));
        assert_eq!(row(r#"{"b":"False"}"#).b, Some(false));
        assert_eq!(row(r#"{"b":2}"#).b, None);
    }

    #[test]
    fn text_without_escapes_borrows() {
        let json = r#"{"t":"plain"}"#;
        assert!(matches!(row(json).t, Some(Cow::Borrowed("plain"))));
        assert_eq!(row(r#"{"t":"a\u0041\n"}"#).t.as_deref(), Some("aA\n"));
        assert_eq!(row(r#"{"t":5}"#).t.as_deref(), Some("5"));
        assert_eq!(row(r#"{"t":1.5}"#).t.as_deref(), Some("1.5"));
        assert_eq!(row(r#"{"t":null}"#).t, None);
        assert_eq!(row(r#"{"t":""}"#).t.as_deref(), Some(""));
    }

    #[test]
    fn timestamp_is_unix_milliseconds_and_epoch_is_none() {
        assert_eq!(row(r#"{"w":"2018-06-25T19:00:38.407Z"}"#).w, Some(1_529_953_238_407));
        assert_eq!(row(r#"{"w":1529953238407}"#).w, Some(1_529_953_238_407));
        assert_eq!(row(r#"{"w":"1970-01-01T00:00:00.000Z"}"#).w, None);
        assert_eq!(row(r#"{"w":0}"#).w, None);
        assert_eq!(row(r#"{"w":false}"#).w, None);
    }

    #[test]
    fn object_of_another_kind_is_none() {
        assert_eq!(row(r#"{"o":{"n":3,"x":[]}}"#).o, Some(Inner { n: Some(3) }));
        for json in [r#"{"o":null}"#, r#"{"o":[1]}"#, r#"{"o":"x"}"#, r#"{"o":1}"#] {
            assert_eq!(row(json).o, None, "{json}");
        }
    }

    #[test]
    fn list_of_another_kind_is_empty() {
        let one = Inner { n: Some(3) };
        assert_eq!(row(r#"{"l":[{"n":3},7,null,"x",[{}]]}"#).l, [one]);
        assert_eq!(row(r#"{"s":["a",5,null,{},["b"]]}"#).s, ["a", "5"]);
        for json in [r#"{"l":null,"s":null}"#, r#"{"l":{"n":[1]},"s":"x"}"#, r#"{"l":1,"s":1.5}"#] {
            assert_eq!(row(json).l, []);
            assert!(row(json).s.is_empty(), "{json}");
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::hash_map("[a-z]{1,3}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn row_with_any_value_never_fails(value in any_json()) {
            let inner = serde_json::json!({"n": value});
            let json = serde_json::json!({
                "i": value, "f": value, "b": value, "t": value, "w": value, "o": inner, "x": value,
                "l": value, "s": value,
            }).to_string();
            prop_assert!(serde_json::from_str::<Row<'_>>(&json).is_ok(), "{}", json);
        }
    }
}
