//! Field readers that never fail on a value of the wrong kind (docs/netbackup-api.md#types).
//!
//! Each is for `#[serde(default, deserialize_with = "lenient::...")]`, reads within the single pass
//! over the page, and yields `None` for null and for values that it cannot interpret.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer};

mod fields;
mod visitor;

pub(crate) use fields::Text;
pub(super) use fields::whole_number;
use fields::{Boolean, Float, Integer, OptionalText, Timestamp};
use visitor::ObjectVisitor;
pub(super) use visitor::{FieldReader, read_field};

/// Reads an integer from an integer, an integral float or a numeric text.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    read_field::<Integer, D>(deserializer)
}

/// Reads an integer; a record without it is unreadable.
pub(crate) fn required_integer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<i64, D::Error> {
    integer(deserializer)?.ok_or_else(|| serde::de::Error::custom("not an integer"))
}

/// Reads a count of 0 or more; a document without it is unreadable.
pub(super) fn required_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let count = integer(deserializer)?.filter(|count| *count >= 0);
    count.ok_or_else(|| serde::de::Error::custom("not a count"))
}

/// Reads a finite float from a number or a numeric text.
pub(crate) fn float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    read_field::<Float, D>(deserializer)
}

/// Reads a boolean from a boolean, 0 or 1, `true` or `false` as text.
pub(crate) fn boolean<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<bool>, D::Error> {
    read_field::<Boolean, D>(deserializer)
}

/// Reads a text; numbers and booleans become their decimal or JSON form.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
    read_field::<OptionalText, D>(deserializer)
}

/// Reads a time in Unix milliseconds from ISO 8601 or from epoch milliseconds. The epoch itself means
/// "not set" and is `None`.
pub(crate) fn timestamp<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<i64>, D::Error> {
    read_field::<Timestamp, D>(deserializer)
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
    text.ok_or_else(|| serde::de::Error::custom("not a string"))
}

/// Reads an object; anything else is `None`.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(ObjectVisitor(PhantomData))
}

/// Reads an object; anything else is an error. Derived structs alone would accept lists, by position.
pub(super) fn required_object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    object(deserializer)?.ok_or_else(|| serde::de::Error::custom("not an object"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            }).to_string();
            prop_assert!(serde_json::from_str::<Row<'_>>(&json).is_ok(), "{}", json);
        }
    }
}
