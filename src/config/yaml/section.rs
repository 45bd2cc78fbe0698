//! A deserializer of `serde` that distributes a tree over the structs of the schema. It never fails: each
//! field of a struct gets the number of its [`Place`], from which its value is read later; what has the wrong
//! shape, and each key that is no field, is reported.

use std::vec;

use serde::Deserialize;
use serde::de::value::Error;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer as _};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::context::{Context, Place};
use super::diagnostics::{Position, nearest, quoted};
use super::tree::{Entry, Node, Value};

/// Distributes the mapping `root` over the struct `T`, whose JSON Schema is `schema`.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(
    context: &Context<'_>,
    root: Node,
    schema: &'static Json,
) -> Option<T> {
    let position = root.position;
    let place = Place::absent(String::new(), position, schema).with(position, root);
    let slot = context.add_place(place);
    T::deserialize(Section { context, slot }).ok()
}

/// The part of the tree at one place.
struct Section<'c, 'e> {
    context: &'c Context<'e>,
    slot: usize,
}

impl Section<'_, '_> {
    /// Takes the value, or reports that it is not of the kind that `expected` names.
    fn take<T>(
        self,
        expected: &str,
        convert: impl Fn(Value) -> Result<T, Value>,
    ) -> Result<Taken<T>, Error> {
        let mut places = self.context.places.borrow_mut();
        let place = places.get_mut(self.slot);
        let place = place.ok_or_else(|| Error::custom("a place without a number"))?;
        let mut taken = Taken {
            path: place.path.clone(),
            position: place.value,
            schema: place.schema,
            value: None,
            is_lost: false,
        };
        match place.node.take().map(|node| convert(node.value)) {
            None | Some(Err(Value::Null)) => {}
            Some(Ok(value)) => taken.value = Some(value),
            Some(Err(other)) => {
                place.is_lost = true;
                if !matches!(other, Value::Unresolved) {
                    let message = format!("expected {expected}, found {}", kind(&other));
                    self.context.error(place.value, &place.path, message);
                }
            }
        }
        taken.is_lost = place.is_lost;
        Ok(taken)
    }
}

/// The content of a section, as far as it is of the kind that was expected.
struct Taken<T> {
    path: String,
    position: Position,
    schema: &'static Json,
    value: Option<T>,
    /// It is of another kind, or below something that is, which was reported.
    is_lost: bool,
}

impl<'de> Deserializer<'de> for Section<'_, '_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let context = self.context;
        let Taken { path, position, schema, value, is_lost } =
            self.take("a mapping of keys", |value| match value {
                Value::Map(entries) => Ok(entries),
                other => Err(other),
            })?;
        let entries = value.unwrap_or_default();
        let (entries, unknown): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| fields.contains(&entry.key.as_str()));
        for Entry { key, position, value } in unknown {
            let near = nearest(&key, fields.iter().copied());
            let hint = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("expected one of {}", fields.join(", ")),
            };
            let name = quoted(&key, near.is_some(), value.is_null());
            context.error(position, &path, format!("unknown key{name}; {hint}"));
        }
        let names = fields.iter();
        let next = "";
        visitor.visit_map(Fields { context, path, position, schema, is_lost, entries, names, next })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let context = self.context;
        let Taken { path, schema, value, .. } = self.take("a list", |value| match value {
            Value::List(items) => Ok(items),
            other => Err(other),
        })?;
        let nodes = value.unwrap_or_default().into_iter().enumerate();
        visitor.visit_seq(Items { context, path, schema, nodes })
    }

    /// Deserializes a key as the number of its place.
    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u64(self.slot as u64)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("the schema consists of structs, lists of structs, and keys"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct tuple tuple_struct map enum identifier ignored_any
    }
}

/// All fields of a struct, those that are absent in the file included.
struct Fields<'c, 'e> {
    context: &'c Context<'e>,
    path: String,
    position: Position,
    schema: &'static Json,
    is_lost: bool,
    entries: Vec<Entry>,
    names: std::slice::Iter<'static, &'static str>,
    next: &'static str,
}

impl<'de> MapAccess<'de> for Fields<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.names.next() else { return Ok(None) };
        self.next = name;
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let name = self.next;
        let entry = self.entries.iter().position(|entry| entry.key == name);
        let entry = entry.map(|at| self.entries.swap_remove(at));
        let schema = &self.schema["properties"][name];
        let absent = Place::absent(join(&self.path, name), self.position, schema);
        let place = match entry {
            Some(Entry { position, value, .. }) => absent.with(position, value),
            None => Place { is_lost: self.is_lost, ..absent },
        };
        let slot = self.context.add_place(place);
        seed.deserialize(Section { context: self.context, slot })
    }
}

/// The items of a list of sections.
struct Items<'c, 'e> {
    context: &'c Context<'e>,
    path: String,
    schema: &'static Json,
    nodes: std::iter::Enumerate<vec::IntoIter<Node>>,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some((index, node)) = self.nodes.next() else { return Ok(None) };
        let position = node.position;
        let path = format!("{}[{index}]", self.path);
        let place = Place::absent(path, position, &self.schema["items"]).with(position, node);
        let slot = self.context.add_place(place);
        seed.deserialize(Section { context: self.context, slot }).map(Some)
    }
}

/// Names the kind of a value.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Unresolved | Value::Text { .. } => "a single value",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
