//! The `OTEL_*` variables that hold more than one value, and the keys that they stand in for.
//! Variable and file are merged by name; the file wins.

use secrecy::SecretString;

use crate::config::entries::Value;
use crate::config::schema::kinds::{AnyText, Secret, text};
use crate::config::yaml::context::Context;
use crate::config::yaml::key::{Key, Pairs};
use crate::config::yaml::values::{Parsed, any, header_secret};

const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Returns the value of a variable that does not stand in for a key.
pub(super) fn value<T>(
    context: &Context<'_>,
    name: &str,
    parse: impl FnOnce(&str) -> Parsed<T>,
) -> Option<T> {
    match parse(context.variable(name)?.trim()) {
        Ok(value) => Some(value),
        Err(message) => {
            context.variable_error(name, &message);
            None
        }
    }
}

/// Returns true if `OTEL_METRICS_EXPORTER` or its like leaves OTLP in, as it does when it is not set.
pub(super) fn exporter_is_otlp(context: &Context<'_>, name: &str) -> bool {
    let parse = |text: &str| {
        let mut otlp = false;
        for exporter in text.split(',').map(str::trim) {
            match exporter {
                "otlp" => otlp = true,
                "none" | "prometheus" | "console" | "logging" | "zipkin" => {}
                _ => return Err("expected otlp or none".into()),
            }
        }
        Ok(otlp)
    };
    value(context, name, parse).unwrap_or(true)
}

/// Reads the first of these variables that is set: headers, with lower-case names as gRPC wants them.
pub(super) fn headers_of_environment(
    context: &Context<'_>,
    names: &[String],
) -> Vec<(String, SecretString)> {
    let Some(variable) = names.iter().find(|name| context.variable(name).is_some()) else {
        return Vec::new();
    };
    let mut headers = Vec::new();
    for (name, text) in value(context, variable, list).unwrap_or_default() {
        match (header_name(&name), header_secret(&text)) {
            (Some(name), Ok(text)) => put(&mut headers, name, text),
            _ => context.variable_error(variable, "holds a name or value that is no header"),
        }
    }
    headers
}

/// Reads `headers` of a section.
pub(super) fn headers<'c>(
    context: &'c Context<'c>,
    key: Key<Pairs<Secret>>,
) -> Vec<(String, SecretString)> {
    let setting = key.get(context);
    let path = setting.source.path.clone();
    let mut headers: Vec<(String, SecretString)> = Vec::new();
    for pair in setting.given().unwrap_or_default() {
        let Some(name) = header_name(&pair.name) else {
            context.error(pair.position, &path, "expected the name of an HTTP header");
            continue;
        };
        if headers.iter().any(|(given, _)| *given == name) {
            let message = "the same header twice; names of headers have no case";
            context.error(pair.position, &path, message);
        }
        put(&mut headers, name, pair.value);
    }
    headers
}

/// Merges headers by name; of equal names the last one holds.
pub(super) fn merged(all: [&[(String, SecretString)]; 3]) -> Vec<(String, SecretString)> {
    let mut headers = Vec::new();
    for (name, value) in all.into_iter().flatten() {
        put(&mut headers, name.clone(), value.clone());
    }
    headers
}

fn header_name(name: &str) -> Option<String> {
    let name = name.trim();
    let token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // `-bin` marks binary values in gRPC, which text cannot be.
    let valid = !name.is_empty() && name.chars().all(token) && !name.ends_with("-bin");
    valid.then(|| name.to_ascii_lowercase())
}

/// `resourceAttributes`.
pub(super) fn resource_attributes<'c>(
    context: &'c Context<'c>,
    key: Key<Pairs<AnyText>>,
    on: bool,
) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    if on {
        for (name, text) in attributes_of_environment(context) {
            put(&mut attributes, name, text);
        }
        if let Some(service) = value(context, "OTEL_SERVICE_NAME", any) {
            put(&mut attributes, "service.name".to_owned(), service);
        }
    }
    let setting = key.get(context);
    let path = setting.source.path.clone();
    for pair in setting.given().unwrap_or_default() {
        if pair.name.trim().is_empty() {
            context.error(pair.position, &path, "expected a name for the attribute");
        }
        put(&mut attributes, pair.name, pair.value);
    }
    let shown = attributes.iter().map(|(name, value)| (name.clone(), text(value)));
    key.show_as(context, Value::Pairs(shown.collect()));
    attributes
}

/// A value that is wrong is dropped as a whole and told, as the specification wants it: it says who
/// the agent is, which is no reason not to run.
fn attributes_of_environment(context: &Context<'_>) -> Vec<(String, String)> {
    let Some(text) = context.variable(ATTRIBUTES) else { return Vec::new() };
    list(text.trim()).unwrap_or_else(|message| {
        context.variable_warning(ATTRIBUTES, &format!("{message}; the variable is ignored"));
        Vec::new()
    })
}

/// Replaces the value of a name in its place, or appends it.
fn put<T>(list: &mut Vec<(String, T)>, name: String, value: T) {
    match list.iter_mut().find(|(given, _)| *given == name) {
        Some(entry) => entry.1 = value,
        None => list.push((name, value)),
    }
}

/// `a=1,b=2`, percent-encoded.
fn list(text: &str) -> Parsed<Vec<(String, String)>> {
    text.split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').map(|(n, v)| (n.trim(), v.trim()))?;
            let (name, value) = (decode(name)?, decode(value)?);
            (!name.is_empty()).then_some((name, value))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| "expected name=value pairs with commas between, percent-encoded".into())
}

/// Undoes percent-encoding; a plus sign is one.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let value = digit()? * 16 + digit()?;
            out.push(u8::try_from(value).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_decoded() {
        let pairs = list("a=1, b = x%20y%2Cz,,c=d=e,p=a+b").unwrap();
        let expected = [("a", "1"), ("b", "x y,z"), ("c", "d=e"), ("p", "a+b")];
        assert_eq!(pairs, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        for bad in ["a", "=1", "a=%", "a=%4", "a=%zz", "a=%ff", "a=1,b"] {
            assert!(list(bad).is_err(), "{bad}");
        }
    }
}
