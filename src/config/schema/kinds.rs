//! Kinds of settings: how text becomes a value of them, how that is shown, and its JSON Schema.
//!
//! YAML has numbers and texts, files have variables in them, and an empty text counts as none: so each schema
//! of a scalar takes its type, text that looks like it, references, and null.

use std::marker::PhantomData;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value as Json, json};

use crate::config::entries::{REDACTED, Value};
use crate::config::fingerprint::digest;
use crate::config::yaml::setting::Kind;
use crate::config::yaml::values::{self, Parsed, format_duration};
use crate::net::fingerprint::Fingerprint;

/// Declares kinds: value, parser, how it is shown, schema, and the parser of a variable where that is another.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident$(($secret:tt))?: $value:ty, $parse:expr, $show:expr, $schema:expr
        $(, $variable:expr)?;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name;

        impl $crate::config::yaml::setting::Kind for $name {
            type Value = $value;

            $(const SECRET: bool = $secret;)?

            fn parse(text: &str) -> $crate::config::yaml::values::Parsed<$value> {
                $parse(text)
            }

            $(fn parse_variable(text: &str) -> $crate::config::yaml::values::Parsed<$value> {
                $variable(text)
            })?

            fn show(value: &$value) -> $crate::config::entries::Value {
                $show(value)
            }

            fn schema() -> serde_json::Value {
                $schema
            }
        }
    )+};
}

pub(super) use kinds;

kinds! {
    /// True or false, as Go and YAML 1.1 spell it.
    Flag: bool, values::boolean, plain, scalar(
        &json!({ "type": "boolean" }),
        &one_of(&["true", "t", "yes", "y", "on", "1", "false", "f", "no", "n", "off", "0"]),
    );
    /// True, false, or `auto` (none): tried.
    FlagOrAuto: Option<bool>, flag_or_auto, |flag: &Option<bool>| {
        Value::Plain(flag.map_or("auto".into(), |flag| flag.to_string()))
    }, scalar(
        &json!({ "type": "boolean" }),
        &one_of(&["auto", "true", "t", "yes", "y", "on", "1", "false", "f", "no", "n", "off", "0"]),
    );
    Port: u16, values::port, plain, integer(1, 65535);
    Host: String, values::host, text, scalar(&json!({ "type": "string" }), ".*");
    Text: String, values::text, text, free_text();
    AnyText: String, |text: &str| Ok(text.to_owned()), text, free_text();
    /// A secret that an HTTP header can carry.
    Secret(true): SecretString, values::header_secret, |value: &SecretString| {
        Value::Secret(REDACTED.to_owned(), digest(value.expose_secret().as_bytes()))
    }, free_text();
    CertFingerprint: Fingerprint, |text: &str| text.parse().map_err(String::into), plain, free_text();
    Ratio: f64, values::ratio, |rate: &f64| Value::Plain(format!("{rate:?}")), scalar(
        &json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        "[0-9.]+",
    );
    /// A duration; a variable counts milliseconds.
    Time: Duration, values::duration, time, duration(""), values::milliseconds;
    /// A duration of at least ten milliseconds, the time between two rounds of work.
    Interval: Duration, values::interval, time, duration("");
    TimeOrNever: Option<Duration>, duration_or_never, |time: &Option<Duration>| {
        Value::Plain(time.map_or("never".into(), format_duration))
    }, duration(&format!("|{}", one_of(&["never"])));
}

#[derive(Clone, Copy)]
pub(crate) struct Number<const MIN: usize, const MAX: usize>;

impl<const MIN: usize, const MAX: usize> Kind for Number<MIN, MAX> {
    type Value = usize;

    fn parse(text: &str) -> Parsed<usize> {
        values::number(text, MIN, MAX)
    }

    fn show(value: &usize) -> Value {
        plain(value)
    }

    fn schema() -> Json {
        integer(MIN, MAX)
    }
}

/// Values with names of which a setting takes one.
pub(crate) trait Named: Copy + PartialEq + 'static {
    const NAMES: &'static [(&'static str, Self)];
}

/// A name of `T`, whatever the case.
#[derive(Clone, Copy)]
pub(crate) struct Choice<T>(PhantomData<T>);

impl<T: Named> Kind for Choice<T> {
    type Value = T;

    fn parse(text: &str) -> Parsed<T> {
        values::choice(text, T::NAMES)
    }

    fn show(value: &T) -> Value {
        let name = T::NAMES.iter().find(|(_, candidate)| candidate == value);
        plain(name.map_or("", |(name, _)| name))
    }

    fn schema() -> Json {
        let names: Vec<_> = T::NAMES.iter().map(|(name, _)| *name).collect();
        scalar(&json!({ "enum": names }), &one_of(&names))
    }
}

fn duration_or_never(text: &str) -> Parsed<Option<Duration>> {
    if text.trim().eq_ignore_ascii_case("never") {
        return Ok(None);
    }
    values::duration(text).map(Some).map_err(|message| format!("{message}, or never").into())
}

fn flag_or_auto(text: &str) -> Parsed<Option<bool>> {
    if text.trim().eq_ignore_ascii_case("auto") {
        return Ok(None);
    }
    values::boolean(text).map(Some).map_err(|message| format!("{message}, or auto").into())
}

pub(crate) fn plain(value: &(impl ToString + ?Sized)) -> Value {
    Value::Plain(value.to_string())
}

pub(crate) fn text(value: impl Into<String>) -> Value {
    Value::Text(value.into())
}

fn time(time: &Duration) -> Value {
    Value::Plain(format_duration(*time))
}

/// Returns the schema of a scalar: of its own type, or of text that matches the pattern, is empty or has a
/// reference to a variable.
pub(crate) fn scalar(own: &Json, pattern: &str) -> Json {
    let pattern = format!(r"^\s*({pattern})?\s*$|\$\{{");
    json!({ "anyOf": [own, { "type": "string", "pattern": pattern }, { "type": "null" }] })
}

/// Returns the schema of text that is taken as it is spelt, numbers included.
pub(crate) fn free_text() -> Json {
    json!({ "type": ["string", "number", "boolean", "null"] })
}

fn integer(min: usize, max: usize) -> Json {
    scalar(&json!({ "type": "integer", "minimum": min, "maximum": max }), "[0-9]+")
}

fn duration(or: &str) -> Json {
    let pattern = format!(r"\+?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+{or}");
    json!({ "type": ["string", "null"], "pattern": format!(r"^\s*({pattern})?\s*$|\$\{{") })
}

/// Returns a pattern for these words, whatever their case.
fn one_of(words: &[&str]) -> String {
    let letter = |c: char| match c.to_ascii_uppercase() {
        upper if upper != c => format!("[{c}{upper}]"),
        c => c.to_string(),
    };
    let word = |word: &&str| word.chars().map(letter).collect::<String>();
    words.iter().map(word).collect::<Vec<_>>().join("|")
}
