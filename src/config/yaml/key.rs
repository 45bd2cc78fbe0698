//! The fields of the schema's structs. A [`Key`] stands for one setting; its type parameter says how the text
//! in the file becomes a value, how that is shown, and which JSON Schema it has.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::context::Context;
use super::diagnostics::{Position, quoted};
use super::lookup::{Lookup, Setting, Source};
use super::section::kind;
use super::tree::{Entry, Node, Value};
use super::values::Parsed;
use crate::config::entries;

/// A kind of setting.
pub(crate) trait Kind {
    type Value: Clone;

    /// Values of it are secret.
    const SECRET: bool = false;

    /// Returns the value of a scalar, or what was expected.
    fn parse(text: &str) -> Parsed<Self::Value>;

    /// Returns the value as the effective configuration shows it.
    fn show(value: &Self::Value) -> entries::Value;

    /// Returns the JSON Schema of the values.
    fn schema() -> Json;

    /// Reads a node; what is wrong with it is reported.
    fn read(context: &Context<'_>, node: &Node, path: &str) -> Lookup<Self::Value> {
        scalar(context, node, path, Self::parse)
    }

    /// Returns the value of a default in the schema.
    fn from_schema(json: &Json) -> Option<Self::Value> {
        Self::parse(&plain(json)).ok()
    }
}

/// Returns a scalar of the schema as a file spells it.
pub(crate) fn plain(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), ToOwned::to_owned)
}

/// A setting: the number of the place where it is, or would be.
pub(crate) struct Key<K> {
    slot: usize,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Key<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Key<K> {}

impl<'de, K> Deserialize<'de> for Key<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let slot = u64::deserialize(deserializer)?;
        Ok(Self { slot: usize::try_from(slot).unwrap_or(usize::MAX), kind: PhantomData })
    }
}

impl<K: Kind> JsonSchema for Key<K> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Key".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::try_from(K::schema()).unwrap_or_default()
    }
}

impl<K: Kind> Key<K> {
    /// Reads the setting.
    pub(crate) fn get<'c>(self, context: &'c Context<'c>) -> Setting<'c, K::Value> {
        self.read(context, K::read)
    }

    /// Reads the setting with a parser other than that of its kind.
    pub(crate) fn get_as<'c>(
        self,
        context: &'c Context<'c>,
        parse: impl FnOnce(&str) -> Parsed<K::Value>,
    ) -> Setting<'c, K::Value> {
        self.read(context, |context, node, path| scalar(context, node, path, parse))
    }

    fn read<'c>(
        self,
        context: &'c Context<'c>,
        read: impl FnOnce(&Context<'_>, &Node, &str) -> Lookup<K::Value>,
    ) -> Setting<'c, K::Value> {
        let places = context.places.borrow();
        let place = &places[self.slot];
        let source = Source {
            context,
            path: place.path.clone(),
            at: place.value,
            section: place.section,
            variable: None,
            slot: self.slot,
        };
        let found = match &place.node {
            None if place.is_lost => Lookup::Invalid,
            None => Lookup::Absent,
            Some(node) => {
                let found = read(context, node, &place.path);
                if K::SECRET {
                    node.literals(&mut |at| context.note_literal(at));
                }
                found
            }
        };
        let default = place.schema.get("default").and_then(K::from_schema);
        Setting { source, found, default, show: K::show }
    }

    /// Returns true if the key has a value in the file.
    pub(crate) fn is_set(self, context: &Context<'_>) -> bool {
        context.places.borrow()[self.slot].is_set
    }

    /// Sets the value that the effective configuration shows.
    pub(crate) fn show(self, context: &Context<'_>, value: &K::Value) {
        context.show(self.slot, K::show(value));
    }

    /// Sets what the effective configuration shows, where that is more than the value.
    pub(crate) fn show_as(self, context: &Context<'_>, value: entries::Value) {
        context.show(self.slot, value);
    }
}

fn scalar<T>(
    context: &Context<'_>,
    node: &Node,
    path: &str,
    parse: impl FnOnce(&str) -> Parsed<T>,
) -> Lookup<T> {
    match &node.value {
        _ if node.is_empty() => Lookup::Absent,
        Value::Unresolved => Lookup::Invalid,
        Value::Text { text, .. } => checked(context, node, path, parse(text)),
        other => {
            let message = format!("expected a single value, found {}", kind(other));
            checked(context, node, path, Err(message.into()))
        }
    }
}

/// Reports what was expected instead of a value.
fn checked<T>(context: &Context<'_>, node: &Node, path: &str, parsed: Parsed<T>) -> Lookup<T> {
    match parsed {
        Ok(value) => Lookup::Valid(value),
        Err(message) => {
            context.error(node.position, path, message);
            Lookup::Invalid
        }
    }
}

/// Reads a scalar of a list or a mapping, which must not be absent.
fn element<K: Kind>(context: &Context<'_>, node: &Node, path: &str) -> Option<K::Value> {
    let found = match &node.value {
        // Text that is empty is for the parser to judge here.
        Value::Text { text, .. } => checked(context, node, path, K::parse(text)),
        Value::Null => checked(context, node, path, Err("expected a value".into())),
        _ => K::read(context, node, path),
    };
    if let Lookup::Valid(value) = found { Some(value) } else { None }
}

/// Returns the content of a node of the kind that `expected` names, or reports that it is of another one.
fn content<'n, C: ?Sized, T>(
    context: &Context<'_>,
    node: &'n Node,
    path: &str,
    expected: &str,
    of: impl FnOnce(&'n Value) -> Option<&'n C>,
) -> Result<&'n C, Lookup<T>> {
    match &node.value {
        Value::Null => Err(Lookup::Absent),
        Value::Unresolved => Err(Lookup::Invalid),
        value => of(value).ok_or_else(|| {
            let message = format!("expected {expected}, found {}", kind(value));
            context.error(node.position, path, message);
            Lookup::Invalid
        }),
    }
}

/// A list of scalars.
pub(crate) struct List<K>(PhantomData<fn() -> K>);

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn parse(_: &str) -> Parsed<Self::Value> {
        Err("expected a list, found a single value".into())
    }

    fn read(context: &Context<'_>, node: &Node, path: &str) -> Lookup<Self::Value> {
        let items = content(context, node, path, "a list", |value| match value {
            Value::List(items) => Some(items.as_slice()),
            _ => None,
        });
        let items = match items {
            Ok(items) => items,
            Err(lookup) => return lookup,
        };
        let values = items.iter().enumerate();
        let values = values.map(|(at, item)| element::<K>(context, item, &format!("{path}[{at}]")));
        // All of them are read before the first that is wrong counts.
        let values: Vec<_> = values.collect();
        values.into_iter().collect::<Option<_>>().map_or(Lookup::Invalid, Lookup::Valid)
    }

    fn from_schema(json: &Json) -> Option<Self::Value> {
        json.as_array()?.iter().map(K::from_schema).collect()
    }

    fn show(values: &Self::Value) -> entries::Value {
        let texts = values.iter().map(|value| match K::show(value) {
            entries::Value::Plain(text) | entries::Value::Text(text) => text,
            _ => String::new(),
        });
        entries::Value::Texts(texts.collect())
    }

    fn schema() -> Json {
        serde_json::json!({ "type": ["array", "null"], "items": K::schema() })
    }
}

/// A mapping whose keys are the user's own.
pub(crate) struct Pairs<K>(PhantomData<fn() -> K>);

/// An element of such a mapping.
#[derive(Clone)]
pub(crate) struct Pair<T> {
    pub(crate) name: String,
    pub(crate) value: T,
    pub(crate) position: Position,
}

impl<K: Kind> Kind for Pairs<K> {
    type Value = Vec<Pair<K::Value>>;

    const SECRET: bool = K::SECRET;

    fn parse(_: &str) -> Parsed<Self::Value> {
        Err("expected a mapping of keys, found a single value".into())
    }

    fn read(context: &Context<'_>, node: &Node, path: &str) -> Lookup<Self::Value> {
        let entries = content(context, node, path, "a mapping of keys", |value| match value {
            Value::Map(entries) => Some(entries.as_slice()),
            _ => None,
        });
        let entries = match entries {
            Ok(entries) => entries,
            Err(lookup) => return lookup,
        };
        let pair = |Entry { key, value: node, .. }: &Entry| {
            let shown = quoted(key, false, node.is_null());
            let path = if shown.is_empty() { path.to_owned() } else { format!("{path}.{key}") };
            let value = element::<K>(context, node, &path)?;
            Some(Pair { name: key.clone(), value, position: node.position })
        };
        Lookup::Valid(entries.iter().filter_map(pair).collect())
    }

    fn from_schema(_: &Json) -> Option<Self::Value> {
        Some(Vec::new())
    }

    fn show(pairs: &Self::Value) -> entries::Value {
        let pairs = pairs.iter().map(|pair| (pair.name.clone(), K::show(&pair.value)));
        entries::Value::Pairs(pairs.collect())
    }

    fn schema() -> Json {
        serde_json::json!({ "type": ["object", "null"], "additionalProperties": K::schema() })
    }
}
