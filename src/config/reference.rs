//! The schema as documents: the JSON Schema, the example, the reference. `nbu-otel-agent docs` prints them, and
//! tests hold the files of the repository against them.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::schema::{places, schema};

const EXAMPLE_HEAD: &str = include_str!("schema/example.head.yaml");
const REFERENCE: &str = include_str!("schema/reference.md");

/// Longest line of a comment in the example.
const WIDTH: usize = 110;

/// Returns every key and section of the schema, such as `nbuservers[].port`, sorted.
pub fn keys() -> Vec<String> {
    let mut keys: Vec<_> = places().into_iter().map(|(path, _)| path).collect();
    keys.retain(|key| !key.ends_with("[]"));
    keys.sort_unstable();
    keys
}

/// Returns the JSON Schema of the configuration file.
pub fn json_schema() -> String {
    format!("{:#}\n", schema())
}

/// Returns the example: every key with its default, or a value to begin with.
pub fn example() -> String {
    let mut text = EXAMPLE_HEAD.to_owned();
    let places: Vec<_> =
        places().into_iter().map(|(path, schema)| Place { path, schema }).collect();
    let mut is_item = false;
    for place in &places {
        if place.path.ends_with("[]") {
            is_item = true;
        } else if place.name_of_parent().is_none_or(|parent| parent != "nbuserver") {
            place.write(&mut text, place.is_repeated(&places), std::mem::take(&mut is_item));
        }
    }
    text
}

/// A key or a section.
struct Place {
    path: String,
    schema: &'static Json,
}

impl Place {
    fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    fn name_of_parent(&self) -> Option<&str> {
        self.path.rsplit_once('.').map(|(parent, _)| parent)
    }

    fn is_section(&self) -> bool {
        self.schema.get("properties").is_some() || self.schema["items"].get("properties").is_some()
    }

    fn text(&self, keyword: &str) -> &'static str {
        self.schema.get(keyword).and_then(Json::as_str).unwrap_or_default()
    }

    fn is_deprecated(&self) -> bool {
        self.schema.get("deprecated").is_some()
    }

    /// Returns true if the section around it has the keys of one before, which are described there.
    fn is_repeated(&self, all: &[Self]) -> bool {
        let parent = all.iter().position(|it| Some(it.path.as_str()) == self.name_of_parent());
        let properties = |it: &Self| it.schema.get("properties");
        parent.is_some_and(|at| {
            let (before, rest) = all.split_at(at);
            let own = rest.first().and_then(properties);
            before.iter().any(|it| it.is_section() && properties(it) == own)
        })
    }

    /// Returns the default as YAML has it.
    fn default(&self) -> Option<String> {
        self.schema.get("default").map(yaml)
    }

    fn example(&self) -> String {
        self.schema["examples"].get(0).map(yaml).unwrap_or_default()
    }

    /// Writes the key into the example.
    fn write(&self, text: &mut String, is_repeated: bool, is_item: bool) {
        let depth = self.path.matches('.').count() + self.path.matches("[]").count();
        let indent = "  ".repeat(depth - usize::from(is_item));
        let begin = if is_item { format!("{indent}- ") } else { indent.clone() };
        if depth == 0 {
            text.push('\n');
        }
        if !is_repeated {
            let description = self.text("description").replace('`', "");
            for line in wrapped(&description, WIDTH - indent.len() - 2) {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{indent}# {line}");
            }
            let default = self.text("x-default");
            let is_said = default.starts_with("required");
            if !is_said && !matches!(default, "" | "none" | "the common key") {
                let default = default.replace(['[', ']', '`'], "").replace("(#proxies)", "");
                let _ = writeln!(text, "{indent}# Default: {default}.");
            }
            let variable = self.variable();
            if !variable.is_empty() {
                let _ = writeln!(text, "{indent}# Variable: {variable}.");
            }
        }
        let name = self.name();
        let _ = match (self.default(), self.text("x-default")) {
            _ if self.is_section() && self.is_deprecated() => {
                let entry = "{host: nbu-primary.example.com, apiKey: \"${NBU_API_KEY}\"}";
                writeln!(text, "{indent}# {name}: {entry}")
            }
            _ if self.is_section() => writeln!(text, "{begin}{name}:"),
            (Some(value), _) => writeln!(text, "{begin}{name}: {value}"),
            (None, default) if default.starts_with("required") => {
                writeln!(text, "{begin}{name}: {}", self.example())
            }
            (None, _) => writeln!(text, "{indent}# {name}: {}", self.example()),
        };
    }

    /// Returns the variables that stand in for the key.
    fn variable(&self) -> String {
        let signal = match self.path.split('.').nth(1) {
            Some("metrics") => "METRICS_",
            Some("traces") => "TRACES_",
            _ => "",
        };
        self.text("x-variable").replace("{}", signal)
    }
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
    let places: Vec<_> =
        places().into_iter().map(|(path, schema)| Place { path, schema }).collect();
    let mut text = String::new();
    for line in REFERENCE.lines() {
        match line.strip_prefix("{{").and_then(|line| line.strip_suffix("}}")) {
            Some(section) => table(&mut text, section, &places),
            None => {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}

/// Writes the table of a section.
fn table(text: &mut String, section: &str, places: &[Place]) {
    let is_of = |place: &&Place| {
        let rest = place.path.strip_prefix(section);
        rest.is_some_and(|rest| rest.starts_with('.')) && !place.is_section()
    };
    let keys: Vec<_> = places.iter().filter(is_of).collect();
    let has = |keyword| keys.iter().any(|key| !key.text(keyword).is_empty());
    let (variable, change) = (has("x-variable"), has("x-change"));
    let row = |cells: [&str; 5]| {
        let [key, default, variable_cell, meaning, change_cell] = cells;
        let mut row = format!("| {key} | {default} |");
        if variable {
            let _ = write!(row, " {variable_cell} |");
        }
        let _ = write!(row, " {meaning} |");
        if change {
            let _ = write!(row, " {change_cell} |");
        }
        row.replace("|  |", "| |").replace("|  |", "| |") + "\n"
    };
    text.push_str(&row(["key", "default", "variable", "meaning", "when it changes"]));
    text.push_str(&row(["---"; 5]).replace(' ', ""));
    for place in keys {
        let default = place.default().unwrap_or_else(|| place.text("x-default").to_owned());
        let variables = place.variable();
        let variables = variables.split(", ").filter(|name| !name.is_empty());
        let variables: Vec<_> = variables.map(|name| format!("`{name}`")).collect();
        let parent = places.iter().find(|it| Some(it.path.as_str()) == place.name_of_parent());
        let description = match place.text("description") {
            "Collect it." => parent.map_or("", |parent| parent.text("description")),
            text => text,
        };
        let key = format!("`{}`", place.path);
        let change = place.text("x-change");
        text.push_str(&row([&key, &default, &variables.join(", "), description, change]));
    }
}
