//! The `OTEL_*` variables that hold more than one value, and the keys that they stand in for.
//! Variable and file are merged by name; the file wins.

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

use crate::config::entries::Value;
use crate::config::schema::kinds::{AnyText, Secret, text};
use crate::config::yaml::context::Context;
use crate::config::yaml::diagnostics::Cause;
use crate::config::yaml::setting::{Key, Pair, Pairs};
use crate::config::yaml::values::{Parsed, header_secret};

/// Returns the value of a variable that does not stand in for a key.
pub(super) fn value<T>(
    context: &Context<'_>,
    name: &str,
    parse: impl FnOnce(&str) -> Parsed<T>,
) -> Option<T> {
    match parse(context.variable(name)?.trim()) {
        Ok(value) => Some(value),
        Err(message) => {
            context.report_variable(Cause::Invalid, name, &message);
            None
        }
    }
}

/// Returns true if `OTEL_METRICS_EXPORTER` or its like leaves OTLP in, as it does when it is not set.
pub(super) fn exporter_is_otlp(context: &Context<'_>, name: &str) -> bool {
    let parse = |text: &str| {
        let exporters: Vec<_> = text.split(',').map(str::trim).collect();
        let known = ["otlp", "none", "prometheus", "console", "logging", "zipkin"];
        if !exporters.iter().all(|exporter| known.contains(exporter)) {
            return Err("expected otlp or none".into());
        }
        Ok(exporters.contains(&"otlp"))
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
    let header = |(name, text): (String, String)| {
        let (name, text) = (header_name(&name)?, header_secret(&text).ok()?);
        Some((name, text))
    };
    let parse = |text: &str| {
        let headers: Option<Vec<_>> = list(text)?.into_iter().map(header).collect();
        headers.ok_or_else(|| "holds a name or value that is no header".into())
    };
    let mut headers = Vec::new();
    for (name, text) in value(context, variable, parse).unwrap_or_default() {
        put(&mut headers, name, text);
    }
    headers
}

/// Reads `headers` of a section.
pub(super) fn headers(
    context: &Context<'_>,
    key: Key<Pairs<Secret>>,
) -> Vec<(String, SecretString)> {
    let setting = key.get(context);
    let path = setting.path();
    let mut headers: Vec<(String, SecretString)> = Vec::new();
    for Pair { name, value, position } in setting.given().unwrap_or_default() {
        let Some(name) = header_name(&name) else {
            context.error(position, &path, "expected the name of an HTTP header");
            continue;
        };
        if headers.iter().any(|(given, _)| *given == name) {
            let message = "the same header twice; names of headers have no case";
            context.error(position, &path, message);
        }
        put(&mut headers, name, value);
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

/// Reads `resourceAttributes`.
pub(super) fn resource_attributes(
    context: &Context<'_>,
    key: Key<Pairs<AnyText>>,
    on: bool,
) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    if on {
        const VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";
        match list(context.variable(VARIABLE).unwrap_or_default().trim()) {
            Ok(pairs) => pairs.into_iter().for_each(|(name, it)| put(&mut attributes, name, it)),
            // It is dropped as a whole and told, as the specification wants it: it says who the agent is, which is
            // no reason not to run.
            Err(message) => {
                let message = format!("{message}; the variable is ignored");
                context.report_variable(Cause::Unwise, VARIABLE, &message);
            }
        }
        if let Some(service) = context.variable("OTEL_SERVICE_NAME") {
            put(&mut attributes, "service.name".to_owned(), service.trim().to_owned());
        }
    }
    let setting = key.get(context);
    let path = setting.path();
    for Pair { name, value, position } in setting.given().unwrap_or_default() {
        if name.trim().is_empty() {
            context.error(position, &path, "expected a name for the attribute");
        }
        put(&mut attributes, name, value);
    }
    let shown = attributes.iter().map(|(name, value)| (name.clone(), text(value)));
    key.show_as(context, Value::Pairs(shown.collect()));
    attributes
}

/// Replaces the value of a name in its place, or appends it.
pub(super) fn put<T>(list: &mut Vec<(String, T)>, name: String, value: T) {
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
    let is_digit = |digit: &u8| digit.is_ascii_hexdigit();
    let begins_with_digits =
        |rest: &str| rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(is_digit));
    let is_encoded = text.split('%').skip(1).all(begins_with_digits);
    let decoded = percent_decode_str(text).decode_utf8().ok().filter(|_| is_encoded)?;
    Some(decoded.into_owned())
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
