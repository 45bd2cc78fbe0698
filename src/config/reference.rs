//! The schema as documents: the JSON Schema, the example, the reference. `nbu-otel-agent docs` prints them, and
//! tests hold the files of the repository against them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value as Json;

use super::schema::{self, SCHEMA, places};
use super::yaml::context::Place;

const EXAMPLE_HEAD: &str = include_str!("schema/example.head.yaml");
const REFERENCE: &str = include_str!("schema/reference.md");

/// Longest line of a comment in the example.
const WIDTH: usize = 110;

/// Returns every key and section of the schema, such as `nbuservers[].port`, sorted.
pub fn keys() -> Vec<String> {
    let keys = places().into_iter().map(|place| place.path);
    let sorted: BTreeSet<_> = keys.filter(|key| !key.ends_with("[]")).collect();
    sorted.into_iter().collect()
}

/// Returns the names of the switches of collectors, `alerts` of `collectors.alerts.enabled`, in the order of the
/// schema.
pub fn switches() -> Vec<String> {
    schema::switches()
}

/// Returns the names of the switches that are on unless the file says otherwise.
pub fn tried_switches() -> Vec<String> {
    schema::tried_switches()
}

/// Returns the JSON Schema of the configuration file.
pub fn json_schema() -> String {
    format!("{:#}\n", *SCHEMA)
}

/// Returns the example: every key with its default, or a value to begin with.
pub fn example() -> String {
    let mut text = EXAMPLE_HEAD.to_owned();
    let places = places();
    let mut is_item = false;
    for place in &places {
        if place.path.ends_with("[]") {
            is_item = true;
        } else if parent(place) != Some("nbuserver") {
            write_key(&mut text, place, is_repeated(place, &places), std::mem::take(&mut is_item));
        }
    }
    text
}

fn parent(place: &Place) -> Option<&str> {
    place.path.rsplit_once('.').map(|(parent, _)| parent)
}

fn is_section(place: &Place) -> bool {
    place.schema.get("properties").is_some() || place.schema["items"].get("properties").is_some()
}

/// Returns true if the section around it has the keys of one before, which are described there.
fn is_repeated(place: &Place, all: &[Place]) -> bool {
    let Some(at) = all.iter().position(|it| Some(it.path.as_str()) == parent(place)) else {
        return false;
    };
    let properties = |it: &Place| it.schema.get("properties");
    let own = properties(&all[at]);
    all[..at].iter().any(|it| is_section(it) && properties(it) == own)
}

fn default(place: &Place) -> Option<String> {
    place.schema.get("default").map(yaml)
}

fn write_key(text: &mut String, place: &Place, is_repeated: bool, is_item: bool) {
    let depth = place.path.matches('.').count() + place.path.matches("[]").count();
    let indent = "  ".repeat(depth - usize::from(is_item));
    let begin = if is_item { format!("{indent}- ") } else { indent.clone() };
    if depth == 0 {
        text.push('\n');
    }
    let default_in_words = place.text("x-default");
    let is_required = default_in_words.starts_with("required");
    if !is_repeated {
        let description = place.text("description").replace('`', "");
        let mut comments = wrapped(&description, WIDTH - indent.len() - 2);
        if !is_required && !matches!(default_in_words, "" | "none" | "the common key") {
            let default = default_in_words.replace(['[', ']', '`'], "").replace("(#proxies)", "");
            comments.push(format!("Default: {default}."));
        }
        let variables = place.variables();
        if !variables.is_empty() {
            comments.push(format!("Variable: {variables}."));
        }
        for comment in comments {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{indent}# {comment}");
        }
    }
    let name = place.path.rsplit('.').next().unwrap_or_default();
    let example = || place.schema["examples"].get(0).map(yaml).unwrap_or_default();
    let _ = match default(place) {
        _ if is_section(place) && place.schema.get("deprecated").is_some() => {
            let entry = "{host: nbu-primary.example.com, apiKey: \"${NBU_API_KEY}\"}";
            writeln!(text, "{indent}# {name}: {entry}")
        }
        _ if is_section(place) => writeln!(text, "{begin}{name}:"),
        Some(value) => writeln!(text, "{begin}{name}: {value}"),
        None if is_required => writeln!(text, "{begin}{name}: {}", example()),
        None => writeln!(text, "{indent}# {name}: {}", example()),
    };
}

/// Returns a value as YAML has it, in flow style.
fn yaml(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Array(items) => {
            format!("[{}]", items.iter().map(yaml).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Breaks text into lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Returns the reference of all keys.
pub fn reference() -> String {
    let places = places();
    let mut text = String::new();
    for line in REFERENCE.lines() {
        match line.strip_prefix("{{").and_then(|line| line.strip_suffix("}}")) {
            Some(section) => table(&mut text, section, &places),
            None => text.extend([line, "\n"]),
        }
    }
    text
}

/// Writes the table of a section. Columns for variables and changes are there if a key has some.
fn table(text: &mut String, section: &str, places: &[Place]) {
    let is_of = |place: &&Place| {
        let rest = place.path.strip_prefix(section);
        // A key of the file itself is a table of its own.
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) && !is_section(place)
    };
    let keys: Vec<_> = places.iter().filter(is_of).collect();
    let has = |keyword| keys.iter().any(|key| !key.text(keyword).is_empty());
    let is_shown = [true, true, has("x-variable"), true, has("x-change")];
    let row = |cells: [&str; 5]| {
        let cells = cells.into_iter().zip(is_shown).filter(|(_, is_shown)| *is_shown);
        let cells = cells.map(|(cell, _)| format!(" {cell} |").replace("  |", " |"));
        format!("|{}\n", cells.collect::<String>())
    };
    text.push_str(&row(["key", "default", "variable", "meaning", "when it changes"]));
    text.push_str(&row(["---"; 5]).replace(' ', ""));
    for place in keys {
        let default = default(place).unwrap_or_else(|| place.text("x-default").to_owned());
        let variables = place.variables();
        let variables = variables.split(", ").filter(|name| !name.is_empty());
        let variables: Vec<_> = variables.map(|name| format!("`{name}`")).collect();
        let around = places.iter().find(|it| Some(it.path.as_str()) == parent(place));
        let description = match place.text("description") {
            "Collect it." => around.map_or("", |around| around.text("description")),
            text => text,
        };
        let key = format!("`{}`", place.path);
        let change = place.text("x-change");
        text.push_str(&row([&key, &default, &variables.join(", "), description, change]));
    }
}
