//! The fields of the schema's structs. A [`Key`] stands for one setting; its type parameter says how the text
//! in the file becomes a value, how that is shown, and which JSON Schema it has.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value as Json;

use super::context::Context;
use super::diagnostics::{Cause, Position, Reported, quoted};
use super::tree::{Entry, Node, Value};
use super::values::Parsed;
use crate::config::entries;

/// A value, `None` where it is not there, `null` or empty.
pub(crate) type Found<T> = Result<Option<T>, Reported>;

/// A kind of setting.
pub(crate) trait Kind: Copy + 'static {
    type Value: Clone;

    const SECRET: bool = false;

    /// Returns the value of a scalar, or what was expected.
    fn parse(text: &str) -> Parsed<Self::Value>;

    /// Returns the value of a variable that stands in for a key, or what was expected.
    fn parse_variable(text: &str) -> Parsed<Self::Value> {
        Self::parse(text)
    }

    /// Returns the value as the effective configuration shows it.
    fn show(value: &Self::Value) -> entries::Value;

    fn schema() -> Json;

    /// Reads a node; what is wrong with it is reported.
    fn read(context: &Context<'_>, node: &Node, path: &str) -> Found<Self::Value> {
        if node.is_empty() { Ok(None) } else { element::<Self>(context, node, path).map(Some) }
    }

    /// Returns the value of a default in the schema.
    fn from_schema(json: &Json) -> Option<Self::Value> {
        Self::parse(&json.as_str().map_or_else(|| json.to_string(), ToOwned::to_owned)).ok()
    }
}

/// A setting: the number of the place where it is, or would be.
#[derive(Clone, Copy, Deserialize)]
#[serde(transparent, bound = "")]
pub(crate) struct Key<K> {
    slot: usize,
    #[serde(skip)]
    kind: PhantomData<K>,
}

impl<K: Kind> JsonSchema for Key<K> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Key".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = Schema::try_from(K::schema()).unwrap_or_default();
        if K::SECRET {
            // Editors and readers of the schema know by it what not to show.
            schema.insert("writeOnly".to_owned(), true.into());
        }
        schema
    }
}

impl<K: Kind> Key<K> {
    pub(crate) fn get<'c>(self, context: &'c Context<'c>) -> Setting<'c, K> {
        let place = context.place(self.slot);
        let found = match &place.node {
            Some(node) => {
                if K::SECRET {
                    node.literals(&mut |at| warn_of_literal(context, at));
                }
                K::read(context, node, &place.path)
            }
            None if place.is_lost => Err(Reported),
            None => Ok(None),
        };
        Setting { context, key: self, variable: None, found }
    }

    pub(crate) fn variables(self, context: &Context<'_>) -> String {
        context.place(self.slot).variables()
    }

    pub(crate) fn show(self, context: &Context<'_>, value: &K::Value) {
        context.show(self.slot, K::show(value));
    }

    /// Sets what the effective configuration shows, where that is more than the value.
    pub(crate) fn show_as(self, context: &Context<'_>, value: entries::Value) {
        context.show(self.slot, value);
    }
}

fn warn_of_literal(context: &Context<'_>, at: Position) {
    if context.warns_of_literal.take() {
        let message = "a secret is spelt out in a file that everybody can read; chmod o-r it, or \
                       use ${NAME} or apiKeyFile";
        context.report(Cause::Unwise, Some(at), "", message);
    }
}

/// A setting as it was read, and what to make of it: a default, an error, a variable of the environment.
#[derive(Clone)]
#[must_use]
pub(crate) struct Setting<'c, K: Kind> {
    pub(crate) context: &'c Context<'c>,
    pub(crate) key: Key<K>,
    /// The variable that stands in for the key.
    pub(crate) variable: Option<String>,
    pub(crate) found: Found<K::Value>,
}

impl<K: Kind> Setting<'_, K> {
    /// Reports something about the value, or about the section where the key is absent.
    pub(crate) fn report(&self, cause: Cause, message: &str) {
        if let Some(name) = &self.variable {
            return self.context.report_variable(cause, name, message);
        }
        let place = self.context.place(self.key.slot);
        self.context.report(cause, Some(place.value), &place.path, message);
    }

    pub(crate) fn error(&self, message: &str) {
        self.report(Cause::Invalid, message);
    }

    pub(crate) fn warn(&self, message: &str) {
        self.report(Cause::Unwise, message);
    }

    /// Reports an error of the key together with others of its section.
    pub(crate) fn section_error(&self, message: &str) {
        let place = self.context.place(self.key.slot);
        self.context.error(place.section, &place.path, message);
    }

    pub(crate) fn path(&self) -> String {
        self.context.place(self.key.slot).path.clone()
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self.found, Ok(None))
    }

    /// Returns true if the key has a value in the file, right or wrong.
    pub(crate) fn is_set(&self) -> bool {
        self.context.place(self.key.slot).is_set
    }

    /// Returns the value where there is a valid one; the default does not count.
    pub(crate) fn given(&self) -> Option<K::Value> {
        self.found.clone().ok().flatten()
    }

    fn default(&self) -> Option<K::Value> {
        self.context.place(self.key.slot).schema.get("default").and_then(K::from_schema)
    }

    pub(crate) fn given_or_default(&self) -> Option<K::Value> {
        self.given().or_else(|| self.default())
    }

    /// Returns the value where there is a valid one, and shows it as the one in force.
    pub(crate) fn option(&self) -> Option<K::Value> {
        self.given().inspect(|value| self.key.show(self.context, value))
    }

    /// Returns the value or this default, and shows it as the one in force. With a wrong value it does not
    /// matter: nothing will use the configuration.
    pub(crate) fn or(&self, default: K::Value) -> K::Value {
        let value = self.given().unwrap_or(default);
        self.key.show(self.context, &value);
        value
    }

    /// Returns the value or the default of the schema, and shows it as the one in force. It is an error to
    /// have neither.
    pub(crate) fn value(&self) -> Option<K::Value> {
        match self.default() {
            Some(default) => return Some(self.or(default)),
            None if self.is_absent() => self.error("required, but missing or empty"),
            None => {}
        }
        self.option()
    }

    /// Reports that the value is wrong for another reason than its kind.
    pub(crate) fn refused(self, message: &str) -> Self {
        self.error(message);
        Self { found: Err(Reported), ..self }
    }

    pub(crate) fn or_setting(self, other: Self) -> Self {
        if self.is_absent() { other } else { self }
    }

    /// Falls back to the variables of these keys, if those count.
    pub(crate) fn or_variables(self, counts: bool, keys: &[Key<K>]) -> Self {
        keys.iter().fold(self, |setting, key| {
            let name = key.variables(setting.context);
            setting.or_variable(counts, &name, K::parse_variable)
        })
    }

    pub(crate) fn or_variable(
        mut self,
        counts: bool,
        name: &str,
        parse: impl FnOnce(&str) -> Parsed<K::Value>,
    ) -> Self {
        if !counts || !self.is_absent() {
            return self;
        }
        let Some(text) = self.context.variable(name) else { return self };
        self.variable = Some(name.to_owned());
        match parse(text.trim()) {
            Ok(value) => Self { found: Ok(Some(value)), ..self },
            Err(message) => self.refused(&message),
        }
    }
}

/// Reads a scalar, which must not be absent.
fn element<K: Kind>(context: &Context<'_>, node: &Node, path: &str) -> Result<K::Value, Reported> {
    let parsed = match &node.value {
        // Text that is empty is for the parser to judge here.
        Value::Text { text, .. } => K::parse(text),
        Value::Null => Err("expected a value".into()),
        other => return Err(context.mismatch(node.position, path, "a single value", other)),
    };
    parsed.map_err(|message| {
        context.error(node.position, path, message);
        Reported
    })
}

/// Reads a list by its items, each of which `read` gets with its path.
pub(crate) fn items<T>(
    context: &Context<'_>,
    node: &Node,
    path: &str,
    read: impl Fn(&Context<'_>, &Node, &str) -> Result<T, Reported>,
) -> Found<Vec<T>> {
    let items = match &node.value {
        Value::Null => return Ok(None),
        Value::List(items) => items.iter().enumerate(),
        other => return Err(context.mismatch(node.position, path, "a list", other)),
    };
    let values = items.map(|(at, item)| read(context, item, &format!("{path}[{at}]")));
    // All of them are read before the first that is wrong counts.
    let values: Vec<_> = values.collect();
    values.into_iter().collect::<Result<_, _>>().map(Some)
}

/// A list of scalars, sorted, each once.
#[derive(Clone, Copy)]
pub(crate) struct List<K>(PhantomData<K>);

impl<K: Kind<Value: Ord>> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn parse(_: &str) -> Parsed<Self::Value> {
        Err("expected a list, found a single value".into())
    }

    fn read(context: &Context<'_>, node: &Node, path: &str) -> Found<Self::Value> {
        let values = items(context, node, path, element::<K>)?;
        // Sorted, each once.
        let distinct = |values: Vec<K::Value>| BTreeSet::from_iter(values).into_iter().collect();
        Ok(values.map(distinct))
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
#[derive(Clone, Copy)]
pub(crate) struct Pairs<K>(PhantomData<K>);

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

    fn read(context: &Context<'_>, node: &Node, path: &str) -> Found<Self::Value> {
        let entries = match &node.value {
            Value::Null => return Ok(None),
            Value::Map(entries) => entries.iter(),
            other => return Err(context.mismatch(node.position, path, "a mapping of keys", other)),
        };
        let pair = |Entry { key, value: node, .. }: &Entry| {
            let shown = quoted(key, false, node.is_null());
            let path = if shown.is_empty() { path.to_owned() } else { format!("{path}.{key}") };
            let value = element::<K>(context, node, &path).ok()?;
            Some(Pair { name: key.clone(), value, position: node.position })
        };
        Ok(Some(entries.filter_map(pair).collect()))
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
