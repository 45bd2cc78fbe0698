//! Typed reading of the tree. Each question registers its key, so the schema is the set of questions
//! asked: a key is added by asking for it, and what nobody asked for is unknown.

use secrecy::SecretString;

use super::context::Context;
use super::diagnostics::{Position, nearest, quoted};
use super::setting::{Found, Setting, Source};
use super::tree::{Entry, Node, Value};
use super::values::{Parsed, any};

/// A mapping of the file. When it is dropped, the keys that nobody asked for are reported.
pub(super) struct Section<'c> {
    pub(super) context: &'c Context<'c>,
    /// Such as `nbuservers[1]`; empty for the root.
    pub(super) path: String,
    /// Such as `nbuservers[]`.
    schema: String,
    pub(super) position: Position,
    entries: &'c [Entry],
    asked: Vec<&'static str>,
    /// There and no mapping, which is reported already: its keys are neither there nor missing.
    broken: bool,
}

/// An element of a mapping whose keys are the user's own.
pub(super) struct Pair<T> {
    pub(super) name: String,
    pub(super) value: T,
    pub(super) position: Position,
}

impl<'c> Section<'c> {
    pub(super) fn root(context: &'c Context<'c>, node: &'c Node) -> Self {
        Self::over(context, node, String::new(), String::new())
    }

    fn over(context: &'c Context<'c>, node: &'c Node, path: String, schema: String) -> Self {
        let (entries, broken) = match &node.value {
            Value::Map(entries) => (entries.as_slice(), false),
            Value::Null => (&[][..], false),
            Value::Broken => (&[][..], true),
            other => {
                let message = format!("expected a mapping of keys, found {}", kind(other));
                context.error(node.position, &path, message);
                (&[][..], true)
            }
        };
        let position = node.position;
        Self { context, path, schema, position, entries, asked: Vec::new(), broken }
    }

    /// The path of a key of this section.
    pub(super) fn path_of(&self, name: &str) -> String {
        join(&self.path, name)
    }

    fn find(&mut self, name: &'static str) -> Option<&'c Node> {
        self.asked.push(name);
        self.context.keys.borrow_mut().insert(join(&self.schema, name));
        self.entries.iter().find(|entry| entry.key == name).map(|entry| &entry.value)
    }

    fn source(&self, name: &str, node: Option<&Node>) -> Source<'c> {
        let at = node.map_or(self.position, |node| node.position);
        Source { context: self.context, path: self.path_of(name), at, variable: None }
    }

    /// A scalar. `null` and empty text are as good as absent.
    pub(super) fn get<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Parsed<T>,
    ) -> Setting<'c, T> {
        let node = self.find(name);
        let source = self.source(name, node);
        let found = match node {
            None if self.broken => Found::Wrong,
            None => Found::Absent,
            Some(node) if node.is_empty() => Found::Absent,
            Some(node) => scalar(self.context, node, &source.path, parse),
        };
        Setting { source, found }
    }

    /// A scalar that nobody may see.
    pub(super) fn secret<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Parsed<T>,
    ) -> Setting<'c, T> {
        let literal = self.entries.iter().find(|entry| entry.key == name).is_some_and(|entry| {
            matches!(&entry.value.value, Value::Text { literal: true, .. })
                && !entry.value.is_empty()
        });
        let setting = self.get(name, parse);
        if literal {
            self.context.note_literal(setting.source.at);
        }
        setting
    }

    /// A key that is accepted for compatibility and means nothing here.
    pub(super) fn unused(&mut self, name: &'static str) {
        let _ = self.get(name, any);
    }

    /// A list of scalars.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Setting<'c, Vec<T>> {
        let node = self.find(name);
        let source = self.source(name, node);
        let found = match node.map(|node| &node.value) {
            None if self.broken => Found::Wrong,
            None | Some(Value::Null) => Found::Absent,
            Some(Value::Broken) => Found::Wrong,
            Some(Value::List(items)) => self.items(items, &source.path, parse),
            Some(other) => {
                source.error(&format!("expected a list, found {}", kind(other)));
                Found::Wrong
            }
        };
        Setting { source, found }
    }

    fn items<T>(
        &self,
        items: &'c [Node],
        path: &str,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Found<Vec<T>> {
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match scalar(self.context, item, &path, &parse) {
                Found::Given(value) => values.push(value),
                Found::Absent => self.context.error(item.position, &path, "expected a value"),
                Found::Wrong => {}
            }
        }
        if values.len() == items.len() { Found::Given(values) } else { Found::Wrong }
    }

    /// A mapping whose keys are the user's own.
    pub(super) fn pairs<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Vec<Pair<T>> {
        let Some(node) = self.find(name) else { return Vec::new() };
        let path = self.path_of(name);
        // No names of keys are asked for, so the section must not complain about them.
        let mut section = Section::over(self.context, node, path.clone(), String::new());
        let entries = std::mem::take(&mut section.entries);
        let mut pairs = Vec::with_capacity(entries.len());
        for Entry { key, value: node, .. } in entries {
            let shown = quoted(key, false, node.is_null());
            let path = if shown.is_empty() { path.clone() } else { format!("{path}.{key}") };
            match scalar(self.context, node, &path, &parse) {
                Found::Given(value) => {
                    pairs.push(Pair { name: key.clone(), value, position: node.position });
                }
                Found::Absent => self.context.error(node.position, &path, "expected a value"),
                Found::Wrong => {}
            }
        }
        pairs
    }

    /// The same for values that nobody may see.
    pub(super) fn secret_pairs(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Parsed<SecretString>,
    ) -> Vec<Pair<SecretString>> {
        let pairs = self.pairs(name, parse);
        let node = self.entries.iter().find(|entry| entry.key == name);
        if let Some(Value::Map(entries)) = node.map(|entry| &entry.value.value) {
            for Entry { value, .. } in entries {
                if matches!(&value.value, Value::Text { literal: true, .. }) {
                    self.context.note_literal(value.position);
                }
            }
        }
        pairs
    }

    /// A nested mapping; an absent one is empty.
    pub(super) fn section(&mut self, name: &'static str) -> Section<'c> {
        let node = self.find(name);
        let (path, schema) = (self.path_of(name), join(&self.schema, name));
        match node {
            Some(node) => Section::over(self.context, node, path, schema),
            None => Section {
                context: self.context,
                path,
                schema,
                position: self.position,
                entries: &[],
                asked: Vec::new(),
                broken: self.broken,
            },
        }
    }

    /// Whether the key is there and holds anything.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == name && !entry.value.is_empty())
    }

    /// Where the value of a key stands; where the section begins if it is absent.
    pub(super) fn position_of(&self, name: &str) -> Position {
        let entry = self.entries.iter().find(|entry| entry.key == name);
        entry.map_or(self.position, |entry| entry.position)
    }

    /// A list of mappings; `None` where it is absent or no list.
    pub(super) fn sections(&mut self, name: &'static str) -> Option<Vec<Section<'c>>> {
        let node = self.find(name)?;
        let path = self.path_of(name);
        let schema = format!("{}[]", join(&self.schema, name));
        match &node.value {
            Value::List(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| {
                        let path = format!("{path}[{index}]");
                        Section::over(self.context, item, path, schema.clone())
                    })
                    .collect(),
            ),
            Value::Null => Some(Vec::new()),
            Value::Broken => None,
            other => {
                let message = format!("expected a list, found {}", kind(other));
                self.context.error(node.position, &path, message);
                None
            }
        }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        for Entry { key, position, value } in self.entries {
            if self.asked.contains(&key.as_str()) {
                continue;
            }
            let near = nearest(key, self.asked.iter().copied());
            let hint = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("expected one of {}", self.asked.join(", ")),
            };
            let name = quoted(key, near.is_some(), value.is_null());
            self.context.error(*position, &self.path, format!("unknown key{name}; {hint}"));
        }
    }
}

fn scalar<T>(
    context: &Context<'_>,
    node: &Node,
    path: &str,
    parse: impl FnOnce(&str) -> Parsed<T>,
) -> Found<T> {
    let message = match &node.value {
        Value::Null => return Found::Absent,
        Value::Broken => return Found::Wrong,
        Value::Text { text, .. } => match parse(text) {
            Ok(value) => return Found::Given(value),
            Err(message) => message.into_owned(),
        },
        other => format!("expected a single value, found {}", kind(other)),
    };
    context.error(node.position, path, message);
    Found::Wrong
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Broken | Value::Text { .. } => "a single value",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
